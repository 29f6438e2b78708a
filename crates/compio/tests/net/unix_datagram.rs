//! Datagrams of Unix sockets.

use std::{io::ErrorKind, net::Shutdown, rc::Rc};

use compio::{
    net::UnixDatagram,
    task::{spawn, yield_now},
};

use crate::support::{begin, check_kind, run};

#[test]
fn datagrams_keep_their_bounds_and_report_their_sender() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (here, there) = (dir.path().join("one"), dir.path().join("other"));
        let one = UnixDatagram::bind(&here).unwrap();
        let other = UnixDatagram::bind(&there).unwrap();
        for datagram in ["first", "", "third"] {
            let (sent, _) = one.send_to(datagram, &there).await;
            assert_eq!(sent.unwrap(), datagram.len());
        }
        let (seen, buffer) = other.peek_from(Vec::with_capacity(100)).await;
        assert_eq!(seen.unwrap().1.as_pathname(), Some(&*here));
        assert_eq!(buffer, b"first");
        for datagram in ["first", "", "third"] {
            let (received, buffer) = other.recv_from(Vec::with_capacity(100)).await;
            let (len, sender) = received.unwrap();
            assert_eq!((len, sender.as_pathname()), (datagram.len(), Some(&*here)));
            assert_eq!(buffer, datagram.as_bytes());
            let (sent, _) = other.send_to_addr("answer", &sender).await;
            sent.unwrap();
            one.recv([0; 6]).await.0.unwrap();
        }
        let nameless = UnixDatagram::unbound().unwrap();
        nameless.connect(&there).unwrap();
        assert_eq!(nameless.peer_addr().unwrap().as_pathname(), Some(&*there));
        nameless.send("hello").await.0.unwrap();
        let (received, _) = other.recv_from([0; 5]).await;
        assert!(received.unwrap().1.is_unnamed());
    });
}

#[test]
fn pairs_exchange_datagrams() {
    run(async {
        let (one, other) = UnixDatagram::pair().unwrap();
        assert!(one.local_addr().unwrap().is_unnamed());
        begin(other.recv(vec![0; 10])).await;
        assert_eq!(one.send_vectored(["a", "bc"]).await.0.unwrap(), 3);
        let (seen, _) = other.peek([0; 2]).await;
        assert_eq!(seen.unwrap(), 2);
        let (received, buffers) = other.recv_vectored([vec![0; 1], vec![0; 9]]).await;
        assert_eq!(received.unwrap(), 3);
        assert_eq!(buffers, [b"a".to_vec(), b"bc".to_vec()]);
        assert!(one.take_error().unwrap().is_none());
    });
}

#[test]
fn excess_bytes_of_a_datagram_are_lost() {
    run(async {
        let (one, other) = UnixDatagram::pair().unwrap();
        one.send("0123456789").await.0.unwrap();
        one.send("next").await.0.unwrap();
        let (received, buffer) = other.recv(Vec::with_capacity(4)).await;
        assert_eq!((received.unwrap(), &buffer[..]), (4, &b"0123"[..]));
        let (received, buffer) = other.recv(Vec::with_capacity(10)).await;
        assert_eq!((received.unwrap(), &buffer[..]), (4, &b"next"[..]));
    });
}

#[test]
fn a_send_waits_for_room() {
    run(async {
        let (one, other) = UnixDatagram::pair().unwrap();
        let one = Rc::new(one);
        let sender = one.clone();
        let sent = spawn(async move {
            for index in 0..1000_u32 {
                sender.send(index.to_ne_bytes().to_vec()).await.0.unwrap();
            }
        });
        for _ in 0..10 {
            yield_now().await;
        }
        assert!(!sent.is_finished());
        for index in 0..1000_u32 {
            let (received, buffer) = other.recv([0; 4]).await;
            assert_eq!(received.unwrap(), 4);
            assert_eq!(u32::from_ne_bytes(buffer), index);
        }
        sent.await.unwrap();
    });
}

#[test]
fn sending_to_a_missing_socket_fails() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let one = UnixDatagram::unbound().unwrap();
        let (sent, buffer) = one.send_to(b"hello".to_vec(), &path).await;
        check_kind(sent, ErrorKind::NotFound);
        assert_eq!(buffer, b"hello");
        drop(UnixDatagram::bind(&path).unwrap());
        check_kind(one.connect(&path), ErrorKind::ConnectionRefused);
        check_kind(UnixDatagram::bind(&path), ErrorKind::AddrInUse);
        check_kind(one.send("hello").await.0, ErrorKind::NotConnected);
        let long = dir.path().join("x".repeat(200));
        check_kind(UnixDatagram::bind(&long), ErrorKind::InvalidInput);
        check_kind(one.send_to("hello", &long).await.0, ErrorKind::InvalidInput);
    });
}

#[test]
fn a_direction_that_was_shut_down_sends_nothing() {
    run(async {
        let (one, other) = UnixDatagram::pair().unwrap();
        one.send("last").await.0.unwrap();
        other.shutdown(Shutdown::Read).unwrap();
        check_kind(one.send("more").await.0, ErrorKind::BrokenPipe);
        one.shutdown(Shutdown::Both).unwrap();
        check_kind(one.send("more").await.0, ErrorKind::BrokenPipe);
        assert_eq!(other.recv(Vec::with_capacity(5)).await.0.unwrap(), 4);
    });
}

#[test]
fn a_socket_goes_to_std_and_back() {
    run(async {
        let (one, other) = UnixDatagram::pair().unwrap();
        let one = std::os::unix::net::UnixDatagram::try_from(one).unwrap();
        one.set_nonblocking(true).unwrap();
        let one = UnixDatagram::try_from(one).unwrap();
        begin(one.recv(vec![0; 5])).await;
        other.send("hello").await.0.unwrap();
        assert_eq!(one.recv([0; 5]).await.0.unwrap(), 5);
        let mut back = std::os::fd::OwnedFd::try_from(one);
        let fd = loop {
            match back {
                Ok(fd) => break fd,
                // The dropped receive has not completed yet.
                Err(one) => {
                    yield_now().await;
                    back = one.try_into();
                }
            }
        };
        drop(UnixDatagram::try_from(fd).unwrap());
    });
}

#[cfg(target_os = "linux")]
#[test]
fn abstract_names_are_sent_to() {
    use std::os::{linux::net::SocketAddrExt, unix::net::SocketAddr};
    run(async {
        let name = format!("compio datagram {}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let server = UnixDatagram::bind_addr(&address).unwrap();
        let client = UnixDatagram::bind("").unwrap();
        let own = client.local_addr().unwrap();
        assert!(own.as_abstract_name().is_some(), "the system chose one");
        client.send_to_addr("hello", &address).await.0.unwrap();
        let (received, _) = server.recv_from([0; 5]).await;
        let (_, sender) = received.unwrap();
        assert_eq!(sender.as_abstract_name(), own.as_abstract_name());
        server.connect_addr(&sender).unwrap();
        server.send("answer").await.0.unwrap();
        assert_eq!(client.recv([0; 6]).await.0.unwrap(), 6);
    });
}
