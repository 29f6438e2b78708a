//! More operations and completions than the queues hold.

use std::{cell::Cell, rc::Rc};

use compio_driver::{
    Driver, SharedFd, Submit,
    op::{Nop, PollOnce, ReadAt, Readiness},
};

use crate::support::{Canary, begin, check_code, code, drain, pipe, run, sockets, tiny_driver};

/// Many times the capacity of a tiny driver's queues.
const MANY: usize = 500;

fn waiting_polls(driver: &Driver, fd: &SharedFd) -> Vec<Submit<PollOnce>> {
    let mut polls: Vec<_> = (0..MANY)
        .map(|_| driver.submit(PollOnce::new(fd.clone(), Readiness::READABLE)))
        .collect();
    polls.iter_mut().for_each(|poll| begin(driver, poll));
    polls
}

fn waiting_reads(
    driver: &Driver,
    fd: &SharedFd,
    deaths: &Rc<Cell<usize>>,
) -> Vec<Submit<ReadAt<Canary>>> {
    let mut reads: Vec<_> = (0..MANY)
        .map(|_| driver.submit(ReadAt::at_cursor(fd.clone(), Canary::new(deaths))))
        .collect();
    reads.iter_mut().for_each(|read| begin(driver, read));
    reads
}

#[test]
fn s15_hundreds_of_completions_wait_for_the_first_turn() {
    let driver = tiny_driver();
    let mut nops: Vec<_> = (0..MANY).map(|_| driver.submit(Nop::new())).collect();
    nops.iter_mut().for_each(|nop| begin(&driver, nop));
    for nop in nops {
        assert_eq!(run(&driver, nop).unwrap(), 0);
    }
    assert_eq!(driver.in_flight(), 0);
}

#[test]
fn s15_hundreds_of_operations_end_at_the_same_moment() {
    let driver = tiny_driver();
    let (near, far) = sockets();
    let polls = waiting_polls(&driver, &near);
    driver.turn(Some(std::time::Duration::ZERO)).unwrap();
    drop(far);
    for poll in polls {
        run(&driver, poll).unwrap();
    }
}

#[test]
fn s15_hundreds_of_cancels_find_the_queue_full() {
    let driver = tiny_driver();
    let (reader, _writer) = pipe();
    let deaths = Rc::default();
    let reads = waiting_reads(&driver, &reader, &deaths);
    drop(reads);
    drain(&driver);
    assert_eq!(deaths.get(), MANY);
}

#[test]
fn s15_hundreds_of_cancels_are_requested_repeatedly() {
    let driver = tiny_driver();
    let (reader, _writer) = pipe();
    let deaths = Rc::default();
    let reads = waiting_reads(&driver, &reader, &deaths);
    for _ in 0..3 {
        reads.iter().for_each(Submit::cancel);
    }
    for read in reads {
        let (len, _) = run(&driver, read);
        check_code(len, code::CANCELLED);
    }
}

#[test]
fn s15_a_driver_dies_with_more_in_flight_than_its_queues_hold() {
    let driver = tiny_driver();
    let (reader, _writer) = pipe();
    let deaths = Rc::default();
    let reads = waiting_reads(&driver, &reader, &deaths);
    drop(driver);
    assert_eq!(deaths.get(), 0, "their futures are still there");
    drop(reads);
    assert_eq!(deaths.get(), MANY);
}

#[test]
fn s15_a_wake_comes_through_full_queues() {
    let driver = tiny_driver();
    let (near, far) = sockets();
    let polls = waiting_polls(&driver, &near);
    let waker = driver.waker();
    drop(far);
    std::thread::spawn(move || waker.wake()).join().unwrap();
    for poll in polls {
        run(&driver, poll).unwrap();
    }
    assert_eq!(driver.in_flight(), 0);
}

#[test]
fn s15_the_smallest_and_the_largest_queues_work() {
    for entries in [0, 1, 2, u32::MAX] {
        let driver = compio_driver::DriverBuilder::new().entries(entries);
        let driver = driver.build().expect("a driver");
        for _ in 0..3 {
            let mut nops: Vec<_> = (0..100).map(|_| driver.submit(Nop::new())).collect();
            nops.iter_mut().for_each(|nop| begin(&driver, nop));
            for nop in nops {
                assert_eq!(run(&driver, nop).unwrap(), 0);
            }
        }
    }
}
