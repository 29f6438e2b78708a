//! Readiness edges: a receive must not wait for a change that has happened already, or that will
//! not happen.

use std::{
    io::Write,
    net::{Shutdown, UdpSocket},
    thread,
    time::Duration,
};

use compio_driver::{
    Driver, SharedFd,
    op::{Recv, RecvFrom, Send},
};

use crate::support::{
    MSG_PEEK, begin, check_code, code, each_backend, is_skipped_on_wine, run, share, tcp,
};

pub(crate) fn recv(driver: &Driver, fd: &SharedFd) -> Vec<u8> {
    let recv = Recv::new(fd.clone(), Vec::with_capacity(64), 0);
    let (len, buffer) = run(driver, driver.submit(recv));
    assert_eq!(len.unwrap(), buffer.len());
    buffer
}

/// Makes the driver wait for the descriptor once, so that it subscribes to its events.
pub(crate) fn wait_once(driver: &Driver, fd: &SharedFd, peer: &mut impl Write) {
    let mut waiting = driver.submit(Recv::new(fd.clone(), Vec::with_capacity(64), 0));
    begin(driver, &mut waiting);
    driver.turn(Some(Duration::ZERO)).unwrap();
    peer.write_all(b"first").unwrap();
    assert_eq!(run(driver, waiting).1, b"first");
}

#[test]
fn bytes_and_the_end_come_together() {
    for driver in each_backend() {
        for _ in 0..50 {
            let (near, mut far) = tcp();
            let near = share(near);
            wait_once(&driver, &near, &mut far);
            let mut waiting = driver.submit(Recv::new(near.clone(), Vec::with_capacity(64), 0));
            begin(&driver, &mut waiting);
            far.write_all(b"last").unwrap();
            far.shutdown(Shutdown::Write).unwrap();
            assert_eq!(run(&driver, waiting).1, b"last");
            for _ in 0..3 {
                assert_eq!(recv(&driver, &near), b"");
            }
        }
    }
}

#[test]
fn the_end_comes_right_after_the_bytes() {
    for driver in each_backend() {
        for _ in 0..50 {
            let (near, mut far) = tcp();
            let near = share(near);
            wait_once(&driver, &near, &mut far);
            far.write_all(b"last").unwrap();
            // The shutdown may happen at any moment of the receives.
            let thread = thread::spawn(move || far.shutdown(Shutdown::Write).unwrap());
            assert_eq!(recv(&driver, &near), b"last");
            assert_eq!(recv(&driver, &near), b"");
            thread.join().unwrap();
        }
    }
}

/// A close with unread data is a reset.
fn leave_unread(driver: &Driver, near: &SharedFd) {
    let send = driver.submit(Send::new(near.clone(), "unread", 0));
    run(driver, send).0.unwrap();
}

#[test]
fn a_reset_after_the_bytes_is_reported() {
    if is_skipped_on_wine("it forgets a reset without a receive") {
        return;
    }
    for driver in each_backend() {
        let (near, mut far) = tcp();
        let near = share(near);
        wait_once(&driver, &near, &mut far);
        leave_unread(&driver, &near);
        drop(far);
        let recv = Recv::new(near, Vec::with_capacity(64), 0);
        check_code(run(&driver, driver.submit(recv)).0, code::RESET);
    }
}

#[test]
fn a_reset_is_reported_to_a_waiting_receive() {
    for driver in each_backend() {
        let (near, mut far) = tcp();
        let near = share(near);
        wait_once(&driver, &near, &mut far);
        let mut waiting = driver.submit(Recv::new(near.clone(), Vec::with_capacity(64), 0));
        begin(&driver, &mut waiting);
        leave_unread(&driver, &near);
        drop(far);
        check_code(run(&driver, waiting).0, code::RESET);
    }
}

#[test]
fn a_socket_shut_down_for_reading_is_at_eof() {
    for driver in each_backend() {
        for how in [Shutdown::Read, Shutdown::Both] {
            let (near, mut far) = tcp();
            let handle = near.try_clone().unwrap();
            let near = share(near);
            wait_once(&driver, &near, &mut far);
            handle.shutdown(how).unwrap();
            for _ in 0..3 {
                assert_eq!(recv(&driver, &near), b"");
            }
        }
    }
}

#[test]
fn peeked_bytes_stay() {
    for driver in each_backend() {
        let (near, mut far) = tcp();
        let near = share(near);
        wait_once(&driver, &near, &mut far);
        far.write_all(b"bytes").unwrap();
        for _ in 0..3 {
            let peek = Recv::new(near.clone(), Vec::with_capacity(64), MSG_PEEK);
            assert_eq!(run(&driver, driver.submit(peek)).1, b"bytes");
        }
        assert_eq!(recv(&driver, &near), b"bytes");
    }
}

#[test]
fn a_short_datagram_is_not_the_last_one() {
    for driver in each_backend() {
        let near = UdpSocket::bind("127.0.0.1:0").unwrap();
        let far = UdpSocket::bind("127.0.0.1:0").unwrap();
        far.connect(near.local_addr().unwrap()).unwrap();
        let near = share(near);
        let mut waiting = driver.submit(RecvFrom::new(near.clone(), Vec::with_capacity(64), 0));
        begin(&driver, &mut waiting);
        for datagram in ["one", "two", "", "three"] {
            far.send(datagram.as_bytes()).unwrap();
        }
        assert_eq!(run(&driver, waiting).1, b"one");
        for datagram in ["two", "", "three"] {
            assert_eq!(recv(&driver, &near), datagram.as_bytes());
        }
    }
}

/// Bytes arrive and are received at all moments, in pieces shorter and longer than the buffer.
#[test]
fn no_byte_is_overlooked() {
    for driver in each_backend() {
        for seed in 1..=5_u64 {
            let (near, mut far) = tcp();
            let near = share(near);
            let thread = thread::spawn(move || {
                let mut state = seed;
                for _ in 0..3000 {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
                    let len = 1 + (state >> 33) as usize % 130;
                    far.write_all(&vec![7; len]).unwrap();
                    if state >> 60 == 0 {
                        thread::sleep(Duration::from_micros(50));
                    }
                }
            });
            while !recv(&driver, &near).is_empty() {}
            thread.join().unwrap();
        }
    }
}
