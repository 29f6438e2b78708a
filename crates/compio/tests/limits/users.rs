//! Listeners of another user: a server that has given up its rights cannot bind further ones to their address.

use std::{
    io::Read,
    net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream},
};

use compio::{
    cores::Server,
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    task::block_on,
};
use socket2::{Domain, Socket, Type};

use crate::support::{LONG, alone, become_nobody, bounded};

#[test]
fn a_server_of_listeners_of_another_user_starts() {
    alone(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor");
        socket.set_reuse_port(true).expect("an option");
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        socket.bind(&any.into()).expect("a port");
        socket.listen(100).expect("a queue");
        let listener = StdListener::from(socket);
        let address = listener.local_addr().expect("an address");
        if !become_nobody() {
            return;
        }
        block_on(async {
            let listener = TcpListener::from_std(listener).expect("a listener");
            let server = Server::from_listeners([listener]).workers(3);
            let server = server.start(async |mut stream: TcpStream| {
                stream.write_all("x").await.0.expect("room");
            });
            let server = server.expect("one listener is enough");
            for _ in 0..30 {
                let mut client = StdStream::connect(address).expect("a server");
                client.set_read_timeout(Some(LONG)).expect("an option");
                client.read_exact(&mut [0]).expect("a byte");
            }
            bounded(server.shutdown()).await.expect("no panic");
        });
    });
}
