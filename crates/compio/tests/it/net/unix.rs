//! Unix sockets, in particular their addresses.

use std::{
    io,
    net::Shutdown,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
};

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{UnixDatagram, UnixListener, UnixStream},
    task::{spawn, yield_now},
};

use crate::support::{check_code, check_kind, run, tcp_pair};

tests_of_a_pair!(UnixStream::pair().unwrap());

#[test]
fn a_listener_at_a_path_is_connected_to() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(&*path));
        let mut client = UnixStream::connect(&path).await.unwrap();
        let (mut server, peer) = listener.accept().await.unwrap();
        assert!(peer.is_unnamed());
        assert!(client.local_addr().unwrap().is_unnamed());
        assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(&*path));
        assert_eq!(server.local_addr().unwrap().as_pathname(), Some(&*path));
        client.write_all("hello").await.0.unwrap();
        let (read, buffer) = server.read_exact([0; 5]).await;
        read.unwrap();
        assert_eq!(&buffer, b"hello");
    });
}

#[test]
fn an_accepted_peer_has_its_path() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (at, from) = (dir.path().join("server"), dir.path().join("client"));
        let listener = UnixListener::bind(&at).unwrap();
        // A client with a name: bound as a listener, connected as a stream.
        let named = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
        let named = named.unwrap();
        named
            .bind(&socket2::SockAddr::unix(&from).unwrap())
            .unwrap();
        let accept = spawn(async move { listener.accept().await.unwrap().1 });
        named
            .connect(&socket2::SockAddr::unix(&at).unwrap())
            .unwrap();
        assert_eq!(accept.await.unwrap().as_pathname(), Some(&*from));
    });
}

#[test]
fn a_path_of_the_greatest_length_works_and_a_longer_one_does_not() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let room = 107 - dir.path().as_os_str().as_bytes().len() - 1;
        let longest = dir.path().join("x".repeat(room));
        let listener = UnixListener::bind(&longest).unwrap();
        assert_eq!(
            listener.local_addr().unwrap().as_pathname(),
            Some(&*longest)
        );
        let client = UnixStream::connect(&longest).await.unwrap();
        assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(&*longest));
        let longer = dir.path().join("x".repeat(room + 1));
        check_kind(UnixListener::bind(&longer), io::ErrorKind::InvalidInput);
        check_kind(
            UnixStream::connect(&longer).await,
            io::ErrorKind::InvalidInput,
        );
    });
}

#[test]
fn a_missing_path_is_not_found_and_a_deserted_one_refuses() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        check_kind(UnixStream::connect(&path).await, io::ErrorKind::NotFound);
        drop(UnixListener::bind(&path).unwrap());
        check_code(UnixStream::connect(&path).await, libc::ECONNREFUSED);
        check_code(UnixListener::bind(&path), libc::EADDRINUSE);
    });
}

#[cfg(all(target_os = "linux", not(compio_portable)))]
#[test]
fn an_abstract_name_is_reported_unchanged() {
    use std::os::{linux::net::SocketAddrExt, unix::net as std_net};

    run(async {
        let name = format!("compio test {}", std::process::id());
        let address = std_net::SocketAddr::from_abstract_name(&name).unwrap();
        let listener = std_net::UnixListener::bind_addr(&address).unwrap();
        let listener = UnixListener::from_std(listener).unwrap();
        let told = listener.local_addr().unwrap();
        assert_eq!(told.as_abstract_name(), Some(name.as_bytes()));
        let client = std_net::UnixStream::connect_addr(&address).unwrap();
        let client = UnixStream::from_std(client).unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        assert!(peer.is_unnamed());
        for told in [client.peer_addr(), server.local_addr()] {
            assert_eq!(told.unwrap().as_abstract_name(), Some(name.as_bytes()));
        }
    });
}

#[test]
fn pairs_have_no_names() {
    let (one, other) = UnixStream::pair().unwrap();
    for address in [one.local_addr(), one.peer_addr(), other.local_addr()] {
        assert!(address.unwrap().is_unnamed());
    }
}

#[test]
fn a_listener_goes_to_std_and_back() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap().into_std().unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = UnixListener::from_std(listener).unwrap();
        let accept = spawn(async move { listener.accept().await.map(drop) });
        compio::task::yield_now().await;
        UnixStream::connect(&path).await.unwrap();
        accept.await.unwrap().unwrap();
    });
}

#[test]
fn a_file_that_is_no_socket_is_refused() {
    let file = OwnedFd::from(tempfile::tempfile().unwrap());
    let stream = UnixStream::from_std(file.into());
    if let Ok(stream) = stream {
        let error = stream.local_addr().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTSOCK));
    }
}

/// As on TCP here. On Windows the read goes on until the peer sends or closes.
async fn shut_down_under_a_read<S>((client, server): (S, S))
where
    S: AsFd + 'static,
    for<'s> &'s S: AsyncRead,
{
    let server = std::rc::Rc::new(server);
    let reader = server.clone();
    let read = spawn(async move { (&*reader).read(Vec::with_capacity(8)).await.0 });
    yield_now().await;
    socket2::SockRef::from(&*server)
        .shutdown(Shutdown::Both)
        .unwrap();
    assert_eq!(read.await.unwrap().unwrap(), 0);
    drop(client);
}

#[test]
fn a_shutdown_ends_a_read_in_flight() {
    run(async { shut_down_under_a_read(UnixStream::pair().unwrap()).await });
    run(async { shut_down_under_a_read(tcp_pair().await).await });
}

#[test]
fn receive_of_datagrams_ends_with_a_shutdown() {
    run(async {
        let (_one, other) = UnixDatagram::pair().unwrap();
        let other = std::rc::Rc::new(other);
        let receiver = other.clone();
        let waits = spawn(async move { receiver.recv(Vec::with_capacity(8)).await.0 });
        yield_now().await;
        other.shutdown(Shutdown::Read).unwrap();
        assert_eq!(waits.await.unwrap().unwrap(), 0);
        // Each later one, too.
        assert_eq!(other.recv([0; 8]).await.0.unwrap(), 0);
    });
}

#[test]
fn receives_of_datagrams_after_a_shutdown_end() {
    run(async {
        let (one, other) = UnixDatagram::pair().unwrap();
        one.send("sent before").await.0.unwrap();
        other.shutdown(Shutdown::Read).unwrap();
        assert_eq!(other.recv([0; 16]).await.0.unwrap(), 11);
        let (received, _) = other.recv_from([0; 8]).await;
        let (len, from) = received.unwrap();
        assert_eq!((len, from.is_unnamed()), (0, true));
        assert_eq!(other.peek([0; 8]).await.0.unwrap(), 0);
    });
}
