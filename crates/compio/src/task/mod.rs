//! Tasks, on this thread's runtime.
//!
//! A task runs on the thread that it was spawned on, and need not be `Send`. [`block_on`] uses the
//! [runtime](crate::runtime::Runtime) that has been entered. Otherwise it uses the thread's own, which is
//! made on first use and ends with the thread. [`spawn`] and [`spawn_blocking`] need a runtime that runs or
//! has been entered: without one, the task would never run.
//!
//! # Dropped handles
//!
//! **The drop of a [`JoinHandle`] detaches its task, which continues**, as in Tokio and unlike the handles of
//! `async-task` and glommio. To end the task with its handle, wrap it in an [`AbortOnDropHandle`]:
//!
//! ```
//! use compio::task::{AbortOnDropHandle, spawn, yield_now};
//!
//! compio::task::block_on(async {
//!     let ticker = AbortOnDropHandle::new(spawn(async {
//!         loop {
//!             yield_now().await;
//!         }
//!     }));
//!     yield_now().await;
//!     // Ends the task.
//!     drop(ticker);
//! });
//! ```
//!
//! A panic of a detached task is only reported by the panic hook. The handle of a task reports it as
//! [`JoinError`].
//!
//! # Cooperative scheduling
//!
//! A task that never waits keeps its thread from timers, I/O and other tasks. So operations of this
//! crate that are ready at once take one unit of a budget, 256 for each poll of a task. With an empty
//! budget an operation returns `Pending` once, and its task continues after the other tasks, timers
//! and completions. Operations that wait cost nothing. A single poll of such an operation, as by
//! `now_or_never`, may therefore be pending although the operation is ready.
//!
//! A future of another crate takes part only if it calls [`consume_budget`]. In a loop over such
//! futures that never wait, call it yourself. [`unconstrained`] exempts a future.
//!
//! # Fairness
//!
//! Ready tasks run first in, first out. A runtime checks for due timers, for completions, and for wakes
//! and jobs from other threads at least once in 64 polls; the future of [`block_on`] counts as a task. An
//! event puts its task at the end of the queue, behind one poll of each task that was ready before. So the
//! number of polls between an event and its task has a bound:
//!
//! | busy tasks | polls before the task of an event |
//! |---|---|
//! | one that always yields | 65 |
//! | 1,000 that wake themselves | 1,064 |
//! | *n* that wake themselves | 64 + *n* |
//! | a future that never returns `Pending` | no bound |
//!
//! - A poll takes as long as its code. It contains at most 256 operations that are ready at once, and, of
//!   a [`scope()`], one poll of each ready child.
//! - **No runtime interrupts a poll.** A future of another crate that never waits holds its core until it
//!   returns `Pending`: timers, I/O and other tasks of this core stop. [`consume_budget`] in its loop bounds its
//!   polls. An [`unconstrained`] future has no such bound.
//! - The future of [`block_on`] is not in the queue: if it is woken, at most 64 polls come first. A
//!   [`block_on`] future that always yields is polled once in 64 polls beside busy tasks.
//! - In a check, io_uring takes all completions, IOCP at most 64, and the readiness backend the events of at
//!   most 64 descriptors.
//! - Inside another executor, by [`Runtime::poll_with`](crate::runtime::Runtime::poll_with), two checks may
//!   be 128 polls apart. [`Runtime::run`](crate::runtime::Runtime::run) makes at most 64 polls, and
//!   [`Runtime::poll`](crate::runtime::Runtime::poll) is the check.

mod builder;
mod join_set;
mod local;
mod ready_list;
mod scope;

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use compio_driver::op::Blocking;
pub use compio_executor::{
    AbortHandle, AbortOnDropHandle, JoinError, JoinHandle, SendJoinHandle, TaskId as Id,
    TaskMeta as Meta, YieldNow, yield_now,
};
use compio_io::coop::Budget;
pub use compio_io::coop::consume_budget;
use pin_project_lite::pin_project;

pub use self::{
    builder::{Builder, current, id, try_id},
    join_set::JoinSet,
    local::{AccessError, LocalKey, TaskLocalFuture},
    scope::{Scope, ScopedJoinHandle, scope},
};
use crate::runtime::{self, Inner};
#[cfg(feature = "tracing")]
use crate::trace::{self, TaskTrace};

/// Runs a future to completion on this thread, and with it all tasks that were spawned here.
///
/// Tasks that are not complete when the future is are kept, and continue in the next `block_on` of this
/// thread. In the destructor of a thread local, the thread's runtime may be gone already: the future then
/// gets a runtime of its own, and incomplete tasks are dropped with it.
///
/// # Panics
///
/// If the thread's runtime cannot be made, within a task or another `block_on` of the same runtime,
/// or if the future panics.
///
/// ```
/// let answer = compio::task::block_on(async { 6 * 7 });
/// assert_eq!(answer, 42);
/// ```
#[cfg_attr(feature = "tracing", track_caller)]
pub fn block_on<F: Future>(future: F) -> F::Output {
    runtime::block_on(future)
}

/// Starts a task on this thread's runtime. Dropping the handle detaches the task, which continues; an
/// [`AbortOnDropHandle`] aborts it instead.
///
/// # Panics
///
/// If no runtime runs on this thread, in `block_on` or a similar function, and none has been
/// [entered](crate::runtime::Runtime::enter): for instance in `spawn_blocking`. Before a `block_on`,
/// use [`Runtime::spawn`](crate::runtime::Runtime::spawn).
///
/// ```
/// compio::task::block_on(async {
///     let task = compio::task::spawn(async { 6 * 7 });
///     assert_eq!(task.await.unwrap(), 42);
/// });
/// ```
#[track_caller]
pub fn spawn<F: Future + 'static>(future: F) -> JoinHandle<F::Output> {
    // SAFETY: it is used in this function only.
    match unsafe { runtime::entered_ref() } {
        Some(runtime) => runtime.spawn(future),
        None => runtime::entered_for("`compio::task::spawn`").spawn(future),
    }
}

/// Runs blocking code on a thread of the pool, which queues it if all threads are busy. It starts
/// without being awaited. Dropping the handle detaches it.
///
/// The handle reports a panic of the code. It also reports as a panic that there is no thread for the
/// code and none can be started (`ulimit -u`).
///
/// The queue has no limit. Queued code costs some hundred bytes and its captures: callers that start
/// more work than the threads can do should await earlier work first.
///
/// The drop of a runtime waits for code that has started, up to its [shutdown
/// timeout](crate::runtime::RuntimeBuilder::shutdown_timeout); so does the end of a function with
/// `#[compio::main]`. The end of a `main` that has called [`block_on`] waits for no code, and neither does
/// [`std::process::exit`] on the main thread or in a task. On another thread that has called [`block_on`]
/// before, [`std::process::exit`] waits up to the shutdown timeout.
///
/// # Cancellation
///
/// [`abort`](JoinHandle::abort) prevents code that has not started from running; it does not stop
/// code that has.
///
/// # Panics
///
/// As [`spawn`].
///
/// ```
/// compio::task::block_on(async {
///     let sum = compio::task::spawn_blocking(|| (1..=10).sum::<u32>());
///     assert_eq!(sum.await.unwrap(), 55);
/// });
/// ```
#[track_caller]
pub fn spawn_blocking<F, T>(code: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let runtime = runtime::entered_for("`compio::task::spawn_blocking`");
    #[cfg(feature = "tracing")]
    if trace::is_enabled() {
        return spawn_blocking_as(&runtime, Meta::new(), code);
    }
    runtime.spawn(blocking_work(Blocking::new(code)))
}

/// Runs blocking code as a task with this identity.
fn spawn_blocking_as<F, T>(runtime: &Inner, meta: Meta, code: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    #[cfg(feature = "tracing")]
    if trace::is_enabled() {
        let trace = TaskTrace::blocking(&meta, size_of::<F>());
        let code = Blocking::new(trace.wrap(code));
        let work = trace.in_scope(|| blocking_work(code));
        return runtime.spawn_traced(meta, trace, work);
    }
    runtime.spawn_as(meta, blocking_work(Blocking::new(code)))
}

/// Begins the work at once, and returns the future of its output.
fn blocking_work<F, T>(work: Blocking<F, T>) -> impl Future<Output = T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let mut work = runtime::submit(work);
    // Polled once, so that the work starts now and not at the task's first poll.
    let begun = Pin::new(&mut work).poll(&mut Context::from_waker(Waker::noop()));
    async move {
        let result = match begun {
            Poll::Ready(result) => result,
            Poll::Pending => work.await,
        };
        match result {
            Ok(Ok(output)) => output,
            // The panic hook has reported it on the other thread: the handle reports it, too.
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => panic!("the blocking code could not be run: {error}"),
        }
    }
}

pin_project! {
    /// The future of [`unconstrained`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Unconstrained<F> {
        #[pin]
        future: F,
    }
}

/// Runs a future without the budget of [cooperative scheduling](self#cooperative-scheduling).
///
/// If its operations never wait, the thread runs nothing else until the future completes.
///
/// # Cancellation
///
/// Cancellation has the same effect as for `future`.
///
/// ```
/// use compio::{
///     io::{AsyncReadExt, repeat},
///     task,
/// };
///
/// task::block_on(task::unconstrained(async {
///     let mut ones = repeat(1);
///     for _ in 0..1000 {
///         // Not interrupted.
///         ones.read_exact([0; 8]).await.0.unwrap();
///     }
/// }));
/// ```
pub fn unconstrained<F: Future>(future: F) -> Unconstrained<F> {
    Unconstrained { future }
}

impl<F: Future> Future for Unconstrained<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _budget = Budget::unlimited();
        self.project().future.poll(cx)
    }
}
