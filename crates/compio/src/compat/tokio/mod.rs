//! Libraries that need Tokio's runtime, inside of compio, and compio inside of Tokio.
//!
//! A library that only needs an I/O object works over a [`net::PollStream`](crate::net::PollStream), without this
//! module and at full speed. Others call Tokio's reactor by themselves: `sqlx`, `fred`, `reqwest`, the
//! channel of `tonic`, all of `tokio::net` and `tokio::time`. They panic without the *context* of a Tokio runtime, and
//! entering a context drives nothing: some thread has to run the reactor.
//!
//! This module has one such thread in each process, with a current-thread runtime of Tokio. The first use starts it.
//! It sleeps in the kernel while it has no work.
//!
//! | function | the future runs | for |
//! |---|---|---|
//! | [`run`](run()) | on the reactor's thread, until the end or the drop of the call | requests |
//! | [`spawn`] | on the reactor's thread, until its end | background work |
//! | [`Compat`] | in the task of compio that polls it | futures that are not `Send`, and objects whose drop needs the context |
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! # compio::task::block_on(async {
//! use compio::compat::tokio::run;
//!
//! // In a real program: `run(async move { pool.fetch_one(query).await })`.
//! let answer = run(async { 6 * 7 }).await;
//! assert_eq!(answer, 42);
//! # std::io::Result::Ok(())
//! # })
//! # }
//! ```
//!
//! # Features of Tokio
//!
//! The feature `compat-tokio` enables only the feature `rt` of Tokio. The reactor has the I/O and time drivers that
//! the program's other crates have enabled, by Tokio's features `net` and `time`. Without `net`, no crate `mio` is built.
//!
//! # Costs
//!
//! Each [`run`](run()) sends a future to another thread and its output back: two wakes of threads. So run a whole
//! request, not each of its steps. All futures share one thread. One that computes or blocks for long delays all others:
//! use `tokio::task::spawn_blocking` there.
//!
//! # Ends of threads, and `fork`
//!
//! Outputs and futures may be dropped on any thread, also after the runtime of compio has been dropped: their
//! destructors run in the context of the reactor.
//!
//! A child of `fork` has a reactor of its own, made on first use. It has no part in the work of its parent: a poll
//! of an inherited [`JoinHandle`], [`Run`] or [`Compat`] panics, and its drop does nothing.
//!
//! # Inside of Tokio
//!
//! On a thread of another Tokio runtime, all functions here still use the reactor of this module: a pool that is made here
//! lives as long as the process. Code that runs inside of Tokio can call Tokio directly.
#![cfg_attr(
    feature = "inside-tokio",
    doc = "`run_until` runs compio as a part of a Tokio task, on unix."
)]

mod compat;
mod join;
mod reactor;
mod run;
#[cfg(all(feature = "inside-tokio", unix))]
mod run_until;

use std::io;

#[doc(no_inline)]
pub use ::tokio::{
    runtime::Handle,
    task::{AbortHandle, JoinError},
};

use self::reactor::Reactor;
#[cfg(all(feature = "inside-tokio", unix))]
pub use self::run_until::run_until;
pub use self::{compat::Compat, join::JoinHandle, run::Run};

/// The handle of the Tokio runtime on the reactor's thread. The first call in a process starts the thread.
///
/// `handle().enter()` makes it the thread's current one, for code that creates an object of Tokio, as
/// `tokio::net::TcpListener::from_std`.
///
/// ```
/// let _context = compio::compat::tokio::handle().enter();
/// assert!(tokio::runtime::Handle::try_current().is_ok());
/// ```
///
/// # Panics
///
/// If the thread cannot be started: [`try_handle`] returns the error. `Handle::block_on` panics inside of another
/// Tokio runtime.
pub fn handle() -> &'static Handle {
    Reactor::get().handle()
}

/// As [`handle`].
///
/// # Errors
///
/// The OS error of the start of a thread, or of the creation of Tokio's runtime, for instance if there is no descriptor
/// left.
pub fn try_handle() -> io::Result<&'static Handle> {
    Reactor::try_get().map(Reactor::handle)
}

/// Starts a future on the reactor's thread. Dropping the handle detaches it, as in
/// [`task::spawn`](crate::task::spawn).
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # compio::task::block_on(async {
/// use compio::compat::tokio::spawn;
///
/// let task = spawn(async { 6 * 7 });
/// assert_eq!(task.await?, 42);
/// # std::io::Result::Ok(())
/// # })
/// # }
/// ```
///
/// # Panics
///
/// As [`handle`].
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    JoinHandle::spawn(Reactor::get(), future)
}

/// Runs a future on the reactor's thread and returns its output. It starts at the first poll.
///
/// # Cancellation
///
/// Dropping the returned future cancels the given one: it is polled no more, and dropped on the
/// reactor's thread, at once if it waits, else at its next await. The drop does not wait for this.
///
/// # Panics
///
/// If the future panics: the panic continues in the awaiting task. As [`handle`], at the first poll.
pub fn run<F>(future: F) -> Run<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    Run::new(future)
}
