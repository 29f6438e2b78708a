//! Cancelling operations without losing their buffers and results.

use std::{
    fmt,
    future::{Future, poll_fn},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use crate::{
    driver::{Core, Driver, TokenState},
    sys,
    wait_list::Waiter,
};

/// Cancels the operations of its scopes. They complete soon and return their buffers, with the error
/// `ECANCELED` or with the result of an earlier completion. A dropped future loses buffer and result, a
/// cancelled one does not.
///
/// [`Driver::scope`] enters a scope. Operations that are polled for the first time inside it belong to it,
/// and to all outer scopes. If the token has already been cancelled, they do not begin.
/// Clones are handles of the same token. It stays on its thread.
#[derive(Clone, Default)]
pub struct CancelToken(Rc<TokenState>);

impl Driver {
    /// Until the scope is dropped, operations that are polled for the first time belong to `token`, too.
    /// A forgotten scope (`mem::forget`) never ends.
    pub fn scope(&self, token: &CancelToken) -> CancelScope<'_> {
        CancelScope::enter(self, token)
    }

    /// Waits until a token of the active scopes is cancelled, for waits that are not operations. The output
    /// is the error of a cancelled operation, `ECANCELED`.
    #[doc(hidden)]
    pub fn scope_cancelled(&self) -> impl Future<Output = io::Error> + use<> {
        let mut cancels = self.inner().cancels();
        poll_fn(move |cx| {
            let mut cancels = cancels.iter_mut();
            if cancels.any(|cancel| Pin::new(cancel).poll(cx).is_ready()) {
                Poll::Ready(io::Error::from_raw_os_error(sys::ECANCELED))
            } else {
                Poll::Pending
            }
        })
    }
}

impl Core {
    /// Registers the task with the tokens of the active scopes: a cancel wakes it as long as the futures exist.
    pub(crate) fn listen_for_cancels(&self, cx: &mut Context<'_>) -> Vec<Cancelled> {
        let mut cancels = self.cancels();
        for cancel in &mut cancels {
            let _ = Pin::new(cancel).poll(cx);
        }
        cancels
    }

    /// The cancellation futures of the active scopes.
    fn cancels(&self) -> Vec<Cancelled> {
        let tokens = self.active_tokens().into_iter().map(CancelToken);
        tokens.map(|token| token.cancelled()).collect()
    }
}

impl CancelToken {
    /// A token that has not been cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests the cancellation of the operations, and returns at once. New operations are refused.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether it has been cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until it is cancelled.
    pub fn cancelled(&self) -> Cancelled {
        Cancelled {
            token: self.clone(),
            waiter: Waiter::default(),
        }
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
        let place = driver.inner().enter_scope(Rc::clone(&token.0));
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
