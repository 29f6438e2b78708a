//! Sockets that are neither listener nor stream yet.

use std::{io::ErrorKind, net::SocketAddr};

use compio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::support::{check_kind, deserted, listener, run};

fn any_v4() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

#[test]
fn a_socket_becomes_a_listener_or_a_stream() {
    run(async {
        for (socket, any) in [
            (TcpSocket::new_v4().unwrap(), any_v4()),
            (TcpSocket::new_v6().unwrap(), "[::1]:0".parse().unwrap()),
        ] {
            socket.bind(any).unwrap();
            let address = socket.local_addr().unwrap();
            let listener = socket.listen(5).unwrap();
            assert_eq!(listener.local_addr().unwrap(), address);
            let client = if any.is_ipv4() {
                TcpSocket::new_v4()
            } else {
                TcpSocket::new_v6()
            };
            let mut client = client.unwrap().connect(address).await.unwrap();
            let (mut server, peer) = listener.accept().await.unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
            client.write_all("hello").await.0.unwrap();
            server.read_exact([0; 5]).await.0.unwrap();
        }
    });
}

#[test]
fn a_client_binds_its_own_address() {
    run(async {
        let (listener, address) = listener().await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(any_v4()).unwrap();
        let from = socket.local_addr().unwrap();
        let client = socket.connect(address).await.unwrap();
        assert_eq!(client.local_addr().unwrap(), from);
        assert_eq!(listener.accept().await.unwrap().1, from);
    });
}

#[test]
fn a_bound_address_cannot_be_bound_again() {
    run(async {
        let (_listener, address) = listener().await;
        let socket = TcpSocket::new_v4().unwrap();
        check_kind(socket.bind(address), ErrorKind::AddrInUse);
        let twice = TcpSocket::new_v4().unwrap();
        twice.bind(any_v4()).unwrap();
        check_kind(twice.bind(any_v4()), ErrorKind::InvalidInput);
        let elsewhere = TcpSocket::new_v4().unwrap();
        let other = SocketAddr::from(([192, 0, 2, 1], 0));
        check_kind(elsewhere.bind(other), ErrorKind::AddrNotAvailable);
    });
}

#[test]
fn connecting_without_a_listener_is_refused() {
    run(async {
        let socket = TcpSocket::new_v4().unwrap();
        check_kind(
            socket.connect(deserted()).await,
            ErrorKind::ConnectionRefused,
        );
    });
}

#[test]
fn reuse_of_an_address_is_an_option() {
    run(async {
        let socket = TcpSocket::new_v4().unwrap();
        assert!(!socket.reuseaddr().unwrap());
        socket.set_reuseaddr(true).unwrap();
        assert!(socket.reuseaddr().unwrap());
    });
}

#[test]
fn a_socket_of_std_is_adopted() {
    run(async {
        let (_listener, address) = listener().await;
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let socket = TcpSocket::from_std_stream(socket.into());
        let stream: TcpStream = socket.unwrap().connect(address).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
    });
}

#[cfg(unix)]
#[test]
fn listeners_with_reuse_port_share_a_port() {
    run(async {
        let first = TcpSocket::new_v4().unwrap();
        first.set_reuseport(true).unwrap();
        assert!(first.reuseport().unwrap());
        first.bind(any_v4()).unwrap();
        let first = first.listen(5).unwrap();
        let address = first.local_addr().unwrap();
        let second = TcpSocket::new_v4().unwrap();
        second.set_reuseport(true).unwrap();
        second.bind(address).unwrap();
        second.listen(5).unwrap();
        check_kind(
            compio::net::TcpListener::bind(address).await,
            ErrorKind::AddrInUse,
        );
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_is_bound_to_a_device() {
    run(async {
        let (_listener, address) = listener().await;
        let socket = TcpSocket::new_v4().unwrap();
        assert_eq!(socket.device().unwrap(), None);
        match socket.bind_device(Some(b"lo")) {
            // Old kernels require a privilege.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return,
            bound => bound.unwrap(),
        }
        assert_eq!(socket.device().unwrap().as_deref(), Some(&b"lo"[..]));
        socket.connect(address).await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        let none = socket.bind_device(Some(b"no such device"));
        assert_eq!(none.unwrap_err().raw_os_error(), Some(libc::ENODEV));
    });
}
