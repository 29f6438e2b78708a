//! A handle that aborts a task from any thread.

use std::{fmt, sync::Arc};

use crate::{meta::TaskId, task::TaskPtr};

/// Aborts a task, on any thread. Many handles of one task may exist.
///
/// Made by [`JoinHandle::abort_handle`](crate::JoinHandle::abort_handle) and
/// [`SendJoinHandle::abort_handle`](crate::SendJoinHandle::abort_handle). It does not keep the task running,
/// and its drop does nothing.
///
/// # Example
///
/// ```
/// use std::{future::pending, thread};
///
/// use compio::task::{block_on, spawn};
///
/// block_on(async {
///     let task = spawn(pending::<()>());
///     let abort = task.abort_handle();
///     thread::spawn(move || abort.abort());
///     assert!(task.await.unwrap_err().is_cancelled());
/// });
/// ```
#[derive(Clone)]
pub struct AbortHandle(Target);

#[derive(Clone)]
enum Target {
    Task(TaskReference),
    /// A task that may not have reached its thread yet.
    Remote(Arc<dyn RemoteTask>),
}

/// A task that was spawned from another thread.
pub(crate) trait RemoteTask: Send + Sync {
    fn abort(&self);
    fn is_finished(&self) -> bool;
    fn id(&self) -> TaskId;
}

impl AbortHandle {
    /// # Safety
    /// Home thread (M1); the task lives (M2). Its scheduler is leased (M5), or it is Complete.
    pub(crate) unsafe fn new(task: TaskPtr) -> Self {
        // SAFETY: the caller's promise.
        unsafe { task.retain() };
        Self(Target::Task(TaskReference(task)))
    }

    pub(crate) fn of_remote(task: Arc<dyn RemoteTask>) -> Self {
        Self(Target::Remote(task))
    }

    /// Requests the end of the task, as [`JoinHandle::abort`](crate::JoinHandle::abort). A task that has
    /// ended is not affected.
    pub fn abort(&self) {
        match &self.0 {
            // SAFETY: M2 by the reference; the rest by `AbortHandle::new`.
            Target::Task(reference) => unsafe { reference.0.abort() },
            Target::Remote(task) => task.abort(),
        }
    }

    /// The number of the task.
    #[must_use]
    pub fn id(&self) -> TaskId {
        match &self.0 {
            // SAFETY: M2 by the reference. The number is never written.
            Target::Task(reference) => unsafe { reference.0.header() }.id,
            Target::Remote(task) => task.id(),
        }
    }

    /// Whether the task has ended, by completion, panic or cancellation.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.0 {
            // SAFETY: M2 by the reference.
            Target::Task(reference) => unsafe { reference.0.header() }.is_finished(),
            Target::Remote(task) => task.is_finished(),
        }
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortHandle")
            .field("id", &self.id())
            .field("is_finished", &self.is_finished())
            .finish()
    }
}

/// A counted reference of a task, as a waker is, for any thread (M2).
struct TaskReference(TaskPtr);

// SAFETY: off the home thread it only counts references, requests an abort (M9), and reads `finished` and the
// number, which is never written.
unsafe impl Send for TaskReference {}
// SAFETY: likewise.
unsafe impl Sync for TaskReference {}

impl Clone for TaskReference {
    fn clone(&self) -> Self {
        // SAFETY: M2 by this reference. The scheduler needs no further lease (M5).
        unsafe { self.0.retain() };
        Self(self.0)
    }
}

impl Drop for TaskReference {
    fn drop(&mut self) {
        // SAFETY: the reference ends here, and no pointer relies on it.
        unsafe { self.0.release() };
    }
}
