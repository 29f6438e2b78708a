//! Cancelling operations without losing their buffers and results.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::Future,
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll},
};

use compio_io::panics::discard;

use crate::{
    driver::{Driver, Inner},
    key::Key,
    wait_list::{Waiter, Waiters, sweep},
};

/// Cancels the operations of its scopes. They complete soon and return their buffers, with the error
/// `ECANCELED` or with the result of an earlier completion. A dropped future loses buffer and result, a
/// cancelled one does not.
///
/// [`Driver::scope`] enters a scope. Operations that are polled for the first time inside it belong to it,
/// and to all outer scopes. If the token has already been cancelled, they do not begin.
/// Clones are handles of the same token. It stays on its thread.
#[derive(Clone, Default)]
pub struct CancelToken(Rc<Shared>);

#[derive(Default)]
struct Shared {
    is_cancelled: Cell<bool>,
    /// The operations that have begun. Completed ones are swept out from time to time.
    arena: RefCell<Vec<(Weak<Inner>, Key)>>,
    waiters: Waiters,
}

impl CancelToken {
    /// A token that has not been cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests the cancellation of the operations, and returns at once. New operations are refused.
    pub fn cancel(&self) {
        if self.0.is_cancelled.replace(true) {
            return;
        }
        // The newest first: see `Inner::cancel_all`.
        for (driver, key) in self.0.arena.take().into_iter().rev() {
            if let Some(driver) = driver.upgrade()
                && driver.arena.is_pending(key)
            {
                driver.cancel(key);
            }
        }
        if let Some(panic) = self.0.waiters.wake() {
            discard(panic);
        }
    }

    /// Whether it has been cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.get()
    }

    /// Waits until it is cancelled.
    pub fn cancelled(&self) -> Cancelled {
        Cancelled {
            token: self.clone(),
            waiter: Waiter::default(),
        }
    }

    /// Adds an operation to this token.
    pub(crate) fn add(&self, driver: &Rc<Inner>, key: Key) {
        let mut arena = self.0.arena.borrow_mut();
        sweep(&mut arena, |(driver, key)| {
            let driver = driver.upgrade();
            driver.is_none_or(|driver| !driver.arena.is_pending(*key))
        });
        arena.push((Rc::downgrade(driver), key));
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken")
            .field("is_cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// The future of [`CancelToken::cancelled`].
///
/// # Cancellation
///
/// Has no effect.
#[must_use = "futures do nothing unless awaited"]
pub struct Cancelled {
    token: CancelToken,
    waiter: Waiter,
}

impl Future for Cancelled {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { token, waiter } = &mut *self;
        if !token.is_cancelled() {
            token.0.waiters.list(waiter, cx.waker());
        }
        // The clone of the waker runs user code, which may have cancelled the token.
        if token.is_cancelled() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancelled").field(&self.token).finish()
    }
}

/// A guard: operations that begin before its drop belong to the scope. Made by [`Driver::scope`].
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
