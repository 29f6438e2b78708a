//! A minimal executor over a driver. The binaries `it` and `windows` include this file.

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Instant,
};

use compio_driver::{Driver, OwnedFd, SharedFd};
use compio_testkit::LONG;

pub(crate) fn driver() -> Driver {
    Driver::new().expect("a driver")
}

pub(crate) fn share(fd: impl Into<OwnedFd>) -> SharedFd {
    SharedFd::from(fd.into())
}

/// Polls the future once.
pub(crate) fn poll_once<F: Future + Unpin>(driver: &Driver, future: &mut F) -> Poll<F::Output> {
    poll_with(future, &driver.waker())
}

/// Polls the future once, with this waker.
pub(crate) fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Polls the future for the first time, and expects it to wait.
#[track_caller]
pub(crate) fn begin<F: Future + Unpin>(driver: &Driver, future: &mut F) {
    assert!(poll_once(driver, future).is_pending(), "it should wait");
}

/// Runs the future to completion.
#[track_caller]
pub(crate) fn run<F: Future>(driver: &Driver, future: F) -> F::Output {
    let waker = driver.waker();
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    let began = Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        driver.turn(Some(LONG)).expect("a turn");
        assert!(began.elapsed() < LONG, "this takes too long");
    }
}

/// Turns until the condition holds.
#[track_caller]
pub(crate) fn turn_until(driver: &Driver, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        driver.turn(Some(LONG)).expect("a turn");
        assert!(began.elapsed() < LONG, "this takes too long");
    }
}

/// Turns until all operations have completed.
pub(crate) fn drain(driver: &Driver) {
    turn_until(driver, || driver.in_flight() == 0);
}
