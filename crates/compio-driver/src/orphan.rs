//! Orphans whose results are kept: the operation, and the wait for its completion.
//!
//! When a future is dropped, the kernel may already have completed its operation. `recv` keeps received
//! bytes, `accept` keeps connections.

use std::{
    cell::{Cell, RefCell},
    io,
    rc::{Rc, Weak},
    task::{Context, Waker},
};

use crate::{
    cancel::Cancelled,
    driver::Core,
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

    describe_as_inner!(O, operation);

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

/// The pending orphans of a descriptor: dropped operations that the kernel has not completed.
#[derive(Debug, Default)]
pub(crate) struct PendingOrphans {
    count: Cell<usize>,
    drivers: RefCell<Vec<Weak<Core>>>,
}

impl PendingOrphans {
    /// Counts an operation of this driver that is about to be dropped. [`remove`](Self::remove) follows.
    pub(crate) fn add(&self, driver: &Rc<Core>) {
        self.count.set(self.count.get() + 1);
        let mut drivers = self.drivers.borrow_mut();
        if !drivers
            .iter()
            .any(|known| known.as_ptr() == Rc::as_ptr(driver))
        {
            drivers.push(Rc::downgrade(driver));
        }
    }

    /// An orphan has completed.
    pub(crate) fn remove(&self) {
        self.count.set(self.count.get().saturating_sub(1));
        if self.count.get() == 0 {
            self.drivers.borrow_mut().clear();
        }
    }

    pub(crate) fn has_some(&self) -> bool {
        if self.count.get() == 0 {
            return false;
        }
        // A driver that was shut down has leaked the operations that had not completed.
        let mut drivers = self.drivers.borrow_mut();
        drivers.retain(|driver| {
            let driver = driver.upgrade();
            driver.is_some_and(|driver| !driver.is_closed() && driver.arena.orphans() > 0)
        });
        if drivers.is_empty() {
            self.count.set(0);
        }
        self.count.get() > 0
    }

    /// Reaps completions of the drivers other than this one. It may be that no loop turns them: the waiting
    /// task, or another runtime, occupies the thread. `waker` is woken if completions are outstanding then.
    pub(crate) fn pump_others(&self, driver: &Rc<Core>, waker: &Waker) {
        let others: Vec<_> = {
            let drivers = self.drivers.borrow();
            let others = drivers.iter().filter_map(Weak::upgrade);
            others
                .filter(|other| !Rc::ptr_eq(other, driver) && !other.is_closed())
                .collect()
        };
        // With nothing borrowed: wakers and destructors run.
        for other in others {
            other.pump_for(waker);
        }
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
    pub(crate) fn listen(&mut self, driver: &Core, cx: &mut Context<'_>, waiters: &Waiters) {
        waiters.list(&mut self.waiter, cx.waker());
        self.cancels = driver.listen_for_cancels(cx);
    }
}
