//! A set of tasks that are awaited in the order of their ends.

use std::{
    fmt,
    future::poll_fn,
    panic::resume_unwind,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use slab::Slab;

use super::{
    AbortHandle, Id, JoinError, JoinHandle,
    ready_list::{Member, ReadyList},
    spawn,
};

/// A set of tasks with outputs of one type, which are returned in the order in which the tasks end.
///
/// **Its drop aborts all tasks.** It is as Tokio's; the tasks run on this thread.
///
/// Outputs of tasks that have ended stay in the set until they are taken. A server that does not need
/// them takes them in its accept loop, by [`try_join_next`](Self::try_join_next).
///
/// # Example
///
/// ```
/// use std::time::Duration;
///
/// use compio::{task::JoinSet, time::sleep};
///
/// #[compio::main]
/// async fn main() {
///     let mut set = JoinSet::new();
///     for millis in [20, 1, 10] {
///         set.spawn(async move {
///             sleep(Duration::from_millis(millis)).await;
///             millis
///         });
///     }
///     let mut ends = Vec::new();
///     while let Some(output) = set.join_next().await {
///         ends.push(output.unwrap());
///     }
///     assert_eq!(ends, [1, 10, 20]);
/// }
/// ```
pub struct JoinSet<T> {
    tasks: Slab<(JoinHandle<T>, Arc<Member>)>,
    ready: Arc<ReadyList>,
}

impl<T> JoinSet<T> {
    /// An empty set.
    pub fn new() -> Self {
        Self {
            tasks: Slab::new(),
            ready: Arc::default(),
        }
    }

    /// The number of tasks whose outputs have not been taken.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether the set has no tasks.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Requests the end of all tasks, as [`JoinHandle::abort`]. They stay in the set until
    /// [`join_next`](Self::join_next) has returned them.
    pub fn abort_all(&self) {
        for (_, (task, _)) in &self.tasks {
            task.abort();
        }
    }

    /// Detaches all tasks, which continue, and empties the set.
    pub fn detach_all(&mut self) {
        for (task, member) in self.tasks.drain() {
            member.retire();
            task.detach();
        }
    }

    /// The output of the next task that ends, or `None` if the set is empty.
    ///
    /// # Cancellation
    ///
    /// Loses no output.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_join_next(cx)).await
    }

    /// As [`join_next`](Self::join_next), with the number of the task. [`JoinError::id`] has that of a failed one.
    ///
    /// # Cancellation
    ///
    /// Loses no output.
    pub async fn join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        poll_fn(|cx| self.poll_join_next_with_id(cx)).await
    }

    /// The output of a task that has ended. `None` if there is none, or if the set is empty.
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        match self.poll_join_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => output,
            Poll::Pending => None,
        }
    }

    /// As [`join_next`](Self::join_next), as a poll function.
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        let polled = self.poll_join_next_with_id(cx);
        polled.map(|next| next.map(|output| output.map(|(_, output)| output)))
    }

    /// As [`join_next_with_id`](Self::join_next_with_id), as a poll function.
    pub fn poll_join_next_with_id(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(Id, T), JoinError>>> {
        if self.is_empty() {
            return Poll::Ready(None);
        }
        while let Poll::Ready(member) = self.ready.poll_next(cx) {
            let index = member.index;
            let Some((task, current)) = self.tasks.get_mut(index) else {
                continue;
            };
            // The place may belong to a later task.
            if !Arc::ptr_eq(current, &member) {
                continue;
            }
            let waker = Waker::from(member);
            let id = task.id();
            let polled = Pin::new(task).poll(&mut Context::from_waker(&waker));
            if let Poll::Ready(output) = polled {
                let (_, member) = self.tasks.remove(index);
                member.retire();
                return Poll::Ready(Some(output.map(|output| (id, output))));
            }
        }
        Poll::Pending
    }

    /// Aborts all tasks, and waits for their ends. Ignores outputs and panics.
    ///
    /// # Cancellation
    ///
    /// The tasks stay aborted, and in the set.
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while self.join_next().await.is_some() {}
    }

    /// The outputs of all tasks, in the order of their ends.
    ///
    /// # Cancellation
    ///
    /// Aborts the remaining tasks, and loses the outputs of the others.
    ///
    /// # Panics
    ///
    /// If a task panicked, with its payload; or if it was aborted. The remaining tasks are aborted.
    pub async fn join_all(mut self) -> Vec<T> {
        let mut outputs = Vec::with_capacity(self.len());
        while let Some(output) = self.join_next().await {
            match output.map_err(JoinError::try_into_panic) {
                Ok(output) => outputs.push(output),
                Err(Ok(payload)) => resume_unwind(payload),
                Err(Err(error)) => panic!("a task of the set: {error}"),
            }
        }
        outputs
    }
}

impl<T: 'static> JoinSet<T> {
    /// Starts a task, as [`task::spawn`](super::spawn()), and adds it.
    ///
    /// # Panics
    ///
    /// As `spawn`.
    #[track_caller]
    pub fn spawn<F: Future<Output = T> + 'static>(&mut self, future: F) -> AbortHandle {
        self.insert(spawn(future))
    }
}

impl<T> JoinSet<T> {
    /// Adds a task that runs already.
    pub fn insert(&mut self, task: JoinHandle<T>) -> AbortHandle {
        let abort = task.abort_handle();
        let entry = self.tasks.vacant_entry();
        let member = self.ready.member(entry.key());
        entry.insert((task, Arc::clone(&member)));
        member.wake_by_ref();
        abort
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.abort_all();
        self.ready.close();
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet").field("len", &self.len()).finish()
    }
}

impl<T: 'static, F: Future<Output = T> + 'static> FromIterator<F> for JoinSet<T> {
    /// Starts a task for each future.
    fn from_iter<I: IntoIterator<Item = F>>(futures: I) -> Self {
        let mut set = Self::new();
        for future in futures {
            set.spawn(future);
        }
        set
    }
}
