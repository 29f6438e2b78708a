//! UDP.

use std::{io, net::SocketAddr, time::Duration};

use compio::{net::UdpSocket, task::spawn, time::timeout};

use crate::support::{check_code, check_kind, code, is_skipped_on_wine, on_wine, run};

async fn bound() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[test]
fn datagrams_keep_their_bounds_and_report_their_sender() {
    run(async {
        let ((one, from), (other, to)) = (bound().await, bound().await);
        for datagram in ["first", "", "third"] {
            let (sent, _) = one.send_to(datagram, to).await;
            assert_eq!(sent.unwrap(), datagram.len());
        }
        for datagram in ["first", "", "third"] {
            let (received, buffer) = other.recv_from(Vec::with_capacity(100)).await;
            assert_eq!(received.unwrap(), (datagram.len(), from));
            assert_eq!(buffer, datagram.as_bytes());
        }
    });
}

#[test]
fn excess_bytes_of_a_datagram_are_lost() {
    run(async {
        let ((one, from), (other, to)) = (bound().await, bound().await);
        one.send_to("0123456789", to).await.0.unwrap();
        one.send_to("0123456789", to).await.0.unwrap();
        one.send_to("next", to).await.0.unwrap();
        let (received, buffer) = other.recv_from(Vec::with_capacity(4)).await;
        assert_eq!(received.unwrap(), (4, from));
        assert_eq!(buffer, b"0123");
        let (received, buffer) = other.recv([0; 4]).await;
        assert_eq!((received.unwrap(), &buffer), (4, b"0123"));
        let (received, buffer) = other.recv(Vec::with_capacity(10)).await;
        assert_eq!(received.unwrap(), 4);
        assert_eq!(buffer, b"next");
    });
}

#[test]
fn connected_sockets_receive_from_each_other_only() {
    run(async {
        let ((one, one_at), (other, other_at)) = (bound().await, bound().await);
        let (stranger, _) = bound().await;
        one.connect(other_at).await.unwrap();
        other.connect(one_at).await.unwrap();
        assert_eq!(one.peer_addr().unwrap(), other_at);
        stranger.send_to("hear me", one_at).await.0.unwrap();
        other.send("hello").await.0.unwrap();
        let (received, buffer) = one.recv(Vec::with_capacity(10)).await;
        assert_eq!((received.unwrap(), &buffer[..]), (5, &b"hello"[..]));
    });
}

#[test]
fn a_missing_peer_refuses() {
    if is_skipped_on_wine("it reports the refusal to no waiting receive") {
        return;
    }
    run(async {
        let (one, _) = bound().await;
        let (gone, address) = bound().await;
        drop(gone);
        one.connect(address).await.unwrap();
        one.send("anybody there?").await.0.unwrap();
        let (received, buffer) = one.recv(b"stale".to_vec()).await;
        // The kind depends on the OS.
        let kinds = [
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::ConnectionReset,
        ];
        assert!(kinds.contains(&received.unwrap_err().kind()));
        assert_eq!(buffer, b"stale");
    });
}

#[test]
fn a_datagram_that_is_too_long_is_not_sent_and_comes_back() {
    run(async {
        let ((one, _), (_other, to)) = (bound().await, bound().await);
        let (sent, buffer) = one.send_to(vec![1; 100_000], to).await;
        check_code(sent, code::TOO_LONG);
        assert_eq!(buffer, vec![1; 100_000]);
    });
}

#[test]
fn an_unconnected_socket_cannot_send() {
    run(async {
        let (one, _) = bound().await;
        let (sent, buffer) = one.send(b"hello".to_vec()).await;
        let code = sent.unwrap_err().raw_os_error();
        assert!(code == Some(code::NO_RECEIVER) || on_wine(), "{code:?}");
        assert_eq!(buffer, b"hello");
        check_kind(one.peer_addr(), io::ErrorKind::NotConnected);
        let none: &[SocketAddr] = &[];
        let (sent, buffer) = one.send_to(b"hello".to_vec(), none).await;
        check_kind(sent, io::ErrorKind::InvalidInput);
        assert_eq!(buffer, b"hello");
        check_kind(one.connect(none).await, io::ErrorKind::InvalidInput);
    });
}

#[test]
fn names_stand_for_addresses() {
    run(async {
        let ((one, from), (other, to)) = (bound().await, bound().await);
        one.send_to("hello", ("127.0.0.1", to.port()))
            .await
            .0
            .unwrap();
        let (received, _) = other.recv_from([0; 5]).await;
        assert_eq!(received.unwrap().1, from);
        let (sent, buffer) = one
            .send_to(b"hello".to_vec(), "no such host.invalid:1")
            .await;
        assert!(sent.is_err());
        assert_eq!(buffer, b"hello");
    });
}

#[test]
fn a_dropped_receive_leaves_the_datagram_to_the_next() {
    run(async {
        let ((one, from), (other, to)) = (bound().await, bound().await);
        let receive = other.recv_from(Vec::with_capacity(10));
        assert!(timeout(Duration::from_millis(1), receive).await.is_err());
        one.send_to("hello", to).await.0.unwrap();
        let (received, buffer) = other.recv_from(Vec::with_capacity(10)).await;
        assert_eq!(received.unwrap(), (5, from));
        assert_eq!(buffer, b"hello");
    });
}

#[test]
fn one_socket_sends_while_it_waits_to_receive() {
    run(async {
        let ((one, one_at), (other, other_at)) = (bound().await, bound().await);
        let one = std::rc::Rc::new(one);
        let receiver = one.clone();
        let receive = spawn(async move { receiver.recv_from(Vec::with_capacity(10)).await });
        compio::task::yield_now().await;
        one.send_to("ping", other_at).await.0.unwrap();
        let (received, buffer) = other.recv_from(Vec::with_capacity(10)).await;
        assert_eq!(received.unwrap(), (4, one_at));
        other.send_to(buffer, one_at).await.0.unwrap();
        let (received, _) = receive.await.unwrap();
        assert_eq!(received.unwrap(), (4, other_at));
    });
}

#[test]
fn ipv6_works_as_ipv4_does() {
    run(async {
        let one = UdpSocket::bind("[::1]:0").await.unwrap();
        let other = UdpSocket::bind("[::1]:0").await.unwrap();
        one.send_to("hello", other.local_addr().unwrap())
            .await
            .0
            .unwrap();
        let (received, _) = other.recv_from([0; 5]).await;
        assert_eq!(received.unwrap(), (5, one.local_addr().unwrap()));
    });
}

#[test]
fn binding_a_port_in_use_fails() {
    run(async {
        let (_one, address) = bound().await;
        check_code(UdpSocket::bind(address).await, code::IN_USE);
    });
}

#[test]
fn broadcasts_need_permission() {
    run(async {
        let (one, _) = bound().await;
        let everybody = SocketAddr::from(([255, 255, 255, 255], 9));
        let (sent, _) = one.send_to("x", everybody).await;
        check_kind(sent, io::ErrorKind::PermissionDenied);
        one.set_broadcast(true).unwrap();
        let (sent, _) = one.send_to("x", everybody).await;
        // There may be no route, but the permission is there.
        assert!(!sent.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied));
    });
}

#[test]
fn a_socket_goes_to_std_and_back() {
    run(async {
        let (one, address) = bound().await;
        let one = one.into_std().unwrap();
        one.set_nonblocking(true).unwrap();
        let one = UdpSocket::from_std(one).unwrap();
        assert_eq!(one.local_addr().unwrap(), address);
        let waits = timeout(Duration::from_millis(1), one.recv([0; 1])).await;
        assert!(waits.is_err());
    });
}
