//! The runtime, which connects driver, executor and timers.
//!
//! [`task::block_on`](crate::task::block_on) and similar functions implicitly use this thread's
//! runtime. [`Runtime`] is explicit: with settings, several on one thread, or embedded in another
//! event loop.

mod async_fd;
mod buffers;
mod builder;
mod cancel;
mod current;
mod detached;
mod event_loop;
mod handle;
#[cfg(feature = "net")]
mod lazy;
mod loop_clock;
mod send_wrapper;
mod timer_clock;
mod timers;

use std::{
    cell::{Cell, RefCell},
    fmt, io, mem,
    pin::Pin,
    rc::Rc,
    sync::atomic::Ordering,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

pub use compio_driver::PooledBuffer;
use compio_driver::{AsRawFd, Backend, Driver, Owned, Process, RawFd, StaysOnItsThread, Submit};
use compio_executor::{Executor, JoinHandle, MainWaker, TaskMeta, TaskMetrics};

#[cfg(feature = "histograms")]
use crate::metrics::Recorder;
#[cfg(feature = "tracing")]
use crate::trace::{self, TaskTrace};
use crate::{
    dump,
    metrics::{Registered, RuntimeMetrics},
};
pub use compio_driver::is_cancelled;
#[cfg(any(feature = "fs", feature = "net"))]
use compio_driver::{SharedFd, op::Close};
use compio_io::coop;
use pin_project_lite::pin_project;
#[cfg(feature = "net")]
use std::cell::OnceCell;

#[cfg(feature = "macros")]
pub(crate) use self::current::existing;
#[cfg(feature = "time")]
pub(crate) use self::current::is_foreign;
pub(crate) use self::current::{
    block_on, current, entered, entered_for, entered_ref, with_current,
};
#[cfg(feature = "net")]
pub(crate) use self::lazy::lazy;
#[cfg(feature = "test-util")]
pub(crate) use self::timer_clock::Advance;
#[cfg(feature = "test-util")]
use self::timer_clock::TimerClock;
#[cfg(feature = "time")]
pub(crate) use self::timer_clock::now;
pub use self::{
    async_fd::AsyncFd,
    buffers::BufferPool,
    builder::RuntimeBuilder,
    cancel::{CancelToken, RunCancellable},
    handle::{Handle, LocalHandle},
    send_wrapper::SendWrapper,
};
use self::{
    builder::Parking, current::Entered, detached::LastWrites, loop_clock::LoopClock, timers::Timers,
};
pub(crate) use self::{event_loop::Work, timers::TimerKey};

/// Runs tasks on the thread that made it.
///
/// Dropping it drops all its tasks, cancels their operations, and waits for the completions, at most for
/// [`RuntimeBuilder::shutdown_timeout`]. Before that, the kernel takes the bytes that a dropped
/// [`PollWriter`](crate::io::PollWriter) still has, as far as it has room for them within about 50
/// milliseconds.
///
/// ```
/// use compio::runtime::Runtime;
///
/// fn main() -> std::io::Result<()> {
///     let runtime = Runtime::new()?;
///     println!("{}", runtime.backend());
///     let answer = runtime.block_on(async { 6 * 7 });
///     assert_eq!(answer, 42);
///     Ok(())
/// }
/// ```
///
/// # Threads and processes
///
/// It stays on the thread that made it, together with its tasks, handles, sockets and operations.
/// The compiler checks that:
///
/// ```compile_fail,E0277
/// let runtime = compio::runtime::Runtime::new().unwrap();
/// std::thread::spawn(move || runtime.block_on(async {}));
/// ```
///
/// A child of `fork` has no part in the runtimes of its parent. It may become another program, as by
/// [`process::Command`](crate::process::Command), exit, or make runtimes of its own, without effect on
/// the parent. The thread's own runtime, which [`task::block_on`](crate::task::block_on) uses, is
/// created anew there, and a [pool](RuntimeBuilder::pool) has new threads. An inherited runtime that
/// is dropped there does nothing. Using one there is an error: with io_uring it ends the child,
/// because the ring is not mapped in its memory; with the readiness backend, parent and child take
/// each other's events.
pub struct Runtime {
    inner: StaysOnItsThread<Rc<Inner>>,
}

impl Runtime {
    /// A runtime with the defaults of [`RuntimeBuilder`].
    ///
    /// # Errors
    ///
    /// As [`RuntimeBuilder::build`].
    pub fn new() -> io::Result<Self> {
        RuntimeBuilder::new().build()
    }

    /// The settings, to be changed before [`build`](RuntimeBuilder::build).
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder::new()
    }

    /// The backend that talks to the kernel, and the reason for its choice.
    pub fn backend(&self) -> Backend {
        self.inner.driver.backend()
    }

    /// Runs a future to completion, together with the runtime's tasks. Tasks that are not complete
    /// by then are kept.
    ///
    /// # Panics
    ///
    /// Within a task or another `block_on` of this runtime; if the OS fails to wait for events; or
    /// if the future panics.
    #[cfg_attr(feature = "tracing", track_caller)]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.inner.block_on(future)
    }

    /// Starts a task. It runs in the runtime's `block_on`, or [`run`](Self::run).
    #[track_caller]
    pub fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        self.inner.spawn(future)
    }

    /// Calls `code` with this runtime as the thread's current one, which spawns, sleeps and
    /// operations use.
    pub fn enter<T>(&self, code: impl FnOnce() -> T) -> T {
        let _entered = Entered::new(&self.inner);
        code()
    }

    /// Runs ready tasks, without waiting, until none is ready or a limit of polls is reached.
    /// Returns whether some are still ready. For embedding in another event loop:
    ///
    /// ```
    /// use std::{cell::Cell, rc::Rc};
    ///
    /// use compio::runtime::Runtime;
    ///
    /// fn main() -> std::io::Result<()> {
    ///     let runtime = Runtime::new()?;
    ///     let done = Rc::new(Cell::new(false));
    ///     let finished = done.clone();
    ///     runtime.spawn(async move {
    ///         compio::task::yield_now().await;
    ///         finished.set(true);
    ///     });
    ///     loop {
    ///         runtime.run();
    ///         if done.get() {
    ///             break;
    ///         }
    ///         // A real loop waits here, at most for `runtime.current_timeout()`, until
    ///         // `runtime.as_raw_fd()` or one of its own descriptors is readable; and then polls with a
    ///         // timeout of zero. It polls even while tasks are ready, or they could starve the others.
    ///         runtime.poll(runtime.current_timeout())?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Panics
    ///
    /// Within a task or `block_on` of this runtime.
    pub fn run(&self) -> bool {
        self.inner.run()
    }

    /// Takes completions from the kernel, and expires timers, which makes tasks ready for
    /// [`run`](Self::run). Waits for an event if there is none: at most for `timeout` (`None`:
    /// without limit; zero: not at all), and may return early.
    ///
    /// # Errors
    ///
    /// The OS error of the wait.
    pub fn poll(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.poll(timeout)
    }

    /// Does all possible work without waiting, as one task of an outer executor: runs ready tasks up to a
    /// limit, takes completions, expires timers. Returns how long the outer executor may wait for the
    /// runtime's descriptor (`None`: without limit).
    ///
    /// The waker of `cx` is woken as soon as a thread has made work that needs another call: a task was
    /// woken, spawned or aborted, a timer was set, an operation was started or dropped. It is also woken if
    /// tasks are still ready; the time is zero then. Neither the kernel nor a timer wakes it: the outer
    /// executor watches the [descriptor](AsRawFd::as_raw_fd), with level or edge triggers, and the time. All
    /// wakes make the descriptor readable, too.
    ///
    /// The directory `examples/ecosystem` has an example of a runtime inside Tokio's.
    ///
    /// ```
    /// use std::{task::{Context, Waker}, time::Duration};
    ///
    /// fn main() -> std::io::Result<()> {
    ///     let runtime = compio::runtime::Runtime::new()?;
    ///     let task = runtime.spawn(async { 6 * 7 });
    ///     let mut cx = Context::from_waker(Waker::noop());
    ///     while !task.is_finished() {
    ///         let timeout = runtime.poll_with(&mut cx)?;
    ///         assert!(task.is_finished() || timeout == Some(Duration::ZERO));
    ///         // An outer executor returns `Pending` here, until the waker is woken, the descriptor is
    ///         // readable, or the time is up.
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`poll`](Self::poll).
    ///
    /// # Panics
    ///
    /// Within a task or `block_on` of this runtime.
    pub fn poll_with(&self, cx: &mut Context<'_>) -> io::Result<Option<Duration>> {
        self.inner.poll_with(cx)
    }

    /// The counters of this runtime, for any thread.
    pub fn metrics(&self) -> RuntimeMetrics {
        self.inner.metrics().clone()
    }

    pub(crate) fn inner(&self) -> &Rc<Inner> {
        &self.inner
    }

    /// The number of `io_uring_enter` calls of this runtime: for tests and for measuring how many
    /// operations share one call.
    #[doc(hidden)]
    pub fn enters(&self) -> u64 {
        self.inner.driver.enters()
    }

    /// The time until there is work, unless a completion arrives before: zero if tasks are ready,
    /// the time to the next timer, or `None` if there is no timer.
    ///
    /// Call it right before an outer event loop waits for the runtime's descriptor: it submits pending SQEs.
    /// From then on, until the next [`run`](Self::run) or [`poll`](Self::poll), all new work makes the
    /// descriptor readable, on this thread and on others: a task that is woken or spawned, a timer that is
    /// set, an operation that is started or dropped.
    pub fn current_timeout(&self) -> Option<Duration> {
        self.inner.current_timeout()
    }
}

impl AsRawFd for Runtime {
    /// A descriptor that is readable when [`poll`](Self::poll) has work: see
    /// [`current_timeout`](Self::current_timeout).
    fn as_raw_fd(&self) -> RawFd {
        self.inner.driver.as_raw_fd()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if self.inner.process.is_current() {
            self.inner.shut_down();
            // Timers keep the state of their runtime for longer.
            if let Some(registered) = &self.inner.registered {
                registered.remove();
            }
        } else {
            // In a child of `fork`, all contents belong to the parent.
            mem::forget(Rc::clone(&self.inner));
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("backend", &self.backend())
            .field("tasks", &self.inner.executor.task_count())
            .field("in_flight", &self.inner.driver.in_flight())
            .finish()
    }
}

/// An operation on this thread's runtime, as a future. Nothing happens before its first poll.
///
/// Poll it where that runtime runs or has been entered, or in an outer loop that drives it. Elsewhere
/// the poll panics, because the operation would never complete.
///
/// The rest of this crate is built on the operations of [`op`](crate::op); others can be defined
/// outside.
///
/// # Panics
///
/// If the thread's runtime cannot be made.
///
/// ```
/// use compio::{op::Nop, runtime::submit};
///
/// compio::task::block_on(async {
///     assert_eq!(submit(Nop::new()).await.unwrap(), 0);
/// });
/// ```
#[inline]
pub fn submit<O: Owned>(operation: O) -> Submit<O> {
    with_current(|runtime| runtime.driver.submit(operation))
}

/// Closes a descriptor. If it has other handles, the last of them closes it.
#[cfg(any(feature = "fs", feature = "net"))]
pub(crate) async fn close(fd: SharedFd) -> io::Result<()> {
    match fd.try_unwrap() {
        Ok(fd) => submit(Close::new(fd)).await,
        Err(_) => Ok(()),
    }
}

/// The backend of this thread's runtime, and the reason for its choice.
///
/// # Panics
///
/// If the thread's runtime cannot be made.
pub fn backend() -> Backend {
    current().driver.backend()
}

/// Creates an object that only this thread's driver can make.
///
/// # Panics
///
/// If the thread's runtime cannot be made.
#[cfg(any(
    feature = "fs",
    feature = "net",
    feature = "process",
    all(windows, feature = "signal")
))]
pub(crate) fn with_driver<T>(make: impl FnOnce(&Driver) -> T) -> T {
    with_current(|runtime| make(&runtime.driver))
}

/// The pool of the runtime for receives of polled streams, made on first use.
///
/// # Panics
///
/// If the thread's runtime cannot be made.
#[cfg(feature = "net")]
pub(crate) fn recv_pool() -> compio_driver::BufferPool {
    /// As many streams can have received bytes in one turn of the loop. Others receive without a pool.
    const COUNT: u16 = 128;
    /// Larger data fills it, and is received without a pool from then on.
    const SIZE: u32 = 4 * 1024;
    let runtime = current();
    let make =
        || compio_driver::BufferPool::new(&runtime.driver, COUNT, SIZE).expect("valid sizes");
    runtime.recv_pool.get_or_init(make).clone()
}

/// Counts a plain call in the place of an operation. Outside of a runtime it counts nowhere.
#[cfg(feature = "net")]
pub(crate) fn count_call(kind: compio_driver::OpKind, result: &io::Result<usize>) {
    let _ = current::with_entered(|runtime| runtime.driver.metrics().count_call(kind, result));
}

/// The state that a runtime shares with its tasks.
pub(crate) struct Inner {
    // Dropped first: the drops of tasks cancel operations and timers.
    executor: Executor,
    main: MainWaker,
    timers: RefCell<Timers>,
    #[cfg(feature = "test-util")]
    timer_clock: TimerClock,
    #[cfg(feature = "net")]
    recv_pool: OnceCell<compio_driver::BufferPool>,
    driver: Driver,
    /// Whether the loop runs: it cannot run inside itself.
    running: Cell<bool>,
    /// Whether an outer loop may sleep on the driver's descriptor.
    is_announced: Cell<bool>,
    /// Whether some loop drives this runtime, so that waits for it can end.
    is_attended: Cell<bool>,
    /// Whether an outer loop has driven it before, and so will again.
    is_embedded: Cell<bool>,
    /// The process that made it.
    process: Process,
    clock: LoopClock,
    /// The counters of the executor.
    tasks: TaskMetrics,
    metrics: RuntimeMetrics,
    #[cfg(feature = "histograms")]
    recorder: Recorder,
    last_writes: LastWrites,
    parking: Option<Box<Parking>>,
    registered: Option<Registered>,
}

impl Inner {
    fn new(driver: Driver, parking: Option<Box<Parking>>, is_listed: bool) -> Self {
        let waker = driver.waker();
        let executor = Executor::new(waker.clone());
        let tasks = executor.metrics();
        driver.set_tag_source(tasks.clone(), TaskMetrics::current_cell);
        let clock = LoopClock::new();
        let metrics = RuntimeMetrics::new(&executor, &driver, clock.epoch());
        let registered = is_listed.then(|| Registered::new(metrics.clone()));
        executor.set_attended(false);
        driver.set_attended(false);
        compio_io::io::set_detached_runner(detached::find);
        Self {
            executor,
            main: MainWaker::new(waker),
            timers: RefCell::new(Timers::new()),
            #[cfg(feature = "test-util")]
            timer_clock: TimerClock::new(),
            #[cfg(feature = "net")]
            recv_pool: OnceCell::new(),
            driver,
            running: Cell::new(false),
            is_announced: Cell::new(false),
            is_attended: Cell::new(false),
            is_embedded: Cell::new(false),
            process: Process::current(),
            clock,
            tasks,
            metrics,
            #[cfg(feature = "histograms")]
            recorder: Recorder::default(),
            last_writes: LastWrites::default(),
            parking,
            registered,
        }
    }

    #[track_caller]
    pub(crate) fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        #[cfg(feature = "tracing")]
        if trace::is_enabled() {
            return self.spawn_as(TaskMeta::new(), future);
        }
        self.executor.spawn(Budgeted { future })
    }

    pub(crate) fn spawn_as<F: Future + 'static>(
        &self,
        meta: TaskMeta,
        future: F,
    ) -> JoinHandle<F::Output> {
        #[cfg(feature = "tracing")]
        if trace::is_enabled() {
            let trace = TaskTrace::task(&meta, size_of::<F>());
            return self.spawn_traced(meta, trace, future);
        }
        self.executor.spawn_as(meta, Budgeted { future })
    }

    /// As [`spawn_as`](Self::spawn_as), for a task with this span.
    #[cfg(feature = "tracing")]
    pub(crate) fn spawn_traced<F: Future + 'static>(
        &self,
        meta: TaskMeta,
        trace: TaskTrace,
        future: F,
    ) -> JoinHandle<F::Output> {
        let future = trace.around(Budgeted { future });
        self.executor.spawn_as(meta, future)
    }

    /// The identity of the task that runs.
    pub(crate) fn current_task(&self) -> Option<TaskMeta> {
        self.executor.current_task()
    }

    /// The number of tasks that have not ended, with those that other threads have sent and that no step
    /// of the loop has seen.
    pub(crate) fn task_count(self: &Rc<Self>) -> usize {
        // Requests for dumps find their runtime.
        let _entered = Entered::new(self);
        // Spawns them, and polls none.
        self.executor.tick(0);
        self.executor.task_count()
    }

    /// The counters.
    pub(crate) fn metrics(&self) -> &RuntimeMetrics {
        &self.metrics
    }

    /// At most `max` tasks, those that have waited longest, and their waits.
    pub(crate) fn dump(&self, max: usize) -> dump::Tasks {
        let (tasks, omitted) = self.executor.longest_waits(max);
        let now = self.now();
        let left = |deadline: Instant| deadline.saturating_duration_since(now);
        let timers = self.timers.borrow();
        let timers = timers.records();
        let records = dump::Records {
            omitted,
            tasks,
            operations: self.driver.records(),
            timers: timers
                .map(|(tag, deadline)| (tag, left(deadline)))
                .collect(),
        };
        records.into_tasks(&self.metrics)
    }

    /// The lower half of the number of the task that runs, or 0: the tag of its timers and operations.
    fn tag(&self) -> u32 {
        // Relaxed: this thread has written it.
        self.tasks.current_cell().load(Ordering::Relaxed) as u32
    }

    /// A waker that ends the park of the loop.
    pub(crate) fn waker(&self) -> Waker {
        self.driver.waker()
    }
}

pin_project! {
    /// A task's future. Each poll has a full budget.
    struct Budgeted<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Budgeted<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // The loop restores the budget of its caller.
        coop::refill();
        self.project().future.poll(cx)
    }
}
