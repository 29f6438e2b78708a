//! The number of kernel entries.

use std::{task::Waker, time::Duration};

use compio_driver::{
    Driver, DriverBuilder, Owned, SpinPolicy, Submit,
    op::{Nop, ReadAt},
};

use crate::support::{driver, each_backend, pipe, poll_with, turn_until};

/// Begins all operations, turns until all have completed, and returns the number of kernel entries.
pub(crate) fn enters<O: Owned>(driver: &Driver, operations: impl IntoIterator<Item = O>) -> u64 {
    let before = driver.enters();
    let mut submits: Vec<Submit<O>> = operations.into_iter().map(|op| driver.submit(op)).collect();
    for submit in &mut submits {
        assert!(poll_with(submit, Waker::noop()).is_pending());
    }
    turn_until(driver, || driver.in_flight() == 0);
    driver.enters() - before
}

#[test]
fn beginning_an_operation_enters_nothing() {
    let driver = driver();
    let mut nop = driver.submit(Nop::new());
    assert!(poll_with(&mut nop, Waker::noop()).is_pending());
    assert_eq!(driver.enters(), 0);
}

#[test]
fn many_operations_go_with_one_enter() {
    for driver in each_backend() {
        // A backend may reap as many completions at once.
        assert!(enters(&driver, [Nop::new(); 200]) <= 200 / 50);
    }
}

#[test]
fn many_cancels_go_with_one_enter() {
    let driver = driver();
    let (reader, _writer) = pipe();
    let mut reads: Vec<_> = (0..100)
        .map(|_| driver.submit(ReadAt::at_cursor(reader.clone(), vec![0; 8])))
        .collect();
    for read in &mut reads {
        assert!(poll_with(read, Waker::noop()).is_pending());
    }
    driver.turn(Some(Duration::ZERO)).unwrap();
    let before = driver.enters();
    drop(reads);
    turn_until(&driver, || driver.in_flight() == 0);
    // The kernel cancels some operations by deferred work, which may need more entries.
    let count = driver.enters() - before;
    assert!(count <= 10, "{count}");
}

#[test]
fn polling_an_idle_driver_enters_nothing() {
    for policy in [SpinPolicy::Off, SpinPolicy::Adaptive, SpinPolicy::Always] {
        let driver = DriverBuilder::new().spin(policy).build().unwrap();
        for _ in 0..100 {
            driver.turn(Some(Duration::ZERO)).unwrap();
        }
        driver.waker().wake();
        driver.turn(None).unwrap();
        assert_eq!(driver.enters(), 0);
    }
}

#[test]
fn a_wait_sleeps_once() {
    let driver = DriverBuilder::new().spin(SpinPolicy::Off).build().unwrap();
    driver.turn(Some(Duration::from_millis(20))).unwrap();
    assert_eq!(driver.enters(), 1);
}
