//! `close` of sockets.

use std::io::ErrorKind;

use compio::{
    io::{AsyncRead, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
};

use crate::support::{begin, run, tcp_pair};

#[test]
fn closed_stream_is_eof_for_its_peer() {
    run(async {
        let (mut client, mut server) = tcp_pair().await;
        client.write_all("last").await.0.unwrap();
        client.close().await.unwrap();
        let (read, buffer) = server.read([0; 8]).await;
        assert_eq!(&buffer[..read.unwrap()], b"last");
        assert_eq!(server.read([0; 8]).await.0.unwrap(), 0);
        server.close().await.unwrap();
    });
}

#[test]
fn closed_listener_and_udp_socket_release_their_ports() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        begin(listener.accept()).await;
        let mut listener = listener;
        listener.settle().await;
        listener.close().await.unwrap();
        let error = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        socket.close().await.unwrap();
        UdpSocket::bind(address).await.unwrap();
    });
}
