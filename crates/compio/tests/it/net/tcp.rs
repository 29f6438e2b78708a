//! TCP.

use std::{io, net::SocketAddr, time::Duration};

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{spawn, yield_now},
};

use crate::support::{check_code, check_kind, code, deserted, is_skipped_on_wine, run, tcp_pair};

#[test]
fn a_connection_without_a_listener_is_refused() {
    run(async {
        let refused = TcpStream::connect(deserted()).await;
        check_code(refused, code::REFUSED);
    });
}

#[test]
fn the_first_address_that_answers_is_connected_to() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let addresses = [deserted(), address, deserted()];
        let client = TcpStream::connect(&addresses[..]).await.unwrap();
        assert_eq!(client.peer_addr().unwrap(), address);
    });
}

#[test]
fn the_last_error_is_returned_if_no_address_answers() {
    run(async {
        // This address is not routable.
        let unroutable = SocketAddr::from(([255, 255, 255, 255], 1));
        let addresses = [unroutable, deserted()];
        check_code(TcpStream::connect(&addresses[..]).await, code::REFUSED);
        let none: &[SocketAddr] = &[];
        check_kind(TcpStream::connect(none).await, io::ErrorKind::InvalidInput);
        check_kind(TcpListener::bind(none).await, io::ErrorKind::InvalidInput);
    });
}

#[test]
fn binding_a_port_in_use_fails() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let taken = TcpListener::bind(listener.local_addr().unwrap()).await;
        check_code(taken, code::IN_USE);
    });
}

#[test]
fn a_recently_used_port_can_be_bound_again() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        // The side that closes first keeps the port busy in TIME_WAIT.
        drop((server, listener));
        assert_eq!(client.read([0; 1]).await.0.unwrap(), 0);
        drop(client);
        TcpListener::bind(address).await.unwrap();
    });
}

#[test]
fn binding_an_address_of_another_machine_fails() {
    run(async {
        let other = TcpListener::bind("192.0.2.1:0").await;
        check_code(other, code::NOT_OURS);
    });
}

#[test]
fn ipv6_works_as_ipv4_does() {
    run(async {
        let listener = TcpListener::bind("[::1]:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(address.is_ipv6());
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert_eq!(server.local_addr().unwrap(), address);
        client.write_all("hello").await.0.unwrap();
        let (read, buffer) = server.read_exact([0; 5]).await;
        read.unwrap();
        assert_eq!(&buffer, b"hello");
    });
}

#[test]
fn each_end_knows_both_addresses() {
    run(async {
        let (client, server) = tcp_pair().await;
        assert_eq!(client.local_addr().unwrap(), server.peer_addr().unwrap());
        assert_eq!(client.peer_addr().unwrap(), server.local_addr().unwrap());
    });
}

#[test]
fn a_reset_by_the_peer_is_an_error_and_the_buffer_comes_back() {
    run(async {
        let (client, mut server) = tcp_pair().await;
        let read = spawn(async move {
            let (read, buffer) = server.read(b"stale".to_vec()).await;
            check_code(read, code::RESET);
            assert_eq!(buffer, b"stale");
        });
        yield_now().await;
        client.set_linger(Some(Duration::ZERO)).unwrap();
        assert_eq!(client.linger().unwrap(), Some(Duration::ZERO));
        drop(client);
        read.await.unwrap();
    });
}

#[test]
fn options_are_as_they_were_set() {
    run(async {
        let (client, _server) = tcp_pair().await;
        assert!(!client.nodelay().unwrap());
        client.set_nodelay(true).unwrap();
        assert!(client.nodelay().unwrap());
        assert_eq!(client.linger().unwrap(), None);
    });
}

#[test]
fn connections_wait_in_the_queue_until_they_are_accepted() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut clients = Vec::new();
        for _ in 0..200 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        for client in &clients {
            let (_server, peer) = listener.accept().await.unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
        }
    });
}

#[test]
fn two_accepts_at_once_take_one_connection_each() {
    run(async {
        let listener = std::rc::Rc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let accepts = [(), ()].map(|()| {
            let listener = listener.clone();
            spawn(async move { listener.accept().await.unwrap().1 })
        });
        let address = listener.local_addr().unwrap();
        let one = TcpStream::connect(address).await.unwrap();
        let other = TcpStream::connect(address).await.unwrap();
        let mut expected = [one, other].map(|client| client.local_addr().unwrap());
        let [first, second] = accepts;
        let mut accepted = [first.await.unwrap(), second.await.unwrap()];
        expected.sort();
        accepted.sort();
        assert_eq!(accepted, expected);
    });
}

#[test]
fn a_listener_goes_to_std_and_back() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = listener.into_std().unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let address = listener.local_addr().unwrap();
        let accept = spawn(async move { listener.accept().await.unwrap().1 });
        yield_now().await;
        let client = TcpStream::connect(address).await.unwrap();
        assert_eq!(accept.await.unwrap(), client.local_addr().unwrap());
    });
}

#[test]
fn an_unconnected_socket_has_no_peer() {
    run(async {
        use compio::driver::OwnedFd;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::from_std(OwnedFd::from(listener).into()).unwrap();
        check_kind(stream.peer_addr(), io::ErrorKind::NotConnected);
        if is_skipped_on_wine("a read of a listener never ends") {
            return;
        }
        let (read, buffer) = (&stream).read(b"stale".to_vec()).await;
        check_kind(read, io::ErrorKind::NotConnected);
        assert_eq!(buffer, b"stale");
    });
}
