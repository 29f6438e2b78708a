//! The end of a driver with operations under way.

use std::{cell::Cell, io::Read, net::TcpListener, rc::Rc, thread, time::Duration};

use compio_driver::{
    Driver, DriverBuilder, Poller, SharedFd, Submit,
    op::{Accept, Blocking, Close, Nop, PollOnce, ReadAt, Readiness, WriteAt},
};

use crate::support::{
    Canary, begin, check_returned, code, driver, pipe, pipe_out, poll_once, share, sockets, start,
};

fn waiting_reads(
    driver: &Driver,
    fd: &SharedFd,
    deaths: &Rc<Cell<usize>>,
) -> [Submit<ReadAt<Canary>>; 3] {
    let mut reads =
        [(); 3].map(|()| driver.submit(ReadAt::at_cursor(fd.clone(), Canary::new(deaths))));
    reads.iter_mut().for_each(|read| begin(driver, read));
    reads
}

#[test]
fn all_kinds_of_operations_end_with_the_driver() {
    let driver = driver();
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

#[test]
fn a_future_of_a_dead_driver_has_its_end() {
    let driver = driver();
    let (reader, _writer) = pipe();
    let mut begun = driver.submit(ReadAt::at_cursor(reader.clone(), b"old".to_vec()));
    let mut new = driver.submit(ReadAt::at_cursor(reader, b"old".to_vec()));
    begin(&driver, &mut begun);
    let other = crate::support::driver();
    drop(driver);
    begun.cancel();
    new.cancel();
    let std::task::Poll::Ready(ended) = poll_once(&other, &mut begun) else {
        panic!("it has ended");
    };
    check_returned(ended, code::CANCELLED, b"old");
    let std::task::Poll::Ready((len, buffer)) = poll_once(&other, &mut new) else {
        panic!("it is refused");
    };
    len.unwrap_err();
    assert_eq!(buffer, b"old");
}

#[test]
fn a_close_that_is_pending_closes() {
    let driver = driver();
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

#[test]
fn pushed_operations_end_before_the_driver_is_gone() {
    let driver = driver();
    let (reader, _writer) = pipe();
    let mut ops = [(); 3].map(|()| ReadAt::at_cursor(reader.clone(), vec![0; 8]));
    for (number, op) in ops.iter_mut().enumerate() {
        // SAFETY: the operations stay here, and the driver dies before them.
        unsafe { driver.push(op, number) }.unwrap();
    }
    driver.shut_down();
    let mut entries = Vec::new();
    driver.poll(Some(Duration::ZERO), &mut entries).unwrap();
    assert_eq!(entries.len(), 3);
    let mut nop = Nop::new();
    // SAFETY: refused.
    unsafe { driver.push(&mut nop, 9) }.unwrap_err();
    drop(driver);
}

/// With no time to wait at all, what can be given up at once is not leaked.
#[test]
fn even_an_impatient_driver_takes_the_answers_that_are_there() {
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
fn a_patient_driver_may_wait_for_ever() {
    let builder = DriverBuilder::new().shutdown_timeout(Duration::MAX);
    let driver = builder.build().unwrap();
    let mut work = driver.submit(Blocking::new(thread::yield_now));
    begin(&driver, &mut work);
    drop(driver);
}

#[test]
fn shutting_down_twice_is_once() {
    let driver = driver();
    driver.shut_down();
    driver.shut_down();
    driver.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(driver.in_flight(), 0);
}

/// What was asked for before the end may still happen, but never in part of a buffer that is gone.
#[test]
fn writes_that_were_queued_are_done_or_not_done() {
    for _ in 0..20 {
        let driver = driver();
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
