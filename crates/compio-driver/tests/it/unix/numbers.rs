//! Descriptors whose numbers are used again, by `dup2`; and those that are open elsewhere, too.

use std::{
    io::Write,
    os::{
        fd::{FromRawFd, IntoRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

use compio_driver::{
    AsFd, AsRawFd, Driver, Poller, RawFd,
    op::{PollOnce, ReadAt, Readiness, Recv},
};

use crate::{
    numbers::{check_pushed, check_recv},
    support::{begin, each_backend, poll_once, readiness, run, share, tcp},
};

/// Makes `near` have this number. Tests run side by side: a number that was just given free may be
/// somebody else's, so one is taken that nobody is given by himself.
fn renumber(near: impl Into<OwnedFd>, number: RawFd) -> OwnedFd {
    let near = near.into();
    // SAFETY: nobody else has the new number, see `NUMBERS`.
    unsafe {
        assert_eq!(libc::dup2(near.as_raw_fd(), number), number);
        OwnedFd::from_raw_fd(number)
    }
}

/// Each test's own number, of those that are not reached by counting from zero.
fn number() -> RawFd {
    use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
    static NEXT: AtomicI32 = AtomicI32::new(900);
    NEXT.fetch_add(1, Relaxed)
}

#[test]
fn a_number_is_used_again_while_it_is_subscribed() {
    for driver in each_backend() {
        let number = number();
        for _ in 0..10 {
            let (near, mut far) = tcp();
            let near = share(renumber(near, number));
            assert_eq!(near.as_raw_fd(), number);
            check_recv(&driver, &near, &mut far, b"one");
            check_recv(&driver, &near, &mut far, b"two");
            drop(near.try_unwrap().unwrap());
        }
    }
}

#[test]
fn a_number_changes_its_kind() {
    for driver in each_backend() {
        let number = number();
        let (near, mut far) = tcp();
        let near = share(renumber(near, number));
        check_recv(&driver, &near, &mut far, b"one");
        drop(near);
        // Shorter than the room, and not the last one.
        let (near, far) =
            socket2::Socket::pair(socket2::Domain::UNIX, socket2::Type::SEQPACKET, None).unwrap();
        let near = share(renumber(near, number));
        for packet in ["one", "two", "three"] {
            far.send(packet.as_bytes()).unwrap();
        }
        for packet in ["one", "two", "three"] {
            let recv = Recv::new(near.clone(), Vec::with_capacity(64), 0);
            assert_eq!(run(&driver, driver.submit(recv)).1, packet.as_bytes());
        }
        drop(near);
        // And then it is none to be waited for.
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"file").unwrap();
        let file = share(renumber(file, number));
        let read = ReadAt::new(file.clone(), 0, Vec::with_capacity(64));
        assert_eq!(run(&driver, driver.submit(read)).1, b"file");
        let read = ReadAt::at_cursor(file, Vec::with_capacity(64));
        assert_eq!(run(&driver, driver.submit(read)).1, b"");
    }
}

#[test]
fn a_pushed_number_is_used_again() {
    for driver in each_backend() {
        let number = number();
        for round in 0..6 {
            let (near, mut far) = tcp();
            let near = renumber(near, number);
            check_pushed(&driver, number, &mut far, b"one");
            check_pushed(&driver, number, &mut far, b"two");
            if round % 2 == 0 {
                let near = share(near);
                check_recv(&driver, &near, &mut far, b"three");
            }
        }
    }
}

/// Sleeps of a driver that has nothing to be told.
#[track_caller]
fn check_quiet(driver: &Driver) {
    // What is under way already may end a few of them early.
    for _ in 0..3 {
        driver.turn(Some(Duration::from_millis(1))).unwrap();
    }
    let (began, before) = (Instant::now(), driver.enters());
    for _ in 0..3 {
        driver.turn(Some(Duration::from_millis(10))).unwrap();
    }
    assert!(began.elapsed() >= Duration::from_millis(29), "it is woken");
    assert!(driver.enters() - before <= 3);
}

/// The kernel goes on to tell of a descriptor that is open elsewhere, under the old number.
#[test]
fn a_duplicate_that_lives_on_wakes_nobody_for_long() {
    let driver = readiness();
    let number = number();
    let (near, mut far) = UnixStream::pair().unwrap();
    let near = share(renumber(near, number));
    let duplicate = near.as_fd().try_clone_to_owned().unwrap();
    check_recv(&driver, &near, &mut far, b"one");
    drop(near);
    far.write_all(b"unread").unwrap();
    check_quiet(&driver);

    // The number is another's now, and that one is not disturbed.
    let (near, mut other_far) = UnixStream::pair().unwrap();
    let near = share(renumber(near, number));
    let mut recv = driver.submit(Recv::new(near.clone(), Vec::with_capacity(64), 0));
    begin(&driver, &mut recv);
    for _ in 0..5 {
        far.write_all(b"unread").unwrap();
        driver.turn(Some(Duration::from_millis(1))).unwrap();
        assert!(poll_once(&driver, &mut recv).is_pending());
    }
    check_quiet(&driver);
    other_far.write_all(b"mine").unwrap();
    assert_eq!(run(&driver, recv).1, b"mine");
    check_recv(&driver, &near, &mut other_far, b"mine, too");
    drop(duplicate);
}

#[test]
fn a_duplicate_of_what_was_pushed_wakes_nobody_for_long() {
    let driver = readiness();
    let number = number();
    let (near, mut far) = UnixStream::pair().unwrap();
    let near = renumber(near, number);
    let duplicate = near.try_clone().unwrap();
    check_pushed(&driver, number, &mut far, b"one");
    // One is waited for, and given up.
    let mut poll = PollOnce::new(number, Readiness::READABLE);
    // SAFETY: the operation stays here until its entry has come.
    unsafe { driver.push(&mut poll, 1).unwrap() };
    driver.cancel(1);
    driver.poll_one(None).unwrap().into_result().unwrap_err();
    drop(near);
    far.write_all(b"unread").unwrap();
    check_quiet(&driver);
    let (near, mut far) = UnixStream::pair().unwrap();
    let near = renumber(near, number);
    check_pushed(&driver, number, &mut far, b"mine");
    check_quiet(&driver);
    drop((near, duplicate));
}

/// A shared descriptor that is unwrapped stays in the kernel's list until it speaks again.
#[test]
fn what_was_given_back_wakes_nobody_for_long() {
    let driver = readiness();
    let (near, mut far) = UnixStream::pair().unwrap();
    let near = share(near);
    check_recv(&driver, &near, &mut far, b"one");
    let raw = near.try_unwrap().unwrap().into_raw_fd();
    for _ in 0..3 {
        far.write_all(b"unread").unwrap();
        check_quiet(&driver);
    }
    // SAFETY: nobody else has it.
    drop(unsafe { OwnedFd::from_raw_fd(raw) });
}
