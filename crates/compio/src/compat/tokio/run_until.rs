//! compio as a part of a Tokio task.

use std::{
    future::poll_fn,
    io,
    os::fd::{AsRawFd, RawFd},
    pin::pin,
    task::Poll,
    time::Duration,
};

use ::tokio::{
    io::{Interest, unix::AsyncFd},
    time::sleep,
};
use compio_io::coop;

use crate::runtime::Runtime;

/// Runs a future inside of Tokio, and drives a compio runtime until the future is complete: its tasks, operations and
/// timers run as a part of the Tokio task that awaits this.
///
/// The future and all tasks of the runtime may use both: they are in the context of the Tokio runtime, and `runtime` is
/// the thread's current one of compio. They need not be `Send`, so await this in `Runtime::block_on` of Tokio (the body
/// of `#[tokio::main]`) or in a `LocalSet`. On idle, the thread waits in Tokio for both.
///
/// Tasks that are not complete by then are kept. They continue in the next `run_until`.
///
/// ```
/// use compio::{compat::tokio::run_until, runtime::Runtime};
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() -> std::io::Result<()> {
///     let runtime = Runtime::new()?;
///     let read = run_until(&runtime, async {
///         let pause = std::time::Duration::from_millis(1);
///         tokio::time::sleep(pause).await;
///         compio::time::sleep(pause).await;
///         compio::fs::read("Cargo.toml").await
///     });
///     assert!(!read.await??.is_empty());
///     Ok(())
/// }
/// ```
///
/// Several workers, on any runtime of Tokio: use a [`cores::Dispatcher`](crate::cores::Dispatcher), whose
/// results can be awaited everywhere.
///
/// # Costs
///
/// On idle, an event of compio passes through Tokio's epoll first: one more system call and wake for each batch of
/// completions.
///
/// # Cancellation
///
/// Dropping it drops the future, and stops driving the runtime.
///
/// # Errors
///
/// `AlreadyExists` if another `run_until` drives the runtime in the same Tokio runtime. Other OS errors of the
/// registration of the runtime's descriptor with Tokio, and of the wait for events.
///
/// # Panics
///
/// Without Tokio's I/O and time drivers; within a task or `block_on` of the same compio runtime; if the future
/// panics.
pub async fn run_until<F: Future>(runtime: &Runtime, future: F) -> io::Result<F::Output> {
    #[allow(
        deprecated,
        reason = "`Watched` borrows the runtime, so its descriptor stays open"
    )]
    let watched = AsyncFd::with_interest(Watched(runtime), Interest::READABLE)?;
    let mut future = pin!(future);
    let mut timer = pin!(sleep(Duration::ZERO));
    poll_fn(|cx| {
        let polled = runtime.enter(|| {
            coop::refill();
            future.as_mut().poll(cx)
        });
        if let Poll::Ready(output) = polled {
            return Poll::Ready(Ok(output));
        }
        loop {
            let timeout = runtime.poll_with(cx)?;
            if timeout == Some(Duration::ZERO) {
                // The task has been woken to continue: other tasks of Tokio run first.
                return Poll::Pending;
            }
            // Tokio reports edges. An edge after `poll_with` is seen here.
            if let Poll::Ready(guard) = watched.poll_read_ready(cx) {
                guard?.clear_ready();
                continue;
            }
            let Some(timeout) = timeout else {
                return Poll::Pending;
            };
            timer.set(sleep(timeout));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// The descriptor of a runtime, which Tokio watches.
struct Watched<'a>(&'a Runtime);

impl AsRawFd for Watched<'_> {
    fn as_raw_fd(&self) -> RawFd {
        compio_driver::AsRawFd::as_raw_fd(self.0)
    }
}
