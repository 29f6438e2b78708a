//! Values that are polled and dropped in the context of the reactor.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    pin::Pin,
    task::{Context, Poll},
};

use super::reactor::{Reactor, drop_here};

/// A value whose polls and whose drop are in the context of the reactor.
///
/// - A future that creates objects of Tokio while it is polled, and that may use compio as well: it stays in its
///   task, and need not be `Send`. Its sockets and timers of Tokio wake it from the reactor's thread.
/// - An object whose destructor calls Tokio: `sqlx` returns a connection to its pool by a task, for example.
///
/// Other methods are reached through [`Deref`] and [`DerefMut`], without the context.
///
/// The value is on the heap: it costs one allocation. Entering the context costs some nanoseconds in each poll.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # compio::task::block_on(async {
/// use std::rc::Rc;
///
/// use compio::compat::tokio::Compat;
///
/// let local = Rc::new(42);
/// let answer = Compat::new(async move {
///     // Both runtimes work here.
///     compio::task::yield_now().await;
///     tokio::task::yield_now().await;
///     assert!(tokio::runtime::Handle::try_current().is_ok());
///     *local
/// });
/// assert_eq!(answer.await, 42);
/// # std::io::Result::Ok(())
/// # })
/// # }
/// ```
///
/// # Drops at the end of a thread
///
/// The thread's own runtime, of [`task::block_on`](crate::task::block_on), is dropped with the thread, and Tokio's
/// context may be gone by then. A `Compat` in one of its tasks is leaked there, with a message on stderr. A
/// [`Runtime`](crate::runtime::Runtime), and [`run`](super::run()), do not have this restriction.
///
/// In a child of `fork`, an inherited value is not dropped, and a poll of an inherited future panics.
pub struct Compat<T> {
    /// `None` once it has been moved out.
    value: Option<Pin<Box<T>>>,
    reactor: &'static Reactor,
}

impl<T> Compat<T> {
    /// Wraps a value.
    ///
    /// # Panics
    ///
    /// As [`handle`](super::handle).
    #[track_caller]
    pub fn new(value: T) -> Self {
        Self {
            value: Some(Box::pin(value)),
            reactor: Reactor::get(),
        }
    }

    /// Unwraps the value.
    pub fn into_inner(mut self) -> T
    where
        T: Unpin,
    {
        let value = self.value.take().expect(THERE);
        *Pin::into_inner(value)
    }
}

/// The drop and `into_inner` move the value out, and nothing follows them.
const THERE: &str = "the value is there until the drop";

impl<T> Deref for Compat<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect(THERE)
    }
}

impl<T: Unpin> DerefMut for Compat<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect(THERE)
    }
}

impl<F: Future> Future for Compat<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.reactor.check_process();
        let _context = self.reactor.handle().enter();
        self.value.as_mut().expect(THERE).as_mut().poll(cx)
    }
}

impl<T> Drop for Compat<T> {
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            drop_here(self.reactor, value);
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Compat<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Compat").field(&**self).finish()
    }
}
