//! The handle that waits for the end of a task.

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    abort_handle::AbortHandle,
    join_error::JoinError,
    meta::{TaskId, TaskMeta},
    panics::drop_caught,
    task::{Header, TaskPtr, header::state, typed},
};

/// Waits for the end of a task, and yields its output.
///
/// **Dropping it detaches the task, which continues.** [`abort`](Self::abort) ends the task;
/// [`AbortOnDropHandle`](crate::AbortOnDropHandle) does so when it is dropped. The output of a detached
/// task is dropped at once. A panic in the destructor of an untaken output is caught.
///
/// It is not `Send`: the output of a task stays on the task's thread. [`abort_handle`](Self::abort_handle)
/// makes a handle for other threads.
///
/// # Cancellation
///
/// Awaiting `&mut handle` and dropping that future loses nothing. After it has yielded the output,
/// another poll panics.
///
/// # Example
///
/// ```
/// use compio::task::{block_on, spawn};
///
/// block_on(async {
///     let first = spawn(async { 20 });
///     let second = spawn(async { first.await.unwrap() + 22 });
///     let third = spawn(std::future::pending::<()>());
///     third.abort();
///     assert_eq!(second.await.unwrap(), 42);
///     assert!(third.await.unwrap_err().is_cancelled());
/// });
/// ```
pub struct JoinHandle<T> {
    task: TaskPtr,
    // It owns an output, and is neither `Send` nor `Sync` (M1).
    _output: PhantomData<(T, *mut Header)>,
}

// The output is in the task, not in the handle.
impl<T> Unpin for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// # Safety
    /// `task` has HANDLE set, no other handle, and yields a `T`.
    #[inline]
    pub(crate) unsafe fn new(task: TaskPtr) -> Self {
        Self {
            task,
            _output: PhantomData,
        }
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: M2 by HANDLE.
        unsafe { self.task.header() }
    }

    /// The number of the task.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.header().id
    }

    /// The number, name, and place of the spawn of the task.
    #[must_use]
    pub fn meta(&self) -> TaskMeta {
        // SAFETY: M2 by HANDLE.
        unsafe { self.task.meta() }
    }

    /// Whether the task has ended, by completion, panic or cancellation.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.header().is(state::COMPLETE)
    }

    /// Requests the end of the task. Its future is dropped when the executor reaches it, and the
    /// handle then reports [cancelled](JoinError::is_cancelled).
    ///
    /// A task that has ended already is not affected. A task that aborts itself ends when it next
    /// returns `Pending`; if it returns `Ready` first, the handle yields its output.
    pub fn abort(&self) {
        // SAFETY: M2 by HANDLE, M1 because a handle is not `Send`.
        unsafe { self.task.abort_at_home() };
    }

    /// A handle that aborts the task from any thread, and does not wait for it.
    #[must_use]
    pub fn abort_handle(&self) -> AbortHandle {
        if !self.is_finished() {
            // SAFETY: M2 by HANDLE. The task has not ended: its executor lives (M5).
            unsafe { self.task.lease_scheduler() };
        }
        // SAFETY: M2 by HANDLE. The scheduler is leased, or the task is Complete.
        unsafe { AbortHandle::new(self.task) }
    }

    /// Drops the handle. The task continues, and its output is dropped at its end. A plain drop of the handle
    /// does the same; this name states the intent.
    pub fn detach(self) {}

    /// Takes the output, if there is one (M4).
    fn take(&mut self) -> Option<Result<T, JoinError>> {
        let header = self.header();
        let state = header.state.get();
        if state & state::OUTPUT == 0 {
            return None;
        }
        header.state.set(state & !state::OUTPUT);
        // SAFETY: M1 because a handle is not `Send`; M4, OUTPUT was set; the task yields a `T`.
        let output = unsafe { typed::take_output(self.task) };
        Some(output.map_err(|failure| JoinError::new(failure, self.meta())))
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.is_finished() {
            // Before the registered waker is taken, which may belong to another task.
            // SAFETY: M2 by HANDLE. The task has not ended: its executor lives.
            unsafe { self.task.check_attended() };
            let waker = &self.header().join_waker;
            let registered = waker.take();
            if let Some(registered) =
                registered.filter(|registered| registered.will_wake(cx.waker()))
            {
                waker.set(Some(registered));
                return Poll::Pending;
            }
            // Cloning and dropping a waker runs user code, which might end the task: check again.
            let cloned = cx.waker().clone();
            if !self.is_finished() {
                self.header().join_waker.set(Some(cloned));
                return Poll::Pending;
            }
        }
        Poll::Ready(
            self.take()
                .expect("a `JoinHandle` was polled after it was ready"),
        )
    }
}

impl<T> Drop for JoinHandle<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(waker) = self.header().join_waker.take() {
            drop_caught(waker);
        }
        // After the waker was dropped, because its destructor might have ended the task.
        if let Some(output) = self.take() {
            drop_caught(output);
        }
        // SAFETY: M1 because a handle is not `Send`. Output and waker are gone: only a poll of this
        // handle registers one.
        unsafe { self.task.leave_home(state::HANDLE) };
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("id", &self.id())
            .field("is_finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
