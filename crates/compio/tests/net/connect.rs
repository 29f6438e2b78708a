//! Connecting: addresses, timeouts and errors.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use compio::{
    io::{AsyncRead, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{LONG, check_kind, deserted, listener, run};

#[test]
fn connecting_within_the_timeout_succeeds() {
    run(async {
        let (listener, address) = listener().await;
        let client = TcpStream::connect_timeout(&address, LONG).await.unwrap();
        let (mut server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        server.write_all("hello").await.0.unwrap();
        assert_eq!((&client).read([0; 5]).await.0.unwrap(), 5);
    });
}

#[test]
fn connecting_with_a_zero_timeout_fails() {
    run(async {
        let (_listener, address) = listener().await;
        let connected = TcpStream::connect_timeout(&address, Duration::ZERO).await;
        check_kind(connected, ErrorKind::InvalidInput);
    });
}

#[test]
fn a_refusal_comes_before_the_time_is_up() {
    run(async {
        let refused = TcpStream::connect_timeout(&deserted(), LONG).await;
        check_kind(refused, ErrorKind::ConnectionRefused);
        check_kind(
            TcpStream::connect(deserted()).await,
            ErrorKind::ConnectionRefused,
        );
    });
}

/// On other systems, a connect to a full queue is refused.
#[cfg(target_os = "linux")]
#[test]
fn connecting_without_an_answer_times_out() {
    use std::time::Instant;

    use compio::net::TcpSocket;

    run(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let patience = Duration::from_millis(200);
        // The queue has room for one or two connections; later connects get no answer.
        let mut connected = Vec::new();
        let begin = Instant::now();
        let error = loop {
            match TcpStream::connect_timeout(&address, patience).await {
                Ok(stream) => connected.push(stream),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(begin.elapsed() >= patience);
        for _ in &connected {
            listener.accept().await.unwrap();
        }
    });
}

#[test]
fn invalid_addresses_are_refused_and_unreachable_ones_skipped() {
    run(async {
        let none: &[SocketAddr] = &[];
        check_kind(TcpStream::connect(none).await, ErrorKind::InvalidInput);
        check_kind(
            TcpStream::connect("127.0.0.1").await,
            ErrorKind::InvalidInput,
        );
        check_kind(
            TcpStream::connect("127.0.0.1:70000").await,
            ErrorKind::InvalidInput,
        );
        let (_listener, address) = listener().await;
        let addresses = [deserted(), address, deserted()];
        let client = TcpStream::connect(&addresses[..]).await.unwrap();
        assert_eq!(client.peer_addr().unwrap(), address);
    });
}

#[test]
fn binding_a_port_in_use_fails() {
    run(async {
        let (_listener, address) = listener().await;
        check_kind(TcpListener::bind(address).await, ErrorKind::AddrInUse);
    });
}

#[test]
fn a_recently_used_port_can_be_bound_again() {
    run(async {
        let (listener, address) = listener().await;
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
        check_kind(other, ErrorKind::AddrNotAvailable);
    });
}

/// Wine fetches the error before the read does, and loses it. Windows does not.
#[cfg(not(windows))]
#[test]
fn a_socket_that_was_reset_holds_no_error_after_it_was_reported() {
    run(async {
        let (client, mut server) = crate::support::tcp_pair().await;
        assert!(server.take_error().unwrap().is_none());
        client.set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        let (read, buffer) = server.read(b"stale".to_vec()).await;
        check_kind(read, ErrorKind::ConnectionReset);
        assert_eq!(buffer, b"stale");
        assert!(server.take_error().unwrap().is_none());
    });
}
