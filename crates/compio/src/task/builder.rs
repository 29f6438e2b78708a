//! Tasks with a name.

use compio_executor::{JoinHandle, SendJoinHandle, TaskMeta};

use super::{Id, Meta, spawn_blocking_as};
use crate::runtime::{self, Handle};

/// The identity of the task that runs on this thread: its number, its name, and the place of its spawn. `None`
/// outside of tasks, for instance in the future of a [`block_on`](super::block_on).
///
/// ```
/// use compio::task;
///
/// task::block_on(async {
///     assert!(task::current().is_none());
///     let task = task::spawn(async { task::current().map(|task| task.id()) });
///     let id = task.id();
///     assert_eq!(task.await.unwrap(), Some(id));
/// });
/// ```
pub fn current() -> Option<Meta> {
    runtime::entered()?.current_task()
}

/// The number of the task that runs on this thread, as Tokio's function of this name. `None` outside of tasks.
pub fn try_id() -> Option<Id> {
    current().map(|task| task.id())
}

/// The number of the task that runs on this thread, as Tokio's function of this name.
///
/// # Panics
///
/// Outside of tasks, for instance in the future of a [`block_on`](super::block_on).
#[track_caller]
pub fn id() -> Id {
    try_id().expect("no task runs on this thread")
}

/// Spawns tasks with a name. The [`JoinError`](super::JoinError) of a task shows its name, and so does
/// [`current`].
///
/// ```
/// use compio::task::{self, Builder};
///
/// task::block_on(async {
///     let task = Builder::new()
///         .name("ticker")
///         .spawn(std::future::pending::<()>());
///     task.abort();
///     let error = task.await.unwrap_err();
///     assert_eq!(error.task().name(), Some("ticker"));
/// });
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "it spawns nothing by itself"]
pub struct Builder<'a> {
    name: Option<&'a str>,
}

impl<'a> Builder<'a> {
    /// A task without a name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the name. It need not be unique.
    pub fn name(mut self, name: &'a str) -> Self {
        self.name = Some(name);
        self
    }

    /// Starts a task on this thread's runtime, as [`spawn`](super::spawn).
    ///
    /// # Panics
    ///
    /// As [`spawn`](super::spawn).
    #[track_caller]
    pub fn spawn<F: Future + 'static>(self, future: F) -> JoinHandle<F::Output> {
        runtime::entered_for("`task::Builder::spawn`").spawn_as(self.meta(), future)
    }

    /// Starts a task on the runtime of the handle, on any thread, as [`Handle::spawn`].
    #[track_caller]
    pub fn spawn_on<F>(self, future: F, runtime: &Handle) -> SendJoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        runtime.spawn_as(self.meta(), || future)
    }

    /// Starts a task with the future that `make` returns on the runtime's thread, as [`Handle::spawn_with`].
    #[track_caller]
    pub fn spawn_with_on<M, F>(self, make: M, runtime: &Handle) -> SendJoinHandle<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        runtime.spawn_as(self.meta(), make)
    }

    /// Runs blocking code on a thread of the pool, as [`spawn_blocking`](super::spawn_blocking).
    ///
    /// # Panics
    ///
    /// As [`spawn`](super::spawn).
    #[track_caller]
    pub fn spawn_blocking<F, T>(self, code: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let runtime = runtime::entered_for("`task::Builder::spawn_blocking`");
        spawn_blocking_as(&runtime, self.meta(), code)
    }

    #[track_caller]
    fn meta(&self) -> TaskMeta {
        let meta = TaskMeta::new();
        match self.name {
            Some(name) => meta.with_name(name),
            None => meta,
        }
    }
}
