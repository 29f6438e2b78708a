//! A handle that spawns tasks on an executor from any thread.

use std::{fmt, sync::Arc};

use crate::{
    executor::Executor,
    injector::{Injector, Job},
    meta::TaskMeta,
    remote_join::SendJoinHandle,
};

/// Spawns tasks on an [`Executor`] from any thread.
///
/// It does not keep the executor alive. A task that is spawned after the executor has gone is dropped at
/// once, and its handle reports it as cancelled.
///
/// # Example
///
/// ```
/// use std::{rc::Rc, thread, task::Waker};
///
/// use compio_executor::Executor;
///
/// let executor = Executor::new(Waker::noop().clone());
/// let spawner = executor.spawner();
/// let handle = thread::spawn(move || {
///     // The closure is sent. The future need not be `Send`: it is made on the executor's thread.
///     spawner.spawn_with(|| async {
///         let answer = Rc::new(42);
///         *answer
///     })
/// });
/// let handle = handle.join().unwrap();
/// while !handle.is_finished() {
///     executor.tick(64);
/// }
/// ```
#[derive(Clone)]
pub struct Spawner {
    injector: Arc<Injector>,
}

impl Spawner {
    pub(crate) fn new(injector: Arc<Injector>) -> Self {
        Self { injector }
    }

    /// The number of tasks and closures that were sent, and that the executor has not seen. Takes the lock of their queue.
    #[must_use]
    pub fn queue_len(&self) -> usize {
        self.injector.len()
    }

    /// Spawns a future that can be sent.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> SendJoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_with(|| future)
    }

    /// Sends a closure, which makes the task's future on the executor's thread. The future need not be
    /// `Send`. A panic of the closure is a panic of the task.
    #[track_caller]
    pub fn spawn_with<M, F>(&self, make: M) -> SendJoinHandle<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_as(TaskMeta::new(), make)
    }

    /// As [`spawn_with`](Self::spawn_with), for a task with this identity, which no other task has.
    pub fn spawn_as<M, F>(&self, meta: TaskMeta, make: M) -> SendJoinHandle<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let (handle, job) = SendJoinHandle::new(meta, make);
        self.injector.push(job);
        handle
    }

    /// Calls a closure on the executor's thread, between two polls. It is no task, and must not panic. It is dropped if the
    /// executor has gone.
    pub fn call(&self, code: impl FnOnce(&Executor) + Send + 'static) {
        struct Call<F>(F);
        impl<F: FnOnce(&Executor) + Send> Job for Call<F> {
            fn run(self: Box<Self>, executor: &Executor) {
                (self.0)(executor);
            }
        }
        self.send(Box::new(Call(code)));
    }

    /// Sends a job to the executor's thread. Drops it if the executor has gone.
    pub(crate) fn send(&self, job: Box<dyn Job>) {
        self.injector.push(job);
    }
}

impl fmt::Debug for Spawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawner").finish_non_exhaustive()
    }
}
