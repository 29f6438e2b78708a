//! Runtimes on several cores.
//!
//! A [`Dispatcher`] runs one thread with one [runtime](crate::runtime::Runtime) for each core. Workers share
//! no state: a task stays on the worker that started it. Work crosses threads as a closure, which makes a
//! future on its worker; only its output comes back.
//!
//! [`Workers::dispatch`] chooses the least loaded worker, [`Workers::dispatch_to`] a certain one, and
//! [`Workers::dispatch_to_each`] all. In a task, [`current`] returns the workers of the same dispatcher.
//!
//! ```
//! use compio::cores::Dispatcher;
//!
//! #[compio::main]
//! async fn main() -> std::io::Result<()> {
//!     let dispatcher = Dispatcher::builder().workers(2).build()?;
//!     let halves = dispatcher.dispatch_to_each(|worker| async move {
//!         let from = worker as u64 * 500;
//!         (from..from + 500).sum::<u64>()
//!     });
//!     let mut sum = 0;
//!     for half in halves {
//!         sum += half.await?;
//!     }
//!     assert_eq!(sum, 499_500);
//!     dispatcher.shutdown().await
//! }
//! ```
//!
//! [`serve_on_cores`] and [`Server`] accept connections on all cores.
//!
//! # Code map
//!
//! `builder.rs` settings and start, `workers.rs` choice and sending, `worker.rs` the loop of one worker,
//! `shared.rs` the shared state and the protocol of the end, `draining.rs` its signal for tasks, `server/` servers
//! over all workers.

mod builder;
mod draining;
#[cfg(feature = "net")]
mod server;
mod shared;
mod worker;
mod workers;

use std::{
    fmt,
    future::poll_fn,
    io,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use compio_driver::os_calls::clock;

#[doc(hidden)]
pub use self::builder::MainWorker;
#[cfg(feature = "net")]
pub use self::server::{AtLimit, Listener, RunningServer, Server, serve_on_cores};
use self::shared::{Ends, Phase};
pub use self::{
    builder::DispatcherBuilder,
    draining::{Draining, draining, run_until_draining},
    workers::{Workers, current, worker_index},
};

/// Runs one runtime on each of several threads. It has the methods of [`Workers`].
///
/// Its drop cancels all tasks and joins the threads, which blocks until their operations have been cancelled.
/// [`shutdown`](Self::shutdown) waits for the tasks, and does not block the thread.
pub struct Dispatcher {
    workers: Workers,
    threads: Mutex<Vec<JoinHandle<()>>>,
    thread_count: usize,
}

impl Dispatcher {
    /// Starts one worker for each CPU that the process may use.
    ///
    /// # Errors
    ///
    /// As [`DispatcherBuilder::build`].
    pub fn new() -> io::Result<Self> {
        DispatcherBuilder::new().build()
    }

    /// The settings, to be changed before [`build`](DispatcherBuilder::build).
    pub fn builder() -> DispatcherBuilder {
        DispatcherBuilder::new()
    }

    /// Waits for the end of all tasks, and ends the threads. Tasks of the workers may still spawn and
    /// dispatch further tasks; the workers end together when none is left.
    ///
    /// A task that never ends, such as the loop of a server, must be told to end, or the shutdown never
    /// completes: see [`shutdown_timeout`](Self::shutdown_timeout).
    ///
    /// # Cancellation
    ///
    /// The workers continue to drain. The drop of the dispatcher cancels their remaining tasks.
    ///
    /// # Errors
    ///
    /// `Other` if the thread of a worker has panicked: in [`on_stop`](DispatcherBuilder::on_stop), or because
    /// the OS failed to wait for events.
    ///
    /// # Panics
    ///
    /// On a worker's thread: it would wait for itself.
    pub async fn shutdown(&self) -> io::Result<()> {
        self.end(None).await
    }

    /// As [`shutdown`](Self::shutdown), but cancels the tasks that have not ended within `timeout`.
    ///
    /// # Cancellation
    ///
    /// As for `shutdown`. The time limit stays.
    ///
    /// # Errors
    ///
    /// `TimedOut` if tasks were cancelled. As of `shutdown`.
    ///
    /// # Panics
    ///
    /// As `shutdown`.
    pub async fn shutdown_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.end(Some(deadline(timeout))).await
    }

    async fn end(&self, deadline: Option<Instant>) -> io::Result<()> {
        assert!(
            !self.is_here(),
            "a worker cannot wait for its own end: await the shutdown outside of its dispatcher"
        );
        let shared = &self.workers.shared;
        shared.advance(Phase::Draining, deadline);
        let ends = poll_fn(
            |cx| match shared.ends(self.thread_count, cx.waker().clone()) {
                Some(ends) => Poll::Ready(ends),
                None => Poll::Pending,
            },
        );
        let Ends {
            cancelled_tasks,
            failure,
        } = ends.await;
        self.join();
        if let Some(failure) = failure {
            return Err(io::Error::other(failure));
        }
        if cancelled_tasks > 0 {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("the time limit of the shutdown has cancelled {cancelled_tasks} tasks"),
            ));
        }
        Ok(())
    }

    fn add(&mut self, thread: JoinHandle<()>) {
        let threads = self
            .threads
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        threads.push(thread);
        self.thread_count += 1;
    }

    /// Joins the threads. The thread of a worker that calls it is left out: it ends by itself.
    fn join(&self) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            if thread.thread().id() != thread::current().id() {
                // Its panic has been recorded.
                let _ = thread.join();
            }
        }
    }

    /// Whether this thread is one of its workers.
    fn is_here(&self) -> bool {
        current().is_some_and(|workers| Arc::ptr_eq(&workers.shared, &self.workers.shared))
    }
}

fn deadline(timeout: Duration) -> Instant {
    let now = clock::now();
    // Far away, if the sum has no representation.
    now.checked_add(timeout)
        .unwrap_or_else(|| now + Duration::from_secs(86_400 * 365 * 30))
}

impl Deref for Dispatcher {
    type Target = Workers;

    fn deref(&self) -> &Workers {
        &self.workers
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.workers.shared.advance(Phase::Cancelling, None);
        self.join();
    }
}

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatcher")
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}
