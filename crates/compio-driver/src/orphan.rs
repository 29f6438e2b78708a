//! Orphans whose results are kept: the operation, and the wait for its completion.
//!
//! When a future is dropped, the kernel may already have completed its operation. `recv` keeps received
//! bytes, `accept` keeps connections.

use std::{future::Future, io, pin::Pin, task::Context};

use crate::{
    cancel::Cancelled,
    driver::Inner,
    operation::{Multishot, Operation, Owned},
    request::{Item, Request},
    wait_list::{Waiter, Waiters},
};

/// The destination of an orphan's result.
pub(crate) trait Keeper<O: Operation>: 'static {
    /// Takes the result, as [`Operation::on_orphaned`].
    ///
    /// # Safety
    ///
    /// As for [`Operation::finish`] of `operation`.
    unsafe fn keep(self, operation: O, answer: io::Result<usize>);
}

/// An operation whose result goes to a [`Keeper`] if its future is dropped.
pub(crate) struct Lossless<O, K> {
    operation: O,
    keeper: K,
}

impl<O, K> Lossless<O, K> {
    pub(crate) fn new(operation: O, keeper: K) -> Self {
        Self { operation, keeper }
    }

    /// The operation, which has not begun.
    pub(crate) fn into_inner(self) -> O {
        self.operation
    }
}

// SAFETY: the request comes from the inner operation, which does not move in here.
unsafe impl<O: Operation, K: Keeper<O>> Operation for Lossless<O, K> {
    type Output = O::Output;

    #[inline]
    fn request(&mut self) -> Request {
        self.operation.request()
    }

    #[inline]
    unsafe fn finish(self, answer: io::Result<usize>) -> O::Output {
        // SAFETY: passed on from this function.
        unsafe { self.operation.finish(answer) }
    }

    unsafe fn on_orphaned(self, answer: io::Result<usize>) {
        // SAFETY: passed on from this function.
        unsafe { self.keeper.keep(self.operation, answer) }
    }
}

// SAFETY: the inner operation is `Owned`.
unsafe impl<O: Owned, K: Keeper<O>> Owned for Lossless<O, K> {}

// SAFETY: the functions call those of the inner operation.
unsafe impl<O: Multishot, K: Keeper<O>> Multishot for Lossless<O, K> {
    type Item = O::Item;

    unsafe fn push_partial(this: *mut Self, item: Item) -> bool {
        // SAFETY: by this function's contract, which is the same for the inner operation.
        unsafe { O::push_partial(&raw mut (*this).operation, item) }
    }

    unsafe fn awaits_notification(this: *mut Self) -> bool {
        // SAFETY: as in `push_partial`.
        unsafe { O::awaits_notification(&raw mut (*this).operation) }
    }

    unsafe fn next(this: *mut Self) -> Option<O::Item> {
        // SAFETY: as in `push_partial`.
        unsafe { O::next(&raw mut (*this).operation) }
    }
}

/// A wait for the pending orphans of a descriptor or for another event of this thread. It also ends if a
/// token of the active cancel scopes is cancelled.
#[derive(Default)]
pub(crate) struct OrphanWait {
    waiter: Waiter,
    cancels: Vec<Cancelled>,
}

impl OrphanWait {
    /// Registers the task with these waiters and with the tokens. The caller checks its condition
    /// afterwards.
    pub(crate) fn listen(&mut self, driver: &Inner, cx: &mut Context<'_>, waiters: &Waiters) {
        waiters.list(&mut self.waiter, cx.waker());
        self.cancels = driver.cancels();
        for cancel in &mut self.cancels {
            let _ = Pin::new(cancel).poll(cx);
        }
    }
}
