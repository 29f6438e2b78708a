//! Readiness of other descriptors than sockets, and events of sockets that nothing subscribed to.
//! Windows has no call for the former, and must poll repeatedly for the latter.

use std::{os::unix::net::UnixStream, time::Duration};

use compio_driver::op::{PollOnce, Readiness, WriteAt};

use crate::support::{REPORTS_EXCEPTIONS, begin, driver, each_backend, pipe, run, share};

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

#[test]
fn a_closed_peer_is_reported_in_both_directions() {
    for driver in each_backend() {
        let alone = REPORTS_EXCEPTIONS.then_some(Readiness::HANG_UP);
        for interest in [Some(Readiness::READABLE), alone].into_iter().flatten() {
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
fn a_closed_reader_is_reported_to_a_poll_of_the_writer() {
    for driver in each_backend() {
        let (reader, writer) = pipe();
        drop(reader);
        let poll = PollOnce::new(writer, Readiness::WRITABLE);
        let ready = run(&driver, driver.submit(poll)).unwrap();
        assert!(ready.contains(Readiness::ERROR));
    }
}

#[test]
fn poll_for_priority_without_support_is_refused_with_advice() {
    if REPORTS_EXCEPTIONS {
        return;
    }
    let driver = driver();
    for interest in [Readiness::PRIORITY, Readiness::HANG_UP] {
        let (read, _write) = pipe();
        let poll = driver.submit(PollOnce::new(read, interest));
        let error = run(&driver, poll).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("READABLE"), "{error}");
    }
}
