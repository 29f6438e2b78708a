//! Handles and sockets of compio's types, by std's traits.

use std::{
    io,
    os::windows::io::{AsHandle, AsRawHandle, AsRawSocket, AsSocket},
};

use compio::{
    driver::{AsFd, AsRawFd, BorrowedFd, RawFd},
    fs::File,
    net::{TcpListener, TcpStream, UdpSocket},
};

use crate::support::{pair, run};

#[track_caller]
fn check_handle(owner: &(impl AsFd + AsRawFd + AsHandle + AsRawHandle)) {
    let handle = owner.as_raw_handle();
    assert_eq!(owner.as_raw_fd(), RawFd::Handle(handle));
    assert_eq!(owner.as_handle().as_raw_handle(), handle);
    assert!(matches!(owner.as_fd(), BorrowedFd::Handle(it) if it.as_raw_handle() == handle));
}

#[track_caller]
fn check_socket(owner: &(impl AsFd + AsRawFd + AsSocket + AsRawSocket)) {
    let socket = owner.as_raw_socket();
    assert_eq!(owner.as_raw_fd(), RawFd::Socket(socket));
    assert_eq!(owner.as_socket().as_raw_socket(), socket);
    assert!(matches!(owner.as_fd(), BorrowedFd::Socket(it) if it.as_raw_socket() == socket));
    // So crates that use std's traits can set a socket's options.
    socket2::SockRef::from(owner)
        .set_recv_buffer_size(4096)
        .expect("a socket");
}

#[test]
fn files_and_pipes_have_handles_and_sockets_have_sockets() -> io::Result<()> {
    run(async {
        check_handle(&File::open("Cargo.toml")?);
        let (server, client) = pair().await;
        check_handle(&server);
        check_handle(&client);

        let listener = TcpListener::bind("127.0.0.1:0").await?;
        check_socket(&listener);
        check_socket(&TcpStream::connect(listener.local_addr()?).await?);
        check_socket(&UdpSocket::bind("127.0.0.1:0").await?);
        Ok(())
    })
}
