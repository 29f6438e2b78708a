//! Descriptors that are closed, and whose numbers are reused.

use std::{io::Write, time::Duration};

use compio_driver::{
    AsRawFd, Driver, OwnedFd, Poller, RawFd, SharedFd,
    op::{ReadAt, Recv},
};
use compio_io::buf::IntoInner;

use crate::support::{
    begin, check_code, code, drain, each_backend, fair_driver, file, run, share, streams, tcp,
};

/// A pending receive, which then gets these bytes.
#[track_caller]
pub(crate) fn check_recv(driver: &Driver, near: &SharedFd, far: &mut impl Write, bytes: &[u8]) {
    let mut recv = driver.submit(Recv::new(near.clone(), Vec::with_capacity(64), 0));
    begin(driver, &mut recv);
    driver.turn(Some(Duration::ZERO)).unwrap();
    begin(driver, &mut recv);
    far.write_all(bytes).unwrap();
    assert_eq!(run(driver, recv).1, bytes);
}

/// The same by `Poller::push`, which has only the number.
#[track_caller]
pub(crate) fn check_pushed(driver: &Driver, near: RawFd, far: &mut impl Write, bytes: &[u8]) {
    let mut recv = Recv::new(near, Vec::with_capacity(64), 0);
    // SAFETY: the operation stays here until its entry has come.
    unsafe { driver.push(&mut recv, 7).unwrap() };
    driver.turn(Some(Duration::ZERO)).unwrap();
    far.write_all(bytes).unwrap();
    let entry = driver.poll_one(Some(Duration::from_secs(5))).unwrap();
    let len = entry.into_result().unwrap();
    // SAFETY: the entry said so.
    assert_eq!(unsafe { recv.into_inner().assume_len(len) }, bytes);
}

#[test]
fn a_descriptor_leaves_and_comes_back() {
    for driver in each_backend() {
        let (near, mut far) = tcp();
        let mut near = share(near);
        for _ in 0..5 {
            check_recv(&driver, &near, &mut far, b"shared");
            let owned = near.try_unwrap().unwrap();
            check_pushed(&driver, owned.as_raw_fd(), &mut far, b"pushed");
            check_pushed(&driver, owned.as_raw_fd(), &mut far, b"again");
            near = share(owned);
        }
    }
}

/// The system gives out the most recently freed numbers.
#[test]
fn numbers_are_reused() {
    for driver in each_backend() {
        for _ in 0..50 {
            let (near, mut far) = tcp();
            let near = OwnedFd::from(near);
            check_pushed(&driver, near.as_raw_fd(), &mut far, b"one");
            let near = share(near);
            check_recv(&driver, &near, &mut far, b"two");
            drop(near.try_unwrap().unwrap());
        }
    }
}

#[test]
fn numbers_are_reused_by_other_types() {
    for driver in each_backend() {
        for _ in 0..20 {
            let (near, mut far) = streams();
            check_recv(&driver, &share(near), &mut far, b"stream");
            drop(far);
            let (_file, fd) = file(b"file");
            let read = ReadAt::new(fd, 0, Vec::with_capacity(64));
            assert_eq!(run(&driver, driver.submit(read)).1, b"file");
        }
    }
}

/// On Windows the descriptor belongs to the first driver's port.
#[test]
fn two_drivers_know_the_same_descriptor() {
    let (one, other) = (fair_driver(), fair_driver());
    let (near, mut far) = tcp();
    let near = share(near);
    for _ in 0..5 {
        check_recv(&one, &near, &mut far, b"one");
        check_recv(&other, &near, &mut far, b"other");
    }
}

#[test]
fn a_receive_through_a_second_driver_is_cancelled() {
    let (one, other) = (fair_driver(), fair_driver());
    let (near, mut far) = tcp();
    let near = share(near);
    check_recv(&one, &near, &mut far, b"one");
    for is_dropped in [false, true] {
        let mut recv = other.submit(Recv::new(near.clone(), Vec::with_capacity(64), 0));
        begin(&other, &mut recv);
        other.turn(Some(Duration::from_millis(1))).unwrap();
        if is_dropped {
            drop(recv);
            drain(&other);
        } else {
            recv.cancel();
            check_code(run(&other, recv).0, code::CANCELLED);
        }
        check_recv(&one, &near, &mut far, b"again");
    }
    let mut last = other.submit(Recv::new(near, Vec::with_capacity(64), 0));
    begin(&other, &mut last);
    drop(other);
    drop(last);
}
