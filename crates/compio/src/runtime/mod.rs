//! The runtime: where driver, executor and timers meet.
//!
//! [`task::block_on`](crate::task::block_on) and its like use this thread's runtime, which needs no
//! mention. [`Runtime`] is the explicit way: with settings, with several on one thread, or embedded
//! in another event loop.

mod async_fd;
mod buffers;
mod builder;
mod cancel;
mod current;
mod detached;
mod event_loop;
#[cfg(feature = "net")]
mod lazy;
mod timers;

use std::{
    cell::{Cell, RefCell},
    fmt, io, mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

pub use compio_driver::PooledBuffer;
use compio_driver::{AsRawFd, Backend, Driver, Owned, Process, RawFd, StaysOnItsThread, Submit};
use compio_executor::{Executor, JoinHandle, MainWaker};

pub use compio_driver::is_cancelled;
use compio_io::coop;
use pin_project_lite::pin_project;

#[cfg(feature = "macros")]
pub(crate) use self::current::existing;
#[cfg(feature = "time")]
pub(crate) use self::current::is_foreign;
pub(crate) use self::current::{block_on, current, entered_for};
#[cfg(feature = "net")]
pub(crate) use self::lazy::lazy;
pub(crate) use self::timers::TimerKey;
pub use self::{
    async_fd::AsyncFd,
    buffers::BufferPool,
    builder::RuntimeBuilder,
    cancel::{CancelToken, RunCancellable},
};
use self::{current::Entered, detached::LastWrites, timers::Timers};

/// Runs tasks on the thread that made it.
///
/// Dropping it drops all its tasks, cancels what they had under way, and waits for the kernel's
/// last word about that, at most for [`RuntimeBuilder::shutdown_timeout`]. Before that, the kernel takes
/// the bytes that a dropped [`PollWriter`](crate::io::PollWriter) still has, as far as it has room for them
/// within about 50 milliseconds.
///
/// ```
/// use compio::runtime::Runtime;
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = Runtime::new()?;
/// println!("{}", runtime.backend());
/// let answer = runtime.block_on(async { 6 * 7 });
/// assert_eq!(answer, 42);
/// # Ok(())
/// # }
/// ```
///
/// # Threads and processes
///
/// It stays on the thread that made it, and so does what belongs to it: tasks, handles, sockets,
/// operations. The compiler sees to that:
///
/// ```compile_fail,E0277
/// let runtime = compio::runtime::Runtime::new().unwrap();
/// std::thread::spawn(move || runtime.block_on(async {}));
/// ```
///
/// A child that `fork` has made has no part in its parent's runtimes. It may become another program,
/// as by [`process::Command`](crate::process::Command), end, or make runtimes of its own; the parent
/// does not notice. The thread's own runtime, which [`task::block_on`](crate::task::block_on) uses, is
/// a new one there, and a [`Pool`](compio_driver::Pool) has new threads. A runtime that is dropped
/// there does nothing. To use one there is a mistake: with io_uring it ends the child, whose memory
/// has no part of the ring; with the readiness backend, parent and child take each other's events.
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

    /// Which backend talks to the kernel, and why this one.
    pub fn backend(&self) -> Backend {
        self.inner.driver.backend()
    }

    /// Runs a future to its end, and the runtime's tasks meanwhile. Tasks that have not ended by
    /// then are kept.
    ///
    /// # Panics
    ///
    /// Within a task or another `block_on` of this runtime; if the kernel refuses to wait; and if
    /// the future panics.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.inner.block_on(future)
    }

    /// Begins a task. It runs in the runtime's `block_on`, or [`run`](Self::run).
    pub fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        self.inner.spawn(future)
    }

    /// Calls `code` with this runtime as the thread's current one, which spawns, sleeps and
    /// operations use.
    pub fn enter<T>(&self, code: impl FnOnce() -> T) -> T {
        let _entered = Entered::new(&self.inner);
        code()
    }

    /// Runs tasks that are ready, without waiting, until none is or a fair share has had its
    /// turn. Returns whether some still are. For embedding in another event loop:
    ///
    /// ```
    /// # use std::{cell::Cell, rc::Rc};
    /// # use compio::runtime::Runtime;
    /// # fn main() -> std::io::Result<()> {
    /// # let runtime = Runtime::new()?;
    /// # let done = Rc::new(Cell::new(false));
    /// # let finished = done.clone();
    /// # runtime.spawn(async move {
    /// #     compio::task::yield_now().await;
    /// #     finished.set(true);
    /// # });
    /// loop {
    ///     runtime.run();
    ///     if done.get() {
    ///         break;
    ///     }
    ///     // A loop of one's own would wait here, at most for `runtime.current_timeout()`, until
    ///     // `runtime.as_raw_fd()` or one of its own descriptors is readable; and then poll for
    ///     // no time at all. It polls even while tasks are ready, or they could starve the others.
    ///     runtime.poll(runtime.current_timeout())?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// Within a task or `block_on` of this runtime.
    pub fn run(&self) -> bool {
        self.inner.run()
    }

    /// Takes what the kernel has to report, and expires timers, which makes tasks ready for
    /// [`run`](Self::run). Waits for news if there is none: at most for `timeout` (`None`: for
    /// ever; zero: not at all), and may return early.
    ///
    /// # Errors
    ///
    /// What the system has against waiting.
    pub fn poll(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.poll(timeout)
    }

    /// Does all there is to do without waiting, as one task of an outer executor: runs ready tasks for a
    /// fair share, takes the reports of the kernel, expires timers. Returns how long the outer executor may
    /// wait for the runtime's descriptor (`None`: for ever).
    ///
    /// The waker of `cx` is woken as soon as this has to be called again for something that a thread has
    /// done: a task was woken, spawned or aborted, a timer was set, an operation was begun or dropped. So is
    /// it if tasks are still ready; the time is zero then. The waker is not woken by the kernel, nor by a
    /// timer: the outer executor watches the [descriptor](AsRawFd::as_raw_fd), with level or edge triggers,
    /// and the time. All wakes make the descriptor readable, too.
    ///
    /// The directory `examples/ecosystem` has a runtime inside of Tokio's.
    ///
    /// ```
    /// use std::task::{Context, Waker};
    /// # use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = compio::runtime::Runtime::new()?;
    /// let task = runtime.spawn(async { 6 * 7 });
    /// let mut cx = Context::from_waker(Waker::noop());
    /// while !task.is_finished() {
    ///     let timeout = runtime.poll_with(&mut cx)?;
    ///     # assert!(task.is_finished() || timeout == Some(Duration::ZERO));
    ///     // An outer executor returns `Pending` here, until the waker is woken, the descriptor is
    ///     // readable, or the time is up.
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`poll`](Self::poll).
    ///
    /// # Panics
    ///
    /// Within a task or `block_on` of this runtime.
    pub fn poll_with(&self, cx: &mut Context<'_>) -> io::Result<Option<Duration>> {
        self.inner.poll_with(cx)
    }

    /// How many calls of `io_uring_enter` this runtime has made: for tests and measurements of how
    /// many operations go with one.
    #[doc(hidden)]
    pub fn enters(&self) -> u64 {
        self.inner.driver.enters()
    }

    /// How long there is nothing to do unless the kernel reports something: zero if tasks are
    /// ready, the time to the next timer, or `None` if there is none.
    ///
    /// To be asked right before an outer event loop waits for the runtime's descriptor: it hands
    /// what is pending to the kernel. From then on, until the next [`run`](Self::run) or
    /// [`poll`](Self::poll), everything that gives the runtime work makes the descriptor readable, on this
    /// thread and on others: a task that is woken or spawned, a timer that is set, an operation that is begun
    /// or dropped.
    pub fn current_timeout(&self) -> Option<Duration> {
        self.inner.current_timeout()
    }
}

impl AsRawFd for Runtime {
    /// A descriptor that is readable when [`poll`](Self::poll) has something to do: see
    /// [`current_timeout`](Self::current_timeout).
    fn as_raw_fd(&self) -> RawFd {
        self.inner.driver.as_raw_fd()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if self.inner.process.is_current() {
            self.inner.shut_down();
        } else {
            // In a child, by `fork`: nothing in here is its own.
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
/// It is to be polled where that runtime runs or has been entered, or by an outer loop that drives it.
/// Elsewhere the poll panics, for the operation would never end.
///
/// The operations of [`op`](crate::op) are what the rest of this crate is made of; others can be
/// defined outside.
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
pub fn submit<O: Owned>(operation: O) -> Submit<O> {
    current().driver.submit(operation)
}

/// Which backend this thread's runtime talks to the kernel with, and why this one.
///
/// # Panics
///
/// If the thread's runtime cannot be made.
pub fn backend() -> Backend {
    current().driver.backend()
}

/// Something that only this thread's driver can make.
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
    make(&current().driver)
}

/// What a runtime and whoever is inside it share.
pub(crate) struct Inner {
    // Tasks go first: what they drop cancels operations and timers.
    executor: Executor,
    main: MainWaker,
    timers: RefCell<Timers>,
    driver: Driver,
    /// Whether the loop runs: it cannot run inside itself.
    running: Cell<bool>,
    /// Whether an outer loop may sleep on the driver's descriptor.
    is_announced: Cell<bool>,
    /// Whether waiting for something of this runtime makes sense.
    is_attended: Cell<bool>,
    /// Whether an outer loop has ever driven it, and so goes on to.
    is_embedded: Cell<bool>,
    /// The process that made it.
    process: Process,
    last_writes: LastWrites,
}

impl Inner {
    fn new(driver: Driver) -> Self {
        let waker = driver.waker();
        let executor = Executor::new(waker.clone());
        executor.set_attended(false);
        driver.set_attended(false);
        compio_io::io::set_detached_runner(detached::find);
        Self {
            executor,
            main: MainWaker::new(waker),
            timers: RefCell::new(Timers::new()),
            driver,
            running: Cell::new(false),
            is_announced: Cell::new(false),
            is_attended: Cell::new(false),
            is_embedded: Cell::new(false),
            process: Process::current(),
            last_writes: LastWrites::default(),
        }
    }

    pub(crate) fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        self.executor.spawn(Budgeted { future })
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
