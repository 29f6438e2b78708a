//! Shared helpers of the tests.

use std::{
    fmt::Debug,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::pin,
    task::Poll,
    time::Duration,
};

use compio::{
    net::{TcpListener, TcpStream},
    task::block_on,
    time::timeout,
};

/// A limit that only a hang exceeds.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// Runs a test's body, with a limit of time.
pub(crate) fn run<F: Future>(body: F) -> F::Output {
    block_on(async { timeout(LONG, body).await.expect("this takes too long") })
}

/// Polls the future once, expects it to wait, and drops it.
pub(crate) async fn give_up<F: Future>(future: F) {
    let mut future = pin!(future);
    poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending(), "it should wait");
        Poll::Ready(())
    })
    .await;
}

/// A listener on a new port.
pub(crate) async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("its address");
    (listener, address)
}

/// An address of this machine without a listener.
pub(crate) async fn deserted() -> SocketAddr {
    // Bound, so that no other socket gets the port, but not listening. It stays open until the process
    // ends.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    std::mem::forget(socket);
    address
}

/// Two connected ends of a TCP connection.
pub(crate) async fn tcp_pair() -> (TcpStream, TcpStream) {
    let (listener, address) = listener().await;
    let client = TcpStream::connect(address).await.expect("a connection");
    let (server, _) = listener.accept().await.expect("its other end");
    (client, server)
}

/// Checks that the operation failed with this kind of error.
#[track_caller]
pub(crate) fn check_kind<T: Debug>(result: io::Result<T>, kind: io::ErrorKind) {
    let error = result.expect_err("it should fail");
    assert_eq!(error.kind(), kind, "{error}");
}

/// Bytes that identify their position.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 31 % 251) as u8).collect()
}
