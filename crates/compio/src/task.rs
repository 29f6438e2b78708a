//! Tasks, on this thread's runtime.
//!
//! A task runs on the thread that it was spawned on, and need not be `Send`. [`block_on`] uses the
//! [runtime](crate::runtime::Runtime) that has been entered, or else one of the thread's own that is made on
//! first use and ends with the thread. [`spawn`] and [`spawn_blocking`] need a runtime that runs or has been
//! entered: without one, the task would never run.
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

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use compio_driver::op::Blocking;
pub use compio_executor::{JoinError, JoinHandle, YieldNow, yield_now};
use compio_io::coop::Budget;
pub use compio_io::coop::consume_budget;
use pin_project_lite::pin_project;

use crate::runtime;

/// Runs a future to its end on this thread, and with it all tasks that were spawned here.
///
/// Tasks that have not ended when the future has are kept, and go on in the next `block_on` of
/// this thread. In the destructor of a thread local, the thread's runtime may be gone already: the future then
/// has a runtime for itself, and tasks that have not ended are dropped with it.
///
/// # Panics
///
/// If the thread's runtime cannot be made, within a task or another `block_on` of the same
/// runtime, and if the future panics.
///
/// ```
/// let answer = compio::task::block_on(async { 6 * 7 });
/// assert_eq!(answer, 42);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    runtime::block_on(future)
}

/// Begins a task on this thread's runtime. Dropping the handle lets it go on by itself.
///
/// # Panics
///
/// If no runtime runs on this thread, by `block_on` or its like, and none has been
/// [entered](crate::runtime::Runtime::enter): for instance in `spawn_blocking`. Before a `block_on`,
/// [`Runtime::spawn`](crate::runtime::Runtime::spawn) does it.
///
/// ```
/// compio::task::block_on(async {
///     let task = compio::task::spawn(async { 6 * 7 });
///     assert_eq!(task.await.unwrap(), 42);
/// });
/// ```
pub fn spawn<F: Future + 'static>(future: F) -> JoinHandle<F::Output> {
    runtime::entered_for("`compio::task::spawn`").spawn(future)
}

/// Runs blocking code on another thread, out of a pool that queues when it is full: it need not be
/// awaited to begin. Dropping the handle lets it go on by itself.
///
/// The handle reports a panic of the code; and as a panic, too, that there is no thread for it and none
/// can be started (`ulimit -u`).
///
/// The queue has no limit. What waits in it costs some hundred bytes and what the code has captured: who
/// begins more work than the threads do should await what was begun before.
///
/// A runtime's drop waits for code that has begun, up to its
/// [shutdown timeout](crate::runtime::RuntimeBuilder::shutdown_timeout); so does the end of a function
/// with `#[compio::main]`. The end of a `main` that has called [`block_on`] waits for no code, and neither
/// does [`std::process::exit`] on the main thread or in a task. On another thread that has called
/// [`block_on`] before, [`std::process::exit`] waits up to the shutdown timeout.
///
/// # Cancellation
///
/// [`abort`](JoinHandle::abort) prevents code that has not begun from running; it does not stop
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
pub fn spawn_blocking<F, T>(code: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    runtime::entered_for("`compio::task::spawn_blocking`");
    let mut work = runtime::submit(Blocking::new(code));
    // Polled once, so that it begins now and not at the task's first turn.
    let begun = Pin::new(&mut work).poll(&mut Context::from_waker(Waker::noop()));
    spawn(async move {
        let result = match begun {
            Poll::Ready(result) => result,
            Poll::Pending => work.await,
        };
        match result {
            Ok(Ok(output)) => output,
            // The hook has reported it on the other thread: the handle shall, too.
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => panic!("the blocking code could not be run: {error}"),
        }
    })
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
/// If its operations never wait, the thread does nothing else until the future ends.
///
/// # Cancellation
///
/// As of `future`.
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
