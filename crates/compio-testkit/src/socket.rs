//! Sockets of std.

use std::{
    io::Read,
    mem,
    net::{SocketAddr, TcpListener, TcpStream},
    thread::{self, JoinHandle},
};

use socket2::{Domain, Socket, Type};

/// Two connected TCP sockets.
pub fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    let one = TcpStream::connect(address).expect("a connection");
    (one, listener.accept().expect("the same connection").0)
}

/// An address of this machine without a listener: bound for the rest of the process's life, so that no
/// other socket gets it.
pub fn deserted() -> SocketAddr {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).expect("a port");
    let address = socket.local_addr().expect("its address");
    mem::forget(socket);
    address.as_socket().expect("an IP address")
}

/// A thread that reads all bytes of the peer up to EOF.
pub fn read_all(mut peer: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).expect("no error before EOF");
        bytes
    })
}
