//! Waiting for readiness of a socket, without a transfer.

use std::{net::UdpSocket, time::Duration};

use compio_driver::op::{PollOnce, Readiness, Recv, Send};

use crate::support::{
    MSG_PEEK, begin, check_code, code, drain, driver, each_backend, run, share, sockets,
};

#[test]
fn a_readable_descriptor_is_ready_at_once() {
    for driver in each_backend() {
        let (one, other) = sockets();
        let send = driver.submit(Send::new(other, "x", 0));
        run(&driver, send).0.unwrap();
        let poll = PollOnce::new(one.clone(), Readiness::READABLE);
        let ready = run(&driver, driver.submit(poll)).unwrap();
        assert!(ready.contains(Readiness::READABLE));
        let recv = Recv::new(one, Vec::with_capacity(8), 0);
        assert_eq!(run(&driver, driver.submit(recv)).1, b"x");
    }
}

#[test]
fn a_poll_waits_for_the_first_byte() {
    for driver in each_backend() {
        let (one, other) = sockets();
        let mut poll = driver.submit(PollOnce::new(one, Readiness::READABLE));
        begin(&driver, &mut poll);
        driver.turn(Some(Duration::from_millis(1))).unwrap();
        begin(&driver, &mut poll);
        run(&driver, driver.submit(Send::new(other, "x", 0)))
            .0
            .unwrap();
        let ready = run(&driver, poll).unwrap();
        assert!(ready.contains(Readiness::READABLE));
    }
}

/// On Windows, a receive of no bytes would take the datagram.
#[test]
fn poll_and_peek_of_datagrams_leave_them() {
    for driver in each_backend() {
        let (one, other) = datagram_sockets();
        let one = share(one);
        let mut poll = driver.submit(PollOnce::new(one.clone(), Readiness::READABLE));
        begin(&driver, &mut poll);
        other.send(b"first").unwrap();
        other.send(b"second").unwrap();
        assert!(run(&driver, poll).unwrap().contains(Readiness::READABLE));
        for datagram in ["first", "second"] {
            let poll = driver.submit(PollOnce::new(one.clone(), Readiness::READABLE));
            assert!(run(&driver, poll).unwrap().contains(Readiness::READABLE));
            // One with room for a part, and one with room for all.
            for len in [2, 64] {
                let peek = Recv::new(one.clone(), Vec::with_capacity(len), MSG_PEEK);
                let (peeked, buffer) = run(&driver, driver.submit(peek));
                assert_eq!(peeked.unwrap(), datagram.len().min(buffer.capacity()));
                assert!(datagram.as_bytes().starts_with(&buffer));
            }
            let recv = Recv::new(one.clone(), Vec::with_capacity(64), 0);
            assert_eq!(run(&driver, driver.submit(recv)).1, datagram.as_bytes());
        }
        let mut peek = driver.submit(Recv::new(one, Vec::with_capacity(64), MSG_PEEK));
        begin(&driver, &mut peek);
        other.send(b"third").unwrap();
        assert_eq!(run(&driver, peek).1, b"third");
    }
}

/// Two UDP sockets that are connected to each other.
fn datagram_sockets() -> (UdpSocket, UdpSocket) {
    let one = UdpSocket::bind("127.0.0.1:0").unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    one.connect(other.local_addr().unwrap()).unwrap();
    other.connect(one.local_addr().unwrap()).unwrap();
    (one, other)
}

#[test]
fn eof_is_readable() {
    for driver in each_backend() {
        let (one, other) = sockets();
        let mut poll = driver.submit(PollOnce::new(one, Readiness::READABLE));
        begin(&driver, &mut poll);
        drop(other);
        let ready = run(&driver, poll).unwrap();
        assert!(ready.contains(Readiness::READABLE));
    }
}

#[test]
fn a_cancelled_poll_takes_no_byte() {
    for driver in each_backend() {
        let (one, other) = sockets();
        let mut cancelled = driver.submit(PollOnce::new(one.clone(), Readiness::READABLE));
        begin(&driver, &mut cancelled);
        let mut dropped = driver.submit(PollOnce::new(one.clone(), Readiness::READABLE));
        begin(&driver, &mut dropped);
        driver.turn(Some(Duration::ZERO)).unwrap();
        drop(dropped);
        cancelled.cancel();
        check_code(run(&driver, cancelled), code::CANCELLED);
        drain(&driver);
        run(&driver, driver.submit(Send::new(other, "x", 0)))
            .0
            .unwrap();
        let recv = Recv::new(one, Vec::with_capacity(8), 0);
        assert_eq!(run(&driver, driver.submit(recv)).1, b"x");
    }
}

#[test]
fn a_poll_waits_for_its_own_interest() {
    let driver = driver();
    let (one, other) = sockets();
    let mut readable = driver.submit(PollOnce::new(one.clone(), Readiness::READABLE));
    begin(&driver, &mut readable);
    let writable = driver.submit(PollOnce::new(one, Readiness::WRITABLE));
    assert!(
        run(&driver, writable)
            .unwrap()
            .contains(Readiness::WRITABLE)
    );
    begin(&driver, &mut readable);
    run(&driver, driver.submit(Send::new(other, "x", 0)))
        .0
        .unwrap();
    assert!(
        run(&driver, readable)
            .unwrap()
            .contains(Readiness::READABLE)
    );
}
