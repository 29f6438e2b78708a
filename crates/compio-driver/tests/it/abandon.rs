//! Futures that are dropped, or worse, while the kernel has their operation.

use std::{
    cell::Cell,
    io::{Read, Write},
    net::{TcpListener, UdpSocket},
    rc::Rc,
    sync::mpsc,
    time::Instant,
};

use compio_driver::{
    Driver, SharedFd, SockAddr, Submit,
    op::{Accept, Blocking, Connect, ReadAt, Recv, RecvFrom, RecvMsg},
};

use crate::support::{
    Canary, LONG, begin, check_gone, drain, driver, pipe, pipe_in, run, share, streams,
};

/// A read that has begun and waits.
fn waiting_read(
    driver: &Driver,
    fd: &SharedFd,
    deaths: &Rc<Cell<usize>>,
) -> Submit<ReadAt<Canary>> {
    let mut read = driver.submit(ReadAt::at_cursor(fd.clone(), Canary::new(deaths)));
    begin(driver, &mut read);
    read
}

#[test]
fn the_buffer_stays_until_the_kernel_lets_go() {
    let driver = driver();
    let (reader, _writer) = pipe();
    let deaths = Rc::default();
    let read = waiting_read(&driver, &reader, &deaths);
    driver.turn(Some(std::time::Duration::ZERO)).unwrap();
    drop(read);
    assert_eq!((driver.in_flight(), deaths.get()), (1, 0));
    drain(&driver);
    assert_eq!(deaths.get(), 1);
}

#[test]
fn what_was_never_submitted_is_dropped_like_the_rest() {
    let driver = driver();
    let (reader, _writer) = pipe();
    let deaths = Rc::default();
    drop(waiting_read(&driver, &reader, &deaths));
    drain(&driver);
    assert_eq!(deaths.get(), 1);
}

#[test]
fn completed_and_never_polled_again_it_is_dropped_at_once() {
    let driver = driver();
    let (reader, writer) = pipe();
    let deaths = Rc::default();
    let read = waiting_read(&driver, &reader, &deaths);
    drop(writer);
    drain(&driver);
    assert_eq!(deaths.get(), 0);
    drop(read);
    assert_eq!(deaths.get(), 1);
}

#[test]
fn a_dropped_receive_leaves_later_bytes_where_they_are() {
    let driver = driver();
    let (one, mut other) = streams();
    let mut recv = driver.submit(Recv::new(share(one.try_clone().unwrap()), vec![0; 8], 0));
    begin(&driver, &mut recv);
    driver.turn(Some(std::time::Duration::ZERO)).unwrap();
    drop(recv);
    drain(&driver);
    other.write_all(b"later").unwrap();
    drop(other);
    let mut text = String::new();
    (&one).read_to_string(&mut text).unwrap();
    assert_eq!(text, "later");
}

/// The memory of dropped buffers is used for something else at once: the kernel must not write
/// there when the bytes come.
#[test]
fn memory_that_was_freed_is_never_written_to() {
    let driver = driver();
    for _ in 0..50 {
        let (one, mut other) = streams();
        let one = share(one);
        let mut recv = driver.submit(Recv::new(one, Vec::with_capacity(4096), 0));
        begin(&driver, &mut recv);
        driver.turn(Some(std::time::Duration::ZERO)).unwrap();
        drop(recv);
        let canaries: Vec<_> = (0..8).map(|_| vec![0x55_u8; 4096]).collect();
        let _ = other.write_all(&[0xaa; 4096]);
        drain(&driver);
        assert!(canaries.iter().flatten().all(|byte| *byte == 0x55));
    }
}

/// Headers and addresses live as long as the buffer does.
#[test]
fn dropped_messages_keep_their_headers() {
    let driver = driver();
    for _ in 0..20 {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let fd = share(socket);
        let mut from = driver.submit(RecvFrom::new(fd.clone(), Vec::with_capacity(64), 0));
        let room = [Vec::with_capacity(8), Vec::with_capacity(8)];
        let mut message = driver.submit(RecvMsg::new(fd, room, Vec::with_capacity(64), 0));
        begin(&driver, &mut from);
        begin(&driver, &mut message);
        driver.turn(Some(std::time::Duration::ZERO)).unwrap();
        drop((from, message));
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.send_to(b"one", address).unwrap();
        sender.send_to(b"two", address).unwrap();
        drain(&driver);
    }
}

#[test]
fn a_dropped_connect_keeps_its_address() {
    let driver = driver();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = SockAddr::from(listener.local_addr().unwrap());
    for _ in 0..20 {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let fd = share(socket.unwrap());
        let mut connect = driver.submit(Connect::new(fd, address.clone()));
        begin(&driver, &mut connect);
    }
    drain(&driver);
}

#[test]
fn a_dropped_accept_leaves_the_connection_to_the_next_one() {
    let driver = driver();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let fd = share(listener);
    let mut accept = driver.submit(Accept::new(fd.clone()));
    begin(&driver, &mut accept);
    drop(accept);
    drain(&driver);
    let client = std::net::TcpStream::connect(address).unwrap();
    let (_, peer) = run(&driver, driver.submit(Accept::new(fd))).unwrap();
    assert_eq!(peer.as_socket(), client.local_addr().ok());
}

/// Dropping never waits: here the operation cannot end before its future is gone.
#[test]
fn dropping_what_is_slow_to_give_up_does_not_block() {
    let driver = driver();
    let (started, has_started) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let mut slow = driver.submit(Blocking::new(move || {
        started.send(()).unwrap();
        released.recv().unwrap();
    }));
    begin(&driver, &mut slow);
    has_started.recv().unwrap();
    drop(slow);
    assert_eq!(driver.in_flight(), 1);
    release.send(()).unwrap();
    drain(&driver);
}

#[test]
fn an_operation_keeps_its_descriptor_open() {
    let driver = driver();
    let (one, mut other) = streams();
    let one = share(one);
    let deaths = Rc::default();
    let read = waiting_read(&driver, &one, &deaths);
    let one = one.try_unwrap().expect_err("the operation has it, too");
    drop(one);
    drop(read);
    // Still open: the peer can write.
    other.write_all(b"x").unwrap();
    drain(&driver);
    // With some kinds of sockets it takes a moment until the peer knows.
    let began = Instant::now();
    let error = loop {
        match other.write_all(b"x") {
            Ok(()) => assert!(began.elapsed() < LONG, "nobody has closed it"),
            Err(error) => break error.kind(),
        }
    };
    check_gone(error);
}

/// The same cells over and over, with cancels on their way to flights that are over.
#[test]
fn a_stale_cancel_hits_nobody_else() {
    let driver = driver();
    let (reader, writer) = pipe_in();
    for _ in 0..200 {
        let mut ended = driver.submit(ReadAt::at_cursor(reader.clone(), vec![0; 1]));
        begin(&driver, &mut ended);
        (&writer).write_all(b"a").unwrap();
        drain(&driver);
        // Its wish comes to the kernel together with the next flight of this cell.
        ended.cancel();
        run(&driver, ended).0.unwrap();
        let mut next = driver.submit(ReadAt::at_cursor(reader.clone(), vec![0; 1]));
        begin(&driver, &mut next);
        driver.turn(Some(std::time::Duration::ZERO)).unwrap();
        (&writer).write_all(b"b").unwrap();
        let (len, buffer) = run(&driver, next);
        assert_eq!((len.unwrap(), &buffer[..]), (1, &b"b"[..]));
    }
}

/// The leak is what was asked for; the driver's end must not hang nor free anything.
#[test]
fn a_forgotten_future_is_leaked_and_nothing_else() {
    let driver = driver();
    let (reader, _writer) = pipe();
    let deaths = Rc::default();
    let read = waiting_read(&driver, &reader, &deaths);
    driver.turn(Some(std::time::Duration::ZERO)).unwrap();
    std::mem::forget(read);
    drop(driver);
    assert_eq!(deaths.get(), 0);
}
