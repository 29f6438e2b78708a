//! Handles of runtimes, for code that does not own the runtime.

use std::{
    fmt,
    rc::{Rc, Weak},
};

use compio_driver::{Backend, StaysOnItsThread};
use compio_executor::{JoinHandle, SendJoinHandle, Spawner, TaskMeta};

#[cfg(feature = "tracing")]
use crate::trace::{self, TaskTrace};
use crate::{dump::RuntimeDump, metrics::RuntimeMetrics};

use super::{
    Budgeted, Inner, Runtime,
    current::{self, Entered, entered_for},
};

impl Runtime {
    /// The runtime that runs, or has been [entered](Self::enter), on this thread. `None` if there is
    /// none: then [`task::spawn`](crate::task::spawn) and operations would panic.
    ///
    /// The thread's own runtime, which [`task::block_on`](crate::task::block_on) makes, counts while
    /// it runs.
    ///
    /// ```
    /// use compio::{runtime::Runtime, task};
    ///
    /// assert!(Runtime::try_current().is_none());
    /// task::block_on(async {
    ///     let runtime = Runtime::try_current().expect("it runs this block");
    ///     assert_eq!(runtime.spawn(async { 6 * 7 }).await.unwrap(), 42);
    /// });
    /// ```
    pub fn try_current() -> Option<LocalHandle> {
        let inner = current::entered()?;
        Some(LocalHandle::new(&inner))
    }

    /// A handle of this runtime for any thread, which does not keep it alive.
    pub fn handle(&self) -> Handle {
        Handle::new(&self.inner)
    }

    /// A handle of this runtime for its thread, which does not keep it alive.
    pub fn local_handle(&self) -> LocalHandle {
        LocalHandle::new(&self.inner)
    }
}

/// A handle of a [`Runtime`] that spawns tasks from any thread. It does not keep the runtime alive.
///
/// The tasks run on the thread of the runtime. A task that is spawned after the runtime has been dropped is
/// cancelled at once, and its handle reports that. Spawning never waits.
///
/// ```
/// use std::{rc::Rc, thread};
///
/// use compio::{runtime::Handle, task};
///
/// task::block_on(async {
///     let runtime = Handle::current();
///     let task = thread::spawn(move || {
///         runtime.spawn_with(|| {
///             // On the thread of the runtime again: the future need not be `Send`.
///             let value = Rc::new(42);
///             async move { *value }
///         })
///     });
///     assert_eq!(task.join().unwrap().await.unwrap(), 42);
/// });
/// ```
#[derive(Clone)]
pub struct Handle {
    spawner: Spawner,
    metrics: RuntimeMetrics,
}

impl Handle {
    fn new(inner: &Inner) -> Self {
        Self {
            spawner: inner.executor.spawner(),
            metrics: inner.metrics().clone(),
        }
    }

    /// A handle of the runtime that runs, or has been [entered](Runtime::enter), on this thread.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[track_caller]
    pub fn current() -> Self {
        Self::new(&entered_for("`Handle::current`"))
    }

    /// As [`current`](Self::current), but `None` if there is no such runtime.
    pub fn try_current() -> Option<Self> {
        Some(Self::new(&*current::entered()?))
    }

    /// The counters of the runtime. They stay readable after its drop.
    pub fn metrics(&self) -> RuntimeMetrics {
        self.metrics.clone()
    }

    /// The tasks of the runtime, and the operations and timers that each waits for. Polls no task.
    ///
    /// Blocks this thread until the loop of the runtime answers, for one second at most. A loop that does not answer is
    /// busy: then the dump has the task that it runs. Another runtime of this thread does not answer.
    ///
    /// ```
    /// use compio::{runtime::Handle, task, time};
    ///
    /// task::block_on(async {
    ///     let task = task::Builder::new().name("sleeper").spawn(async {
    ///         time::sleep(time::Duration::from_secs(60)).await;
    ///     });
    ///     task::yield_now().await;
    ///     let dump = Handle::current().dump();
    ///     assert!(dump.to_string().contains("sleep"), "{dump}");
    ///     drop(task);
    /// });
    /// ```
    pub fn dump(&self) -> RuntimeDump {
        RuntimeDump::of(self.metrics.clone())
    }

    /// Starts a task with a future that can be sent. Dropping the handle detaches the task.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> SendJoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_with(|| future)
    }

    /// Starts a task with the future that `make` returns on the runtime's thread. The future need not be
    /// `Send`. A panic of `make` is a panic of the task.
    #[track_caller]
    pub fn spawn_with<M, F>(&self, make: M) -> SendJoinHandle<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_as(TaskMeta::new(), make)
    }

    pub(crate) fn spawn_as<M, F>(&self, meta: TaskMeta, make: M) -> SendJoinHandle<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        #[cfg(feature = "tracing")]
        if trace::is_enabled() {
            let trace = TaskTrace::task(&meta, size_of::<F>());
            let make = || {
                let future = trace.in_scope(make);
                trace.around(Budgeted { future })
            };
            return self.spawner.spawn_as(meta, make);
        }
        self.spawner.spawn_as(meta, || Budgeted { future: make() })
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// A handle of a [`Runtime`], made by [`Runtime::try_current`] or [`Runtime::local_handle`]. It stays on
/// the thread of the runtime, and does not keep it alive. [`Handle`] is for other threads.
#[derive(Clone)]
pub struct LocalHandle {
    inner: StaysOnItsThread<Weak<Inner>>,
}

impl LocalHandle {
    fn new(inner: &Rc<Inner>) -> Self {
        Self {
            inner: StaysOnItsThread::new(Rc::downgrade(inner)),
        }
    }

    #[track_caller]
    fn get(&self) -> Rc<Inner> {
        match self.inner.upgrade() {
            Some(inner) => inner,
            None => panic!("the runtime of this handle has been dropped"),
        }
    }

    /// Starts a task, as [`Runtime::spawn`].
    ///
    /// # Panics
    ///
    /// If the runtime has been dropped.
    #[track_caller]
    pub fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        self.get().spawn(future)
    }

    /// Calls `code` with the runtime as the thread's current one, as [`Runtime::enter`].
    ///
    /// # Panics
    ///
    /// If the runtime has been dropped.
    #[track_caller]
    pub fn enter<T>(&self, code: impl FnOnce() -> T) -> T {
        let inner = self.get();
        let _entered = Entered::new(&inner);
        code()
    }

    /// The backend that talks to the kernel, and the reason for its choice.
    ///
    /// # Panics
    ///
    /// If the runtime has been dropped.
    #[track_caller]
    pub fn backend(&self) -> Backend {
        self.get().driver.backend()
    }
}

impl fmt::Debug for LocalHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalHandle")
            .field("is_dropped", &(self.inner.strong_count() == 0))
            .finish()
    }
}
