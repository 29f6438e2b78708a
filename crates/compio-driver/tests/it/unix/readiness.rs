//! Readiness of other things than sockets, and what a socket tells unasked: Windows knows the one not
//! at all, and the other only by asking again and again.

use std::{
    io::Write,
    os::{fd::OwnedFd, unix::net::UnixStream},
    rc::Rc,
    time::Duration,
};

use compio_driver::op::{PollOnce, Readiness, WriteAt};

use crate::support::{begin, driver, each_backend, pipe, run, share, tcp};

#[test]
fn a_readable_descriptor_is_ready_at_once() {
    let driver = driver();
    let (read, write) = pipe();
    run(&driver, driver.submit(WriteAt::at_cursor(write, "x")))
        .0
        .unwrap();
    let poll = PollOnce::new(read, Readiness::READABLE | Readiness::PRIORITY);
    let ready = run(&driver, driver.submit(poll)).unwrap();
    assert!(ready.contains(Readiness::READABLE));
    assert!(!ready.contains(Readiness::PRIORITY));
}

#[test]
fn a_hang_up_is_reported_unasked() {
    let driver = driver();
    let (read, write) = pipe();
    drop(write);
    let poll = PollOnce::new(read, Readiness::PRIORITY);
    let ready = run(&driver, driver.submit(poll)).unwrap();
    assert!(ready.contains(Readiness::HANG_UP));
}

/// What is there all the time must not be reported over and over.
#[test]
fn a_poll_for_something_else_does_not_wait_busily() {
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
fn a_closed_peer_is_told_in_both_directions() {
    for driver in each_backend() {
        for interest in [Readiness::READABLE, Readiness::HANG_UP] {
            let (near, far) = UnixStream::pair().unwrap();
            let mut poll = driver.submit(PollOnce::new(share(near), interest));
            begin(&driver, &mut poll);
            driver.turn(Some(Duration::ZERO)).unwrap();
            drop(far);
            assert!(run(&driver, poll).unwrap().contains(Readiness::HANG_UP));
        }
        let (near, far) = UnixStream::pair().unwrap();
        drop(far);
        let poll = PollOnce::new(share(near), Readiness::WRITABLE);
        let ready = run(&driver, driver.submit(poll)).unwrap();
        assert!(ready.contains(Readiness::HANG_UP));
    }
}

#[test]
fn a_reader_that_leaves_is_told_to_who_polls_the_writer() {
    for driver in each_backend() {
        let (reader, writer) = pipe();
        drop(reader);
        let poll = PollOnce::new(writer, Readiness::WRITABLE);
        let ready = run(&driver, driver.submit(poll)).unwrap();
        assert!(ready.contains(Readiness::ERROR));
    }
}

#[test]
fn a_regular_file_is_always_ready() {
    for driver in each_backend() {
        let file = share(tempfile::tempfile().unwrap());
        for interest in [Readiness::READABLE, Readiness::WRITABLE] {
            let poll = PollOnce::new(file.clone(), interest);
            let ready = run(&driver, driver.submit(poll)).unwrap();
            assert!(ready.contains(interest));
        }
    }
}

/// And never has anything exceptional.
#[test]
fn a_regular_file_is_not_waited_for() {
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
