//! Giving up operations without losing what they hold.

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::{Rc, Weak},
    task::Waker,
};

use crate::{
    driver::{Driver, Inner},
    flight::Key,
    panics::{discard, wake_all},
};

/// Gives up the operations of its scopes, which end soon and hand out their buffers: with the error
/// `ECANCELED`, or with what happened first. A dropped future loses that; a cancelled one does not.
///
/// A scope is entered by [`Driver::scope`]: operations that are polled for the first time inside it
/// belong to it, and to those around it. Those of a token that was cancelled before are not begun.
/// Clones are handles of the same token. It stays on its thread.
#[derive(Clone, Default)]
pub struct CancelToken(Rc<Shared>);

#[derive(Default)]
struct Shared {
    is_cancelled: Cell<bool>,
    /// What was begun. Those that are over are swept out from time to time.
    flights: RefCell<Vec<(Weak<Inner>, Key)>>,
    waiters: RefCell<Vec<Waker>>,
}

/// Below this a list is not worth a sweep.
const SWEEP_MIN: usize = 16;

impl CancelToken {
    /// A token that has not been cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the operations up: asks the kernel, and returns at once. Later ones are refused.
    pub fn cancel(&self) {
        if self.0.is_cancelled.replace(true) {
            return;
        }
        for (driver, key) in self.0.flights.take() {
            if let Some(driver) = driver.upgrade()
                && driver.flights.is_airborne(key)
            {
                driver.cancel(key);
            }
        }
        if let Some(panic) = wake_all(self.0.waiters.take().into_iter()) {
            discard(panic);
        }
    }

    /// Whether it has been cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.get()
    }

    /// Whether it has been cancelled; if not, `waker` is woken when it is.
    pub fn poll_cancelled(&self, waker: &Waker) -> bool {
        if self.is_cancelled() {
            return true;
        }
        let is_known = self
            .0
            .waiters
            .borrow()
            .iter()
            .any(|one| one.will_wake(waker));
        if !is_known {
            let waker = waker.clone();
            self.0.waiters.borrow_mut().push(waker);
        }
        self.is_cancelled()
    }

    /// From now on the flight is one of this token's.
    pub(crate) fn add(&self, driver: &Rc<Inner>, key: Key) {
        let mut flights = self.0.flights.borrow_mut();
        if flights.len() >= SWEEP_MIN && flights.len() == flights.capacity() {
            flights.retain(|(driver, key)| {
                let driver = driver.upgrade();
                driver.is_some_and(|driver| driver.flights.is_airborne(*key))
            });
        }
        flights.push((Rc::downgrade(driver), key));
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken")
            .field("is_cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// While this lives, operations that are begun belong to the scope. Made by [`Driver::scope`].
#[derive(Debug)]
#[must_use = "the scope ends when this is dropped"]
pub struct CancelScope<'a> {
    driver: &'a Driver,
    place: usize,
}

impl<'a> CancelScope<'a> {
    pub(crate) fn enter(driver: &'a Driver, token: &CancelToken) -> Self {
        let place = driver.inner().enter_scope(token.clone());
        Self { driver, place }
    }
}

impl Drop for CancelScope<'_> {
    fn drop(&mut self) {
        // The token's destructor may drop wakers: it runs with nothing borrowed.
        let left = self.driver.inner().leave_scope(self.place);
        drop(left);
    }
}
