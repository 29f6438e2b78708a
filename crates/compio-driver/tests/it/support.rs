//! What the tests share: a minimal executor, and counting of open descriptors.

use std::{
    future::Future,
    io,
    os::fd::OwnedFd,
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use compio_driver::{Driver, DriverBuilder, FromRawFd, SharedFd};

/// Long enough for anything that is going to happen at all.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) fn driver() -> Driver {
    Driver::new().expect("a driver")
}

/// A driver whose submission queue holds four entries.
pub(crate) fn tiny_driver() -> Driver {
    DriverBuilder::new().entries(4).build().expect("a driver")
}

/// Polls the future once.
pub(crate) fn poll_once<F: Future + Unpin>(driver: &Driver, future: &mut F) -> Poll<F::Output> {
    let waker = driver.waker();
    std::pin::Pin::new(future).poll(&mut Context::from_waker(&waker))
}

/// Runs the future to its end.
pub(crate) fn run<F: Future>(driver: &Driver, future: F) -> F::Output {
    let waker = driver.waker();
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        driver.turn(Some(LONG)).expect("a turn");
    }
}

/// Turns until the kernel has answered everything.
pub(crate) fn drain(driver: &Driver) {
    while driver.in_flight() > 0 {
        driver.turn(Some(LONG)).expect("a turn");
    }
}

pub(crate) fn pipe() -> (SharedFd, SharedFd) {
    let (read, write) = io::pipe().expect("a pipe");
    (
        SharedFd::from(OwnedFd::from(read)),
        SharedFd::from(OwnedFd::from(write)),
    )
}

/// The number of a descriptor, which the caller closes.
pub(crate) fn own(fd: i32) -> OwnedFd {
    // SAFETY: the tests pass numbers of descriptors that they just received.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
