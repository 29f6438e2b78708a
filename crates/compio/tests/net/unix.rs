//! Unix stream sockets: addresses, credentials, incoming connections.

use std::{ffi::OsStr, io::ErrorKind, os::unix::ffi::OsStrExt, path::Path};

use compio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{BufferPool, UnixListener, UnixStream},
};

use crate::support::{begin, check_kind, pattern, run};

#[test]
fn connections_come_in_order_and_receive_into_a_pool() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let pool = BufferPool::new(2, 100).unwrap();
        let mut incoming = listener.incoming();
        begin(incoming.next()).await;
        for _ in 0..5 {
            let mut client = UnixStream::connect(&path).await.unwrap();
            let server = incoming.next().await.unwrap().unwrap();
            client.write_all(pattern(1000)).await.0.unwrap();
            client.shutdown().await.unwrap();
            let (reader, _writer) = server.into_split();
            let mut stream = reader.recv_stream(&pool);
            let mut got = Vec::new();
            while let Some(buffer) = stream.next().await {
                got.extend_from_slice(&buffer.unwrap());
            }
            assert_eq!(got, pattern(1000));
        }
    });
}

#[test]
fn a_zero_copy_send_falls_back_to_a_copy() {
    run(async {
        let (one, mut other) = UnixStream::pair().unwrap();
        let (sent, loan) = one.send_zero_copy(pattern(100)).await;
        assert_eq!(sent.unwrap(), 100);
        assert_eq!(loan.await, pattern(100));
        let (read, buffer) = other.read_exact(vec![0; 100]).await;
        read.unwrap();
        assert_eq!(buffer, pattern(100));
        let buffers = [pattern(60), pattern(40)];
        let (sent, loan) = one.send_vectored_zero_copy(buffers.clone()).await;
        assert_eq!(sent.unwrap(), 100);
        assert_eq!(loan.await, buffers);
        let (read, buffer) = other.read_exact(vec![0; 100]).await;
        read.unwrap();
        assert_eq!(buffer, buffers.concat());
    });
}

#[test]
fn peeked_bytes_are_not_consumed() {
    run(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        begin(other.peek(vec![0; 5])).await;
        one.write_all("hello").await.0.unwrap();
        let (seen, buffer) = other.peek(Vec::with_capacity(100)).await;
        assert_eq!((seen.unwrap(), &buffer[..]), (5, &b"hello"[..]));
        let (read, _) = other.read_exact([0; 5]).await;
        read.unwrap();
        assert!(one.take_error().unwrap().is_none());
    });
}

#[test]
fn the_peer_has_credentials() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let client = UnixStream::connect(&path).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let (one, other) = UnixStream::pair().unwrap();
        for end in [client, server, one, other] {
            let peer = end.peer_cred().unwrap();
            // SAFETY: no pointers are passed.
            let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
            assert_eq!((peer.uid(), peer.gid()), (uid, gid));
            if cfg!(target_os = "linux") {
                assert_eq!(peer.pid(), Some(std::process::id() as i32));
            }
        }
    });
}

#[test]
fn a_path_with_a_nul_inside_is_none() {
    run(async {
        let path = Path::new(OsStr::from_bytes(b"/tmp/a\0b"));
        check_kind(UnixListener::bind(path), ErrorKind::InvalidInput);
        check_kind(UnixStream::connect(path).await, ErrorKind::InvalidInput);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_is_bound_and_connected_to() {
    use std::os::{linux::net::SocketAddrExt, unix::net::SocketAddr};
    run(async {
        let name = format!("compio net {}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixListener::bind_addr(&address).unwrap();
        assert_eq!(
            listener.local_addr().unwrap().as_abstract_name(),
            Some(name.as_bytes())
        );
        check_kind(UnixListener::bind_addr(&address), ErrorKind::AddrInUse);
        let one = UnixStream::connect_addr(&address).await.unwrap();
        let path = format!("\0{name}");
        let other = UnixStream::connect(&path).await.unwrap();
        for client in [one, other] {
            let told = client.peer_addr().unwrap();
            assert_eq!(told.as_abstract_name(), Some(name.as_bytes()));
            listener.accept().await.unwrap();
        }
        drop(listener);
        check_kind(
            UnixStream::connect_addr(&address).await,
            ErrorKind::ConnectionRefused,
        );
    });
}
