//! Creation and control of sockets and pipes.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown as Direction, TcpListener, TcpStream, UdpSocket},
};

use compio_driver::{
    Driver, OwnedFd, SharedFd, SockAddr,
    op::{Accept, Bind, Listen, Pipe, ReadAt, Shutdown, Socket, WriteAt},
};
use socket2::{Domain, Type};

use crate::support::{
    check_kind, deserted, driver, is_inherited, poll_once, run, share, sockets, tcp,
};

fn socket(driver: &Driver, kind: Type) -> SharedFd {
    let socket = Socket::new(Domain::IPV4.into(), kind.into(), 0);
    SharedFd::from(run(driver, driver.submit(socket)).expect("a socket"))
}

fn any_port() -> SockAddr {
    std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()
}

#[test]
fn bound_and_listening_socket_accepts() {
    let driver = driver();
    let fd = socket(&driver, Type::STREAM);
    run(&driver, driver.submit(Bind::new(fd.clone(), any_port()))).unwrap();
    run(&driver, driver.submit(Listen::new(fd.clone(), 8))).unwrap();
    let listener = TcpListener::from(fd.try_unwrap().unwrap());
    let address = listener.local_addr().unwrap();
    let fd = share(listener);
    let mut client = TcpStream::connect(address).unwrap();
    let (server, peer) = run(&driver, driver.submit(Accept::new(fd))).unwrap();
    assert_eq!(peer.as_socket(), Some(client.local_addr().unwrap()));
    client.write_all(b"hello").unwrap();
    let mut bytes = [0; 5];
    TcpStream::from(server).read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
}

#[test]
fn bind_to_a_used_address_is_refused() {
    let driver = driver();
    let fd = socket(&driver, Type::STREAM);
    let bind = Bind::new(fd, deserted().into());
    check_kind(run(&driver, driver.submit(bind)), ErrorKind::AddrInUse);
}

#[test]
fn datagram_socket_is_bound_and_does_not_listen() {
    let driver = driver();
    let fd = socket(&driver, Type::DGRAM);
    run(&driver, driver.submit(Bind::new(fd.clone(), any_port()))).unwrap();
    run(&driver, driver.submit(Listen::new(fd.clone(), 8))).expect_err("not a stream");
    let socket = UdpSocket::from(fd.try_unwrap().unwrap());
    assert_ne!(socket.local_addr().unwrap().port(), 0);
}

#[test]
fn shutdown_of_the_sending_side_is_eof() {
    let driver = driver();
    let (ours, mut theirs) = tcp();
    let shutdown = Shutdown::new(share(ours), Direction::Write);
    run(&driver, driver.submit(shutdown)).unwrap();
    assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
}

#[test]
fn pipe_carries_bytes_and_its_ends_are_not_inherited() {
    let driver = driver();
    let (reader, writer) = run(&driver, driver.submit(Pipe::new())).unwrap();
    assert!(!is_inherited(&reader) && !is_inherited(&writer));
    let (reader, writer) = (share(reader), share(writer));
    let write = WriteAt::at_cursor(writer.clone(), "hello");
    assert_eq!(run(&driver, driver.submit(write)).0.unwrap(), 5);
    let read = || ReadAt::at_cursor(reader.clone(), Vec::with_capacity(8));
    assert_eq!(run(&driver, driver.submit(read())).1, b"hello");
    drop::<OwnedFd>(writer.try_unwrap().unwrap());
    assert_eq!(run(&driver, driver.submit(read())).0.unwrap(), 0);
}

#[test]
fn dropped_controls_end_with_the_driver() {
    let driver = driver();
    let (one, _other) = sockets();
    let address = any_port();
    for _ in 0..100 {
        drop(poll_once(&driver, &mut driver.submit(Pipe::new())));
        let bind = Bind::new(one.clone(), address.clone());
        drop(poll_once(&driver, &mut driver.submit(bind)));
        let listen = Listen::new(one.clone(), 1);
        drop(poll_once(&driver, &mut driver.submit(listen)));
    }
    drop(driver);
    one.try_unwrap().expect("no operation holds the socket");
}
