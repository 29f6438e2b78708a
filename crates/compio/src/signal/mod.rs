//! What the system tells a process: unix's signals, Windows' console events.
//!
//! [`ctrl_c`] is there on every system. What each has beside that is in [`unix`], with a name for
//! each signal, and in [`windows`].
//!
//! There is no handler before the first listener is made. What it does is all that may be done in
//! one: it writes to a descriptor, which all listeners of the process share, and for which their
//! runtimes wait; on Windows it runs on a thread of its own, and signals an
//! [`Event`](crate::event::Event).

use std::io;

use crate::sys;
pub use crate::sys::signals::{unix, windows};

/// Waits for Ctrl-C: on unix `SIGINT`, which others may send, too.
///
/// From the first poll on, Ctrl-C does not end the process any more, and does not do so later
/// either: whoever wants to be asked twice awaits a second one.
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// compio::task::block_on(async {
///     println!("waiting for Ctrl-C");
///     compio::signal::ctrl_c().await?;
///     println!("good bye");
///     # Ok(())
/// })
/// # }
/// ```
///
/// # Cancellation
///
/// Each call hears what comes after its first poll. What comes between two of them is lost: in a
/// loop, listen by `signal::unix::signal` or `signal::windows::ctrl_c` instead, which keep it.
///
/// # Errors
///
/// On unix `EMFILE` or `ENFILE` if no descriptor is left for the first listener of the process.
/// The error that [`is_cancelled`](crate::runtime::is_cancelled) knows if a
/// [`CancelToken`](crate::runtime::CancelToken) or `cancel_after` gives the wait up.
pub async fn ctrl_c() -> io::Result<()> {
    sys::wait_for_ctrl_c().await
}
