//! `Poller::push`: operations that stay with their caller.

use std::{io, time::Duration};

use compio_driver::{
    AsRawFd, Poller, SockAddr,
    op::{
        Nop, ReadAt, ReadVectoredAt, Recv, RecvFrom, RecvMsg, Send, SendMsg, SendTo, Shutdown,
        WriteAt, WriteVectoredAt,
    },
};
use compio_io::buf::IntoInner;

use crate::support::{LONG, check_code, code, driver, file, pipe, sockets, tiny_driver};

#[test]
fn a_file_is_read_as_the_description_says() {
    let (_, file) = file(b"hello");
    let driver = driver();
    driver.attach(file.as_raw_fd()).unwrap();

    let mut op = ReadAt::new(file.as_raw_fd(), 1, Vec::with_capacity(64));
    // SAFETY: the operation stays here until its entry has come.
    unsafe { driver.push(&mut op, 3) }.unwrap();
    let entry = driver.poll_one(None).unwrap();
    assert_eq!(entry.user_data(), 3);

    let n = entry.into_result().unwrap();
    // SAFETY: the entry said so.
    let buffer = unsafe { op.into_inner().assume_len(n) };
    assert_eq!(buffer, b"ello");
}

#[test]
fn more_operations_than_the_queues_hold_all_end() {
    let driver = tiny_driver();
    let mut ops = [Nop::new(); 1000];
    for (number, op) in ops.iter_mut().enumerate() {
        // SAFETY: the operations stay here until all entries have come.
        unsafe { driver.push(op, number) }.unwrap();
    }
    let mut entries = Vec::new();
    while entries.len() < ops.len() {
        driver.poll(None, &mut entries).unwrap();
    }
    let mut numbers: Vec<_> = entries.iter().map(|entry| entry.user_data()).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..1000));
}

#[test]
fn poll_one_of_a_pending_operation_times_out() {
    let driver = driver();
    let (read, _write) = pipe();
    let mut op = ReadAt::at_cursor(read.as_raw_fd(), vec![0; 8]);
    // SAFETY: the operation stays here until its entry has come.
    unsafe { driver.push(&mut op, 0) }.unwrap();
    let error = driver.poll_one(Some(Duration::from_millis(5))).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);

    driver.cancel(0);
    check_code(
        driver.poll_one(None).unwrap().into_result(),
        code::CANCELLED,
    );
}

#[test]
fn poll_one_without_operations_is_refused() {
    let error = driver().poll_one(None).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn cancelling_an_unknown_number_does_nothing() {
    let driver = driver();
    driver.cancel(99);
    assert_eq!(driver.in_flight(), 0);
}

#[test]
fn sockets_and_pipes_are_pushed_too() {
    let driver = driver();
    let (one, other) = sockets();
    let mut send = Send::new(one.as_raw_fd(), b"hello".to_vec(), 0);
    let mut shutdown = Shutdown::new(one.as_raw_fd(), std::net::Shutdown::Write);
    let mut recv = Recv::new(other.as_raw_fd(), Vec::with_capacity(64), 0);
    // SAFETY: each operation stays here until its entry has come.
    unsafe {
        driver.push(&mut send, 1).unwrap();
        assert_eq!(driver.poll_one(None).unwrap().into_result().unwrap(), 5);
        driver.push(&mut shutdown, 2).unwrap();
        assert_eq!(driver.poll_one(None).unwrap().user_data(), 2);
        driver.push(&mut recv, 3).unwrap();
    }
    assert_eq!(send.into_inner(), b"hello");
    let n = driver.poll_one(None).unwrap().into_result().unwrap();
    // SAFETY: the entry said so.
    assert_eq!(unsafe { recv.into_inner().assume_len(n) }, b"hello");
}

#[test]
fn pushed_datagram_operations_return_their_buffers() {
    let driver = driver();
    let [one, other] = [(); 2].map(|()| std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    let address = SockAddr::from(other.local_addr().unwrap());
    other.connect(one.local_addr().unwrap()).unwrap();
    let mut send = SendTo::new(one.as_raw_fd(), b"hello".to_vec(), address.clone(), 0);
    let mut send_msg = SendMsg::new(one.as_raw_fd(), ["wo", "rld"], [], Some(address), 0);
    let mut recv = RecvFrom::new(other.as_raw_fd(), Vec::with_capacity(64), 0);
    let buffers = [Vec::with_capacity(2), Vec::with_capacity(64)];
    let mut recv_msg = RecvMsg::new(other.as_raw_fd(), buffers, Vec::with_capacity(8), 0);
    let next = || driver.poll_one(None).unwrap().into_result().unwrap();
    // SAFETY: each operation stays here until its entry has come, and the entries say so.
    unsafe {
        driver.push(&mut send, 1).unwrap();
        assert_eq!(next(), 5);
        driver.push(&mut send_msg, 2).unwrap();
        assert_eq!(next(), 5);
        driver.push(&mut recv, 3).unwrap();
        let len = next();
        assert_eq!(recv.into_inner().assume_len(len), b"hello");
        driver.push(&mut recv_msg, 4).unwrap();
        let len = next();
        let (buffers, control) = recv_msg.into_inner();
        let [first, rest] = buffers.assume_len(len);
        assert_eq!((&first[..], &rest[..]), (&b"wo"[..], &b"rld"[..]));
        assert_eq!(control.into_inner(), b"");
    }
    assert_eq!(send.into_inner(), b"hello");
    assert_eq!(send_msg.into_inner().0, ["wo", "rld"]);
}

#[test]
fn pushed_vectored_file_operations_return_their_buffers() {
    let (_, file) = file(b"hello world");
    let driver = driver();
    let buffers = [Vec::with_capacity(2), Vec::with_capacity(3)];
    let mut read = ReadVectoredAt::new(file.as_raw_fd(), 6, buffers);
    // SAFETY: the operation stays here until its entry has come.
    unsafe { driver.push(&mut read, 1) }.unwrap();
    let len = driver.poll_one(None).unwrap().into_result().unwrap();
    // SAFETY: the entry said so.
    let filled = unsafe { read.into_inner().assume_len(len) }.concat();
    // Windows fills the first buffer only.
    assert!(len > 0 && filled == b"world"[..len], "{filled:?}");

    let mut write = WriteVectoredAt::new(file.as_raw_fd(), 0, ["x", "yz"]);
    // SAFETY: the operation stays here until its entry has come.
    unsafe { driver.push(&mut write, 1) }.unwrap();
    let written = driver.poll_one(None).unwrap().into_result().unwrap();
    assert!((1..=3).contains(&written), "{written}");
    assert_eq!(write.into_inner(), ["x", "yz"]);
}

#[test]
fn a_failed_operation_is_an_entry_and_keeps_its_buffer() {
    let driver = driver();
    let (reader, writer) = pipe();
    let mut read = ReadAt::at_cursor(writer.as_raw_fd(), b"old".to_vec());
    let mut write = WriteAt::at_cursor(reader.as_raw_fd(), b"old".to_vec());
    // SAFETY: both stay here until their entries have come.
    unsafe {
        driver.push(&mut read, 1).unwrap();
        driver.push(&mut write, 1).unwrap();
    }
    for _ in 0..2 {
        check_code(
            driver.poll_one(None).unwrap().into_result(),
            code::NOT_OPEN_FOR_THIS,
        );
    }
    assert_eq!(read.into_inner().into_inner(), b"old");
    assert_eq!(write.into_inner(), b"old");
}

#[test]
fn all_operations_of_a_number_are_cancelled_and_no_other() {
    let driver = driver();
    let (reader, writer) = pipe();
    let mut ops = [(); 30].map(|()| ReadAt::at_cursor(reader.as_raw_fd(), vec![0; 1]));
    for (number, op) in ops.iter_mut().enumerate() {
        // SAFETY: the operations stay here until their entries have come.
        unsafe { driver.push(op, number % 3) }.unwrap();
    }
    driver.cancel(1);
    for _ in 0..10 {
        let entry = driver.poll_one(None).unwrap();
        assert_eq!(entry.user_data(), 1);
        check_code(entry.into_result(), code::CANCELLED);
    }
    assert_eq!(driver.in_flight(), 20);
    drop(writer);
    let mut entries = Vec::new();
    while entries.len() < 20 {
        driver.poll(Some(LONG), &mut entries).unwrap();
    }
    for entry in entries {
        assert_ne!(entry.user_data(), 1);
        assert_eq!(entry.into_result().unwrap(), 0);
    }
}

#[test]
fn one_entry_is_taken_and_the_others_wait() {
    let driver = driver();
    let mut ops = [Nop::new(); 3];
    for (number, op) in ops.iter_mut().enumerate() {
        // SAFETY: the operations stay here until their entries have come.
        unsafe { driver.push(op, number) }.unwrap();
    }
    driver.poll_one(None).unwrap();
    assert_eq!(driver.in_flight(), 0);
    let mut entries = Vec::new();
    assert_eq!(
        driver
            .poll(Some(std::time::Duration::ZERO), &mut entries)
            .unwrap(),
        2
    );
    assert_eq!(entries.len(), 2);
}

#[test]
fn poll_with_zero_timeout_returns_completed_entries() {
    let driver = driver();
    let mut entries: Vec<compio_driver::Entry> = Vec::new();
    let error = driver.poll(Some(Duration::ZERO), &mut entries).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    let mut nop = Nop::new();
    // SAFETY: the operation stays here until its entry has come.
    unsafe { driver.push(&mut nop, 5) }.unwrap();
    assert_eq!(driver.poll(Some(Duration::ZERO), &mut entries).unwrap(), 1);
}

#[test]
fn futures_and_pushed_operations_share_a_driver() {
    let driver = driver();
    let mut future = driver.submit(Nop::new());
    assert!(crate::support::poll_once(&driver, &mut future).is_pending());
    let mut nop = Nop::new();
    // SAFETY: the operation stays here until its entry has come.
    unsafe { driver.push(&mut nop, 5) }.unwrap();
    assert_eq!(driver.poll_one(None).unwrap().user_data(), 5);
    assert!(crate::support::poll_once(&driver, &mut future).is_ready());
}
