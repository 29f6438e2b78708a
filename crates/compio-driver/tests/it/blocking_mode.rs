//! Descriptors in blocking mode never block the driver's thread.

use std::{
    io::{Read, Write},
    marker,
    net::TcpListener,
    thread,
    time::Duration,
};

use compio_driver::{
    Driver, SharedFd, SockAddr,
    op::{Accept, Connect, ReadAt, Recv, Send, WriteAt},
};

use crate::support::{
    SENDS_CHANGE_MODE, begin, check_blocks, check_code, code, deserted, each_backend, fair_driver,
    pipe, pipe_in, pipe_out, run, share, start, streams, tcp, unblocked,
};

/// Writes much more than the tested end has room for, at the cursor.
pub(crate) fn check_full(writer: SharedFd, mut reader: impl Read + marker::Send + 'static) {
    let driver = fair_driver();
    let mut written = 0;
    // The first writes may find room.
    let mut waiting = loop {
        let bytes = vec![7_u8; 1 << 20];
        let mut write = driver.submit(WriteAt::at_cursor(writer.clone(), bytes));
        match start(&driver, &mut write) {
            Some((len, _)) => written += len.unwrap(),
            None => break write,
        }
    };
    for _ in 0..10 {
        driver.turn(Some(Duration::from_millis(1))).unwrap();
        if let Some((len, _)) = start(&driver, &mut waiting) {
            written += len.unwrap();
            waiting = driver.submit(WriteAt::at_cursor(writer.clone(), vec![7_u8; 1 << 20]));
        }
    }
    if !SENDS_CHANGE_MODE {
        check_blocks(&writer);
    }
    // The thread has not been blocked. Now there is room.
    let reading = thread::spawn(move || {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        all.len()
    });
    written += run(&driver, waiting).0.unwrap();
    drop(writer);
    assert_eq!(reading.join().unwrap(), written);
}

#[test]
fn a_full_pipe() {
    unblocked(|| {
        let (reader, writer) = pipe_out();
        check_full(writer, reader);
    });
}

#[test]
fn a_full_socket() {
    unblocked(|| {
        let (near, far) = streams();
        check_full(share(near), far);
        let (near, far) = tcp();
        check_full(share(near), far);
    });
}

/// The driver reads an empty pipe or socket until the test writes, and reads EOF when the writer is
/// gone.
pub(crate) fn check_empty(driver: &Driver, reader: SharedFd, mut writer: impl Write) {
    let mut read = driver.submit(ReadAt::at_cursor(reader.clone(), vec![0; 8]));
    begin(driver, &mut read);
    driver.turn(Some(Duration::from_millis(1))).unwrap();
    begin(driver, &mut read);
    writer.write_all(b"x").unwrap();
    assert_eq!(run(driver, read).1, b"x");
    check_blocks(&reader);
    drop(writer);
    let end = driver.submit(ReadAt::at_cursor(reader, vec![0; 8]));
    assert_eq!(run(driver, end).0.unwrap(), 0);
}

#[test]
fn an_empty_pipe() {
    unblocked(|| {
        for driver in each_backend() {
            let (reader, writer) = pipe_in();
            check_empty(&driver, reader, writer);
        }
    });
}

#[test]
fn a_listener() {
    unblocked(|| {
        for driver in each_backend() {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let listener = share(listener);
            let mut accept = driver.submit(Accept::new(listener.clone()));
            begin(&driver, &mut accept);
            driver.turn(Some(Duration::from_millis(1))).unwrap();
            begin(&driver, &mut accept);
            let client = std::net::TcpStream::connect(address).unwrap();
            let (accepted, peer) = run(&driver, accept).unwrap();
            assert_eq!(peer.as_socket(), client.local_addr().ok());
            check_blocks(&accepted);
        }
    });
}

pub(crate) fn socket(domain: socket2::Domain) -> SharedFd {
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None);
    share(socket.unwrap())
}

#[test]
fn a_connect_leaves_the_mode_as_it_was() {
    unblocked(|| {
        for driver in each_backend() {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = SockAddr::from(listener.local_addr().unwrap());
            let fd = socket(socket2::Domain::IPV4);
            let connect = Connect::new(fd.clone(), address.clone());
            run(&driver, driver.submit(connect)).unwrap();
            check_blocks(&fd);
            // The socket is connected already.
            let again = Connect::new(fd.clone(), address);
            check_code(run(&driver, driver.submit(again)), code::CONNECTED_ALREADY);
            let (mut far, _) = listener.accept().unwrap();
            run(&driver, driver.submit(Send::new(fd, "x", 0)))
                .0
                .unwrap();
            far.read_exact(&mut [0; 1]).unwrap();
        }
    });
}

#[test]
fn a_connect_without_a_listener_is_refused() {
    for driver in each_backend() {
        let address = SockAddr::from(deserted());
        let fd = socket(socket2::Domain::IPV4);
        let connect = Connect::new(fd.clone(), address.clone());
        check_code(run(&driver, driver.submit(connect)), code::REFUSED);
        // The second connect fails, too, on systems where a socket may try again.
        let again = Connect::new(fd, address);
        run(&driver, driver.submit(again)).unwrap_err();
    }
}

#[test]
fn a_read_at_the_cursor_of_a_socket_waits_for_bytes() {
    unblocked(|| {
        for driver in each_backend() {
            let (near, mut far) = tcp();
            let near = share(near);
            let mut read = driver.submit(ReadAt::at_cursor(near.clone(), vec![0; 8]));
            begin(&driver, &mut read);
            let mut recv = driver.submit(Recv::new(near, vec![0; 8], 0));
            begin(&driver, &mut recv);
            far.write_all(b"one").unwrap();
            assert_eq!(run(&driver, read).1, b"one");
            far.write_all(b"two").unwrap();
            assert_eq!(run(&driver, recv).1, b"two");
        }
    });
}

/// A stream ignores positions.
#[test]
fn positions_of_a_stream_are_ignored() {
    unblocked(|| {
        for driver in each_backend() {
            let (reader, writer) = pipe();
            let mut read = driver.submit(ReadAt::new(reader, 77, Vec::with_capacity(8)));
            begin(&driver, &mut read);
            driver.turn(Some(Duration::from_millis(1))).unwrap();
            begin(&driver, &mut read);
            let write = driver.submit(WriteAt::new(writer, 99, "hello"));
            assert_eq!(run(&driver, write).0.unwrap(), 5);
            assert_eq!(run(&driver, read).1, b"hello");
        }
    });
}
