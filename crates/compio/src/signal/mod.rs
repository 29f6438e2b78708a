//! Signals: unix signals, and Windows console events.
//!
//! [`ctrl_c`] works on every system. [`unix`] has one name for each signal, [`windows`] one for each
//! console event.
//!
//! The first listener installs the handler. On unix the handler counts the signal and writes to a
//! descriptor that all listeners of the process share. On Windows it runs on a thread of its own, and
//! signals an
//! [`Event`](crate::event::Event).

use std::io;

use crate::sys;
pub use crate::sys::signals::{unix, windows};

/// Waits for Ctrl-C: on unix `SIGINT`, which other processes can send, too.
///
/// After the first poll, Ctrl-C never ends the process again. Await a second call to exit on the second
/// Ctrl-C.
///
/// ```no_run
/// fn main() -> std::io::Result<()> {
///     compio::task::block_on(async {
///         println!("waiting for Ctrl-C");
///         compio::signal::ctrl_c().await?;
///         println!("good bye");
///         Ok(())
///     })
/// }
/// ```
///
/// # Cancellation
///
/// Each call receives signals from its first poll on. A signal between two calls is lost. In a loop, use
/// `signal::unix::signal` or `signal::windows::ctrl_c` instead, which keep it.
///
/// # Errors
///
/// On unix `EMFILE` or `ENFILE` if no descriptor is left for the first listener of the process. The
/// error that [`is_cancelled`](crate::runtime::is_cancelled) recognizes if a
/// [`CancelToken`](crate::runtime::CancelToken) or `cancel_after` cancels the wait.
pub async fn ctrl_c() -> io::Result<()> {
    sys::wait_for_ctrl_c().await
}
