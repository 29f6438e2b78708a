//! A join handle that aborts its task when it is dropped.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{join::JoinHandle, join_error::JoinError};

/// A [`JoinHandle`] that [aborts](JoinHandle::abort) its task when it is dropped. A `JoinHandle` itself
/// detaches the task.
///
/// The abort is a request: the task's future is dropped when the executor reaches it.
///
/// # Cancellation
///
/// Dropping a future that awaits `&mut handle` has no effect. Dropping a future that awaits the handle
/// itself aborts the task.
///
/// # Example
///
/// ```
/// use std::{future::pending, rc::Rc};
///
/// use compio::task::{AbortOnDropHandle, block_on, spawn, yield_now};
///
/// block_on(async {
///     let resource = Rc::new(());
///     let held = Rc::clone(&resource);
///     let task = spawn(async move {
///         pending::<()>().await;
///         drop(held);
///     });
///     drop(AbortOnDropHandle::new(task));
///     while Rc::strong_count(&resource) > 1 {
///         yield_now().await;
///     }
/// });
/// ```
#[must_use = "dropping the handle aborts the task"]
pub struct AbortOnDropHandle<T> {
    /// `None` after [`detach`](Self::detach).
    handle: Option<JoinHandle<T>>,
}

impl<T> AbortOnDropHandle<T> {
    /// Ties the task to this handle.
    pub fn new(handle: JoinHandle<T>) -> Self {
        Self {
            handle: Some(handle),
        }
    }

    fn handle(&self) -> &JoinHandle<T> {
        self.handle.as_ref().expect("present until `detach`")
    }

    /// Requests the end of the task, as [`JoinHandle::abort`].
    pub fn abort(&self) {
        self.handle().abort();
    }

    /// Whether the task has ended, by completion, panic or cancellation.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle().is_finished()
    }

    /// Returns the plain handle. Its drop does not abort the task.
    pub fn detach(mut self) -> JoinHandle<T> {
        self.handle.take().expect("present until `detach`")
    }
}

impl<T> Future for AbortOnDropHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let handle = self.handle.as_mut().expect("present until `detach`");
        Pin::new(handle).poll(cx)
    }
}

impl<T> Drop for AbortOnDropHandle<T> {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            handle.abort();
        }
    }
}

impl<T> From<JoinHandle<T>> for AbortOnDropHandle<T> {
    fn from(handle: JoinHandle<T>) -> Self {
        Self::new(handle)
    }
}

impl<T> AsRef<JoinHandle<T>> for AbortOnDropHandle<T> {
    fn as_ref(&self) -> &JoinHandle<T> {
        self.handle()
    }
}

impl<T> fmt::Debug for AbortOnDropHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortOnDropHandle")
            .field("is_finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
