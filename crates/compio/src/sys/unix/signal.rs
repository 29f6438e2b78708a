//! Unix's signals.
//!
//! A listener has a descriptor of its own, which the signal's handler writes to: that is one of the
//! few things which a handler may do. Nothing is shared between listeners but the handler itself.

use std::{ffi::c_int, fmt, io, os::fd::OwnedFd, process, sync::Arc};

use compio_driver::op::{PollOnce, Readiness};
use signal_hook_registry::{FORBIDDEN, SigId, register_sigaction, unregister};

use super::bell::bell;
use crate::runtime::submit;

/// A kind of signal, by number.
///
/// ```
/// use compio::signal::unix::SignalKind;
///
/// assert_eq!(SignalKind::interrupt().as_raw_value(), 2);
/// assert_eq!(SignalKind::from_raw(2), SignalKind::interrupt());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignalKind(c_int);

/// A constructor for each signal that has a name.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:ident;)*) => {
        impl SignalKind {
            $(
                $(#[$doc])*
                pub const fn $name() -> Self {
                    Self(libc::$number)
                }
            )*
        }
    };
}

kinds! {
    /// `SIGALRM`: a timer of the process has expired. Ends the process if nobody listens.
    alarm = SIGALRM;
    /// `SIGCHLD`: a child has ended or stopped. [`process`](crate::process) does without it.
    child = SIGCHLD;
    /// `SIGHUP`: the terminal is gone; for services by custom, the configuration has changed. Ends
    /// the process if nobody listens.
    hangup = SIGHUP;
    /// `SIGINT`: Ctrl-C on the terminal. Ends the process if nobody listens.
    interrupt = SIGINT;
    /// `SIGIO`: a descriptor has become ready. Ends the process if nobody listens.
    io = SIGIO;
    /// `SIGPIPE`: a pipe has no reader. Rust's programs ignore it from their beginning.
    pipe = SIGPIPE;
    /// `SIGQUIT`: Ctrl-\ on the terminal. Ends the process with a core dump if nobody listens.
    quit = SIGQUIT;
    /// `SIGTERM`: a request to end. Ends the process if nobody listens.
    terminate = SIGTERM;
    /// `SIGUSR1`: whatever it is made to mean. Ends the process if nobody listens.
    user_defined1 = SIGUSR1;
    /// `SIGUSR2`: whatever it is made to mean. Ends the process if nobody listens.
    user_defined2 = SIGUSR2;
    /// `SIGWINCH`: the terminal has changed its size.
    window_change = SIGWINCH;
}

impl SignalKind {
    /// The signal of this number, such as a real-time one.
    pub const fn from_raw(signal: c_int) -> Self {
        Self(signal)
    }

    /// Its number.
    pub const fn as_raw_value(&self) -> c_int {
        self.0
    }
}

impl From<c_int> for SignalKind {
    fn from(signal: c_int) -> Self {
        Self(signal)
    }
}

impl From<SignalKind> for c_int {
    fn from(kind: SignalKind) -> Self {
        kind.0
    }
}

impl fmt::Debug for SignalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SignalKind").field(&self.0).finish()
    }
}

/// Listens to a signal from now on. From the first listener on, and for the rest of the process's
/// life, the signal does not do what it does by default, even when all listeners are gone.
///
/// Any number may listen to one signal, on any thread, and each hears it. Handlers that others have
/// installed before are called, too.
///
/// ```no_run
/// use compio::signal::unix::{SignalKind, signal};
///
/// # fn main() -> std::io::Result<()> {
/// compio::task::block_on(async {
///     let mut hangups = signal(SignalKind::hangup())?;
///     while hangups.recv().await.is_some() {
///         println!("reading the configuration again");
///     }
///     # Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// [`InvalidInput`](io::ErrorKind::InvalidInput) for a signal that cannot be listened to:
/// `SIGKILL`, `SIGSTOP`, those that report a fault of the program (`SIGSEGV`, `SIGILL`, `SIGFPE`),
/// and numbers that are none. Else the system's, if there are no more descriptors.
pub fn signal(kind: SignalKind) -> io::Result<Signal> {
    if FORBIDDEN.contains(&kind.0) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("signal {} cannot be listened to", kind.0),
        ));
    }
    let (ringing, hearing) = bell()?;
    let listener = process::id();
    let ring = move |_: &_| {
        // Between `fork` and `exec` the handler is a child's, too, and so would be the bell.
        if process::id() == listener {
            // It fails where it has been rung often enough.
            let _ = rustix::io::write(&ringing, &1_u64.to_ne_bytes());
        }
    };
    // SAFETY: asks for the process's number, and writes to a descriptor that does not block;
    // neither allocates, locks or panics. The registry keeps `errno`.
    let action = unsafe { register_sigaction(kind.0, ring)? };
    Ok(Signal { action, hearing })
}

/// Listens to one kind of signal; made by [`signal()`].
///
/// Signals that come while nobody awaits [`recv`](Self::recv) are kept. Several that come before
/// the next `recv` may be told as one, as the system does it itself.
#[derive(Debug)]
pub struct Signal {
    action: SigId,
    /// Readable when the signal has come.
    hearing: Arc<OwnedFd>,
}

impl Signal {
    /// Waits for the next signal, which may have come before. None if this thread's runtime cannot
    /// wait any more, because it ends.
    ///
    /// A signal that all threads block (`sigprocmask`) comes when one of them does so no longer.
    ///
    /// # Cancellation
    ///
    /// No signal is lost.
    pub async fn recv(&mut self) -> Option<()> {
        loop {
            let poll = PollOnce::new(Arc::clone(&self.hearing), Readiness::READABLE);
            submit(poll).await.ok()?;
            if self.take() {
                return Some(());
            }
        }
    }

    /// Whether the bell was rung.
    fn take(&self) -> bool {
        // An eventfd gives all in one; what is left of a socket's is told by the next.
        let mut bytes = [0; 256];
        rustix::io::retry_on_intr(|| rustix::io::read(&self.hearing, &mut bytes))
            .is_ok_and(|len| len > 0)
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        // The bell goes with the action, when no handler has it any more.
        unregister(self.action);
    }
}

/// Waits for Ctrl-C.
pub(crate) async fn wait_for_ctrl_c() -> io::Result<()> {
    let mut signal = signal(SignalKind::interrupt())?;
    signal.recv().await.ok_or_else(ending)
}

fn ending() -> io::Error {
    io::Error::other("this thread's runtime ends")
}
