//! Connections to host names.

use std::{
    cell::RefCell,
    io::{self, ErrorKind, Write},
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use compio::{
    io::AsyncReadExt,
    net::{Connector, Resolve, TcpStream},
};

use crate::support::run;

/// Longer than a test may take: an attempt that waits for it hangs.
const NEVER: Duration = Duration::from_secs(100_000);

/// Returns these addresses, and keeps the questions.
struct Fixed {
    addresses: Vec<SocketAddr>,
    asked: RefCell<Vec<(String, u16)>>,
}

impl Fixed {
    fn new(addresses: impl Into<Vec<SocketAddr>>) -> Self {
        Self {
            addresses: addresses.into(),
            asked: RefCell::default(),
        }
    }
}

impl Resolve for Fixed {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.asked.borrow_mut().push((host.to_owned(), port));
        Ok(self.addresses.clone())
    }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address that refuses connections.
fn closed() -> SocketAddr {
    listener().1
}

#[test]
fn host_name_is_resolved_and_address_is_not() {
    run(async {
        let (listener, address) = listener();
        let resolver = Fixed::new([address]);
        let connector = Connector::with_resolver(&resolver);
        let stream = connector.connect("db.internal", 5432).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert_eq!(resolver.asked.take(), [("db.internal".to_owned(), 5432)]);
        let port = listener.local_addr().unwrap().port();
        connector.connect("127.0.0.1", port).await.unwrap();
        assert!(resolver.asked.take().is_empty());
    });
}

#[test]
fn refused_attempt_is_followed_at_once() {
    run(async {
        let (_listener, address) = listener();
        let resolver = Fixed::new([closed(), closed(), address]);
        let connector = Connector::with_resolver(resolver).attempt_delay(NEVER);
        let stream = connector.connect("host", 80).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
    });
}

#[test]
fn error_is_of_last_attempt() {
    run(async {
        let connector = Connector::with_resolver(Fixed::new([closed(), closed()]));
        let error = connector.connect("host", 80).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let connector = Connector::with_resolver(Fixed::new([]));
        let error = connector.connect("host", 80).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

/// `localhost` may be `::1` first, where nothing listens.
#[test]
fn stream_connects_to_name_with_an_address_that_refuses() {
    run(async {
        let (listener, address) = listener();
        let mut stream = TcpStream::connect(("localhost", address.port()))
            .await
            .unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(b"hello").unwrap();
        let (read, buffer) = stream.read_exact([0; 5]).await;
        read.unwrap();
        assert_eq!(&buffer, b"hello");
    });
}

#[test]
fn unknown_name_is_an_error() {
    run(async {
        // RFC 6761: no name below `invalid` exists.
        Connector::new()
            .connect("host.invalid", 80)
            .await
            .unwrap_err();
        TcpStream::connect("host.invalid:80").await.unwrap_err();
    });
}

/// A listener whose queue is full: Linux drops further SYNs, as a firewall does.
#[cfg(target_os = "linux")]
mod silent {
    use std::io::Read;

    use compio::io::AsyncWriteExt;

    use super::*;

    /// An address, and sockets that keep it silent.
    fn silent(port: u16) -> (SocketAddr, Vec<socket2::Socket>) {
        use socket2::{Domain, Socket, Type};
        let address = SocketAddr::from(([127, 0, 0, 2], port));
        let new = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let listener = new();
        listener.bind(&address.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut sockets = vec![listener];
        for _ in 0..3 {
            let client = new();
            client.set_nonblocking(true).unwrap();
            let _ = client.connect(&address.into());
            sockets.push(client);
        }
        (address, sockets)
    }

    #[test]
    fn silent_address_delays_connection_by_attempt_delay() {
        run(async {
            let (silent, _sockets) = silent(0);
            let (listener, address) = listener();
            let connector = Connector::with_resolver(Fixed::new([silent, silent, address]))
                .attempt_delay(Duration::from_millis(10));
            // An attempt for a silent address lasts minutes.
            let mut stream = connector.connect("host", 80).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), address);
            let (mut peer, _) = listener.accept().unwrap();
            stream.write_all("hello").await.0.unwrap();
            let mut buffer = [0; 5];
            peer.read_exact(&mut buffer).unwrap();
            assert_eq!(&buffer, b"hello");
        });
    }

    #[test]
    fn drop_cancels_all_attempts() {
        run(async {
            let (silent, _sockets) = silent(0);
            let connector = Connector::with_resolver(Fixed::new([silent; 3]))
                .attempt_delay(Duration::from_millis(1));
            let connect = connector.connect("host", 80);
            let waited = compio::time::timeout(Duration::from_millis(20), connect).await;
            assert!(waited.is_err(), "the address answers");
        });
    }
}
