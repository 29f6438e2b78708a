//! The handle of a task on the reactor's thread.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use ::tokio::task::{self, AbortHandle, JoinError};

use super::reactor::{Reactor, drop_sent};

/// The handle of a future that [`spawn`](super::spawn) has started. It is a future of the task's output.
///
/// Dropping it detaches the task. If the task has ended already, its output is dropped here, in the context of the
/// reactor.
///
/// # Errors
///
/// A [`JoinError`] if the task has panicked or was aborted.
///
/// # Panics
///
/// A poll in a child of `fork` panics: the task runs in the parent.
pub struct JoinHandle<T: Send + 'static> {
    /// `None` once it has been moved out by the drop.
    task: Option<task::JoinHandle<T>>,
    reactor: &'static Reactor,
}

impl<T: Send + 'static> JoinHandle<T> {
    #[track_caller]
    pub(super) fn spawn<F>(reactor: &'static Reactor, future: F) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        Self {
            task: Some(reactor.handle().spawn(future)),
            reactor,
        }
    }

    fn task(&self) -> &task::JoinHandle<T> {
        self.task.as_ref().expect("only the drop takes it")
    }

    /// Cancels the task: at once if it waits, else at its next await. Awaiting the handle returns an error then, if
    /// the task has not ended before.
    ///
    /// In a child of `fork` it does nothing: the task runs in the parent.
    pub fn abort(&self) {
        // The parent's threads may have held a lock of the task at the fork.
        if self.reactor.is_current() {
            self.task().abort();
        }
    }

    /// A handle that aborts the task, and does not keep its output.
    pub fn abort_handle(&self) -> AbortHandle {
        self.task().abort_handle()
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.task().is_finished()
    }
}

impl<T: Send + 'static> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.reactor.check_process();
        let task = self.task.as_mut().expect("only the drop takes it");
        Pin::new(task).poll(cx)
    }
}

impl<T: Send + 'static> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        drop_sent(self.reactor, self.task.take());
    }
}

impl<T: Send + 'static> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").finish_non_exhaustive()
    }
}
