//! Readiness of descriptors that are closed or duplicated while they are subscribed, and of regular
//! files (scenario 24).

use std::{
    io::Write,
    os::{
        fd::{FromRawFd, IntoRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    rc::Rc,
    time::{Duration, Instant},
};

use compio_driver::{
    AsFd, Driver, Poller,
    op::{PollOnce, Readiness, Recv},
};

use crate::{
    numbers::{check_pushed, check_recv},
    support::{REPORTS_EXCEPTIONS, begin, each_backend, poll_once, readiness, run, share, tcp},
    unix::numbers::{number, renumber},
};

/// The kernel keeps reporting events under the old number while a duplicate is open.
#[test]
fn s24_an_open_duplicate_does_not_wake_the_driver_repeatedly() {
    let driver = readiness();
    let number = number();
    let (near, mut far) = UnixStream::pair().unwrap();
    let near = share(renumber(near, number));
    let duplicate = near.as_fd().try_clone_to_owned().unwrap();
    check_recv(&driver, &near, &mut far, b"one");
    drop(near);
    far.write_all(b"unread").unwrap();
    check_quiet(&driver);

    // Another descriptor has the number now, and still works.
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
fn s24_an_open_duplicate_of_a_pushed_number_does_not_wake_the_driver_repeatedly() {
    let driver = readiness();
    let number = number();
    let (near, mut far) = UnixStream::pair().unwrap();
    let near = renumber(near, number);
    let duplicate = near.try_clone().unwrap();
    check_pushed(&driver, number, &mut far, b"one");
    // This poll waits, and is cancelled.
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

/// A shared descriptor that is unwrapped stays in the epoll set until its next event.
#[test]
fn s24_an_unwrapped_descriptor_does_not_wake_the_driver_repeatedly() {
    let driver = readiness();
    let (near, mut far) = UnixStream::pair().unwrap();
    let near = share(near);
    check_recv(&driver, &near, &mut far, b"one");
    let raw = near.try_unwrap().unwrap().into_raw_fd();
    for _ in 0..3 {
        far.write_all(b"unread").unwrap();
        check_quiet(&driver);
    }
    // SAFETY: the number has no other owner.
    drop(unsafe { OwnedFd::from_raw_fd(raw) });
}

/// Checks that a driver without events sleeps.
#[track_caller]
fn check_quiet(driver: &Driver) {
    // Events in flight may end a few sleeps early.
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

/// A level that stays ready must not be reported repeatedly.
#[test]
fn s24_a_poll_for_another_event_does_not_spin() {
    if !REPORTS_EXCEPTIONS {
        return;
    }
    for driver in each_backend() {
        let (near, mut far) = tcp();
        far.write_all(b"x").unwrap();
        let near = Rc::new(OwnedFd::from(near));
        let interests = [Readiness::PRIORITY, Readiness::HANG_UP, Readiness::ERROR];
        let mut polls: Vec<_> = interests
            .map(|interest| driver.submit(PollOnce::new(near.clone(), interest)))
            .into();
        for poll in &mut polls {
            begin(&driver, poll);
        }
        driver.turn(Some(Duration::from_millis(1))).unwrap();
        let before = driver.enters();
        driver.turn(Some(Duration::from_millis(20))).unwrap();
        driver.turn(Some(Duration::from_millis(20))).unwrap();
        assert!(driver.enters() - before <= 4, "it waits busily");
        for poll in &mut polls {
            begin(&driver, poll);
        }
    }
}

#[test]
fn s24_a_regular_file_is_always_ready() {
    for driver in each_backend() {
        let file = share(tempfile::tempfile().unwrap());
        for interest in [Readiness::READABLE, Readiness::WRITABLE] {
            let poll = PollOnce::new(file.clone(), interest);
            let ready = run(&driver, driver.submit(poll)).unwrap();
            assert!(ready.contains(interest));
        }
    }
}

/// A regular file never has exceptional conditions.
#[test]
fn s24_a_regular_file_is_not_waited_for() {
    let mut answers = Vec::new();
    for driver in each_backend() {
        let file = share(tempfile::tempfile().unwrap());
        let poll = PollOnce::new(file, Readiness::PRIORITY);
        let error = run(&driver, driver.submit(poll)).unwrap_err();
        answers.push(error.raw_os_error());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}
