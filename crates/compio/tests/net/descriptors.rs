//! Conversions from and to std's types, and the handles of sockets.

use std::io::{Read, Write};

use compio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
};

use crate::support::{begin, listener, run, tcp_pair};

#[test]
fn sockets_go_to_std_and_back() {
    run(async {
        let (tcp, address) = listener().await;
        let tcp = std::net::TcpListener::try_from(tcp).unwrap();
        assert_eq!(tcp.local_addr().unwrap(), address);
        // In either mode.
        tcp.set_nonblocking(true).unwrap();
        let tcp = TcpListener::try_from(tcp).unwrap();
        begin(tcp.accept()).await;

        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = udp.local_addr().unwrap();
        let udp = std::net::UdpSocket::try_from(udp).unwrap();
        udp.set_nonblocking(true).unwrap();
        let udp = UdpSocket::try_from(udp).unwrap();
        assert_eq!(udp.local_addr().unwrap(), address);
        begin(udp.recv([0; 1])).await;
    });
}

#[test]
fn a_stream_converted_to_std_blocks_and_keeps_its_bytes() {
    run(async {
        let (client, mut server) = tcp_pair().await;
        server.write_all("hello").await.0.unwrap();
        let mut client = std::net::TcpStream::try_from(client).unwrap();
        let mut bytes = [0; 5];
        client.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"hello");
        client.write_all(b"answer").unwrap();
        let client = TcpStream::try_from(client).unwrap();
        let (read, buffer) = server.read_exact([0; 6]).await;
        read.unwrap();
        assert_eq!(&buffer, b"answer");
        assert_eq!(client.peer_addr().unwrap(), server.local_addr().unwrap());
    });
}

#[test]
fn a_socket_with_other_handles_is_not_converted() {
    run(async {
        let (listener, address) = listener().await;
        let incoming = listener.incoming();
        let listener = listener.into_std().unwrap_err();
        assert_eq!(listener.local_addr().unwrap(), address);
        drop(incoming);
        listener.into_std().unwrap();
    });
}

#[test]
fn options_without_a_method_are_set_by_socket2() {
    run(async {
        let (client, _server) = tcp_pair().await;
        let options = socket2::SockRef::from(&client);
        options.set_out_of_band_inline(true).unwrap();
        assert!(options.out_of_band_inline().unwrap());
    });
}

#[cfg(windows)]
#[test]
fn there_are_no_unix_sockets_on_windows() {
    use std::io::ErrorKind;

    use compio::net::{UnixDatagram, UnixListener, UnixStream};

    use crate::support::check_kind;

    run(async {
        check_kind(UnixListener::bind("socket"), ErrorKind::Unsupported);
        check_kind(UnixStream::connect("socket").await, ErrorKind::Unsupported);
        check_kind(UnixDatagram::bind("socket"), ErrorKind::Unsupported);
        check_kind(UnixDatagram::unbound(), ErrorKind::Unsupported);
    });
}
