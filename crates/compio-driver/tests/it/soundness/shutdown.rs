//! 9 and 10: shutdown of a driver with operations in flight, queued, or never begun.

use std::{io::Read, net::TcpListener, rc::Rc, task::Poll, time::Duration};

use compio_driver::{
    DriverBuilder,
    op::{Accept, Blocking, Close, PollOnce, ReadAt, Readiness, WriteAt},
};

use crate::{
    shutdown::waiting_reads,
    support::{
        begin, check_returned, code, drain, each_backend, pipe, pipe_out, poll_once, share,
        sockets, start, waiting_read,
    },
};

#[test]
fn s10_a_queued_operation_is_dropped_before_its_submission() {
    for driver in each_backend() {
        let (reader, _writer) = pipe();
        let deaths = Rc::default();
        drop(waiting_read(&driver, &reader, &deaths));
        drain(&driver);
        assert_eq!(deaths.get(), 1);
    }
}

#[test]
fn s09_a_driver_ends_with_all_kinds_of_operations_in_flight() {
    for driver in each_backend() {
        let (reader, writer) = pipe();
        let deaths = Rc::default();
        let [submitted, queued, kept] = waiting_reads(&driver, &reader, &deaths);
        driver.turn(Some(Duration::ZERO)).unwrap();
        let listener = share(TcpListener::bind("127.0.0.1:0").unwrap());
        let mut accept = driver.submit(Accept::new(listener));
        let (near, far) = sockets();
        let mut poll = driver.submit(PollOnce::new(near, Readiness::READABLE));
        let mut work = driver.submit(Blocking::new(|| 7));
        begin(&driver, &mut accept);
        begin(&driver, &mut poll);
        begin(&driver, &mut work);
        drop((submitted, queued));
        drop(driver);
        assert_eq!(deaths.get(), 2, "the abandoned ones");
        drop((kept, accept, poll, work));
        assert_eq!(deaths.get(), 3);
        drop((writer, far));
        reader.try_unwrap().expect("no operation has it any more");
    }
}

#[test]
fn s09_a_future_of_a_dropped_driver_completes() {
    for driver in each_backend() {
        let (reader, _writer) = pipe();
        let mut begun = driver.submit(ReadAt::at_cursor(reader.clone(), b"old".to_vec()));
        let mut new = driver.submit(ReadAt::at_cursor(reader, b"old".to_vec()));
        begin(&driver, &mut begun);
        let other = crate::support::driver();
        drop(driver);
        begun.cancel();
        new.cancel();
        let Poll::Ready(ended) = poll_once(&other, &mut begun) else {
            panic!("it has ended");
        };
        check_returned(ended, code::CANCELLED, b"old");
        let Poll::Ready((len, buffer)) = poll_once(&other, &mut new) else {
            panic!("it is refused");
        };
        len.unwrap_err();
        assert_eq!(buffer, b"old");
    }
}

/// With a timeout of zero, operations that can be cancelled at once are not leaked.
#[test]
fn s09_a_driver_with_zero_timeout_reaps_available_completions() {
    let builder = DriverBuilder::new().shutdown_timeout(Duration::ZERO);
    let driver = builder.build().unwrap();
    let (reader, _writer) = pipe();
    let deaths = Rc::default();
    let reads = waiting_reads(&driver, &reader, &deaths);
    drop(driver);
    drop(reads);
    assert_eq!(deaths.get(), 3);
}

#[test]
fn s10_a_close_that_is_pending_at_the_drivers_end_closes() {
    for driver in each_backend() {
        let ((mut reader, writer), (mut other_reader, other_writer)) = (pipe_out(), pipe_out());
        let mut close = driver.submit(Close::new(writer.try_unwrap().unwrap()));
        begin(&driver, &mut close);
        let never_begun = driver.submit(Close::new(other_writer.try_unwrap().unwrap()));
        drop(driver);
        drop((close, never_begun));
        for reader in [&mut reader, &mut other_reader] {
            assert_eq!(reader.read(&mut [0; 8]).unwrap(), 0, "the end");
        }
    }
}

/// Requests from before the shutdown may still be executed, but never with part of a freed buffer.
#[test]
fn s10_writes_that_were_queued_are_done_or_not_done() {
    for driver in (0..20).flat_map(|_| each_backend()) {
        let (mut reader, writer) = pipe_out();
        let mut write = driver.submit(WriteAt::at_cursor(writer, vec![7; 100]));
        start(&driver, &mut write);
        drop(write);
        drop(driver);
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        assert!(bytes.is_empty() || bytes == [7; 100]);
    }
}
