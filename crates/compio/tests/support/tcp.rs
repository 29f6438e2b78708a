//! TCP over the loopback interface. The binaries of this folder include this file.

use std::net::SocketAddr;

use compio::net::{TcpListener, TcpStream};

/// A listener on a new port.
pub(crate) async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("its address");
    (listener, address)
}

/// Two connected ends of a TCP connection.
pub(crate) async fn tcp_pair() -> (TcpStream, TcpStream) {
    let (listener, address) = listener().await;
    let client = TcpStream::connect(address).await.expect("a connection");
    let (server, peer) = listener.accept().await.expect("its other end");
    assert_eq!(peer, client.local_addr().expect("an address"));
    (client, server)
}
