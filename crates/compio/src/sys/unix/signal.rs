//! Unix's signals.
//!
//! A handler may do little: it counts its signal, and writes to the one descriptor that all
//! listeners of the process share (an eventfd, or a pair of sockets). Each waiting task polls that
//! descriptor. The first task that sees it readable reads it, and wakes the waiting tasks of all
//! runtimes; these compare the counts of their signals.
//!
//! ```text
//! handler:  count += 1 ──> write(descriptor)
//! task:     wait for the event ──> compare the count ──> poll(descriptor)
//! reader:   read(descriptor) ──> notify the event
//! ```
//!
//! A task waits for the event before it compares the count. So a signal that comes in between is
//! seen by the comparison, or its write is read later and wakes the task.

use std::{
    ffi::c_int,
    fmt,
    future::{Future, poll_fn},
    io,
    os::fd::OwnedFd,
    pin::{Pin, pin},
    process,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Acquire, Release},
        },
    },
    task::Poll,
};

use compio_driver::{
    PerProcess,
    op::{PollOnce, Readiness},
    os_calls::outside_of_simulation,
};
use signal_hook_registry::{FORBIDDEN, register_sigaction};

use super::self_pipe::self_pipe;
use crate::{event::Event, runtime::submit};

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
    /// `SIGALRM`: a timer of the process has expired. Ends the process if there is no listener.
    alarm = SIGALRM;
    /// `SIGCHLD`: a child has ended or stopped. [`process`](crate::process) does not use it.
    child = SIGCHLD;
    /// `SIGHUP`: the terminal is gone; for services by convention, the configuration has changed. Ends
    /// the process if there is no listener.
    hangup = SIGHUP;
    /// `SIGINT`: Ctrl-C on the terminal. Ends the process if there is no listener.
    interrupt = SIGINT;
    /// `SIGIO`: a descriptor has become ready. Ends the process if there is no listener.
    io = SIGIO;
    /// `SIGPIPE`: a pipe has no reader. Rust programs ignore it from their start.
    pipe = SIGPIPE;
    /// `SIGQUIT`: Ctrl-\ on the terminal. Ends the process with a core dump if there is no listener.
    quit = SIGQUIT;
    /// `SIGTERM`: a request to end. Ends the process if there is no listener.
    terminate = SIGTERM;
    /// `SIGUSR1`: user-defined. Ends the process if there is no listener.
    user_defined1 = SIGUSR1;
    /// `SIGUSR2`: user-defined. Ends the process if there is no listener.
    user_defined2 = SIGUSR2;
    /// `SIGWINCH`: the terminal has changed its size.
    window_change = SIGWINCH;
}

impl SignalKind {
    /// The signal of this number, such as a real-time one.
    pub const fn from_raw(signal: c_int) -> Self {
        Self(signal)
    }

    /// The number of the signal.
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

/// Listens to a signal from now on. The first listener replaces the default action of the signal for
/// the rest of the process's life, even when all listeners are gone.
///
/// Any number of listeners, on any threads, may share a signal; each receives it. Handlers that other
/// code installed before are called, too.
///
/// ```no_run
/// use compio::signal::unix::{SignalKind, signal};
///
/// fn main() -> std::io::Result<()> {
///     compio::task::block_on(async {
///         let mut hangups = signal(SignalKind::hangup())?;
///         while hangups.recv().await.is_ok() {
///             println!("reading the configuration again");
///         }
///         Ok(())
///     })
/// }
/// ```
///
/// # Errors
///
/// [`InvalidInput`](io::ErrorKind::InvalidInput) for a signal that cannot be listened to:
/// `SIGKILL`, `SIGSTOP`, the signals of program faults (`SIGSEGV`, `SIGILL`, `SIGFPE`), and numbers
/// that are not signals. `EMFILE` or `ENFILE` if no descriptor is left for the first listener
/// of the process; all listeners share it.
pub fn signal(kind: SignalKind) -> io::Result<Signal> {
    let known = usize::try_from(kind.0).ok().and_then(|n| KINDS.get(n));
    let Some(known) = known.filter(|_| !FORBIDDEN.contains(&kind.0)) else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("signal {} cannot be listened to", kind.0),
        ));
    };
    outside_of_simulation("signals")?;
    BELL.get_or_try_make(Bell::new)?;
    // Acquire: pairs with the release below.
    if !known.has_handler.load(Acquire) {
        let handle = move |_: &_| {
            // Release: pairs with `Kind::count`.
            known.count.fetch_add(1, Release);
            // A forked child that has no listener has no bell either, and leaves the bell of its
            // parent alone.
            if let Some(bell) = BELL.get()
                && bell.process == process::id()
            {
                bell.ring();
            }
        };
        // SAFETY: an atomic addition, the number of the process, and a write to a descriptor that
        // does not block and is never closed; none of it allocates, locks or panics. The registry
        // keeps `errno`.
        unsafe { register_sigaction(kind.0, handle)? };
        // Two threads at once register twice: then a signal counts as two, which are reported as
        // one. Release: another thread that sees the flag has the handler.
        known.has_handler.store(true, Release);
    }
    Ok(Signal {
        kind,
        known,
        seen: known.count(),
    })
}

/// More than the signals of any system: Linux has 64, FreeBSD 128.
const KINDS_MAX: usize = 129;

/// Indexed by the number of the signal.
static KINDS: [Kind; KINDS_MAX] = [const { Kind::new() }; KINDS_MAX];

/// A signal of the process.
struct Kind {
    /// The number of times that it was handled. It wraps around.
    count: AtomicUsize,
    has_handler: AtomicBool,
}

impl Kind {
    const fn new() -> Self {
        Self {
            count: AtomicUsize::new(0),
            has_handler: AtomicBool::new(false),
        }
    }

    fn count(&self) -> usize {
        // Acquire: pairs with the handler's release.
        self.count.load(Acquire)
    }
}

static BELL: PerProcess<Bell> = PerProcess::new();

/// The descriptor that all listeners of the process share.
struct Bell {
    /// The process's number. A child that shares this memory, as between `vfork` and `exec`, has another.
    process: u32,
    ringing: Arc<OwnedFd>,
    /// Readable after a signal, until it is read. For a pair of sockets it is the other end.
    hearing: Arc<OwnedFd>,
    /// Wakes the waiting tasks of all runtimes.
    rung: Event,
}

impl Bell {
    fn new() -> io::Result<Self> {
        let (ringing, hearing) = self_pipe()?;
        Ok(Self {
            process: process::id(),
            ringing,
            hearing,
            rung: Event::new(),
        })
    }

    /// Makes the descriptor readable. For the handler.
    fn ring(&self) {
        // EAGAIN: the descriptor is readable already.
        let _ = rustix::io::write(&self.ringing, &1_u64.to_ne_bytes());
    }

    /// Reads the descriptor, and wakes the waiting tasks.
    fn hear(&self) {
        // One read empties an eventfd. A socket with unread bytes stays readable. The only error is
        // EAGAIN: another task has read the descriptor, and wakes this task as well.
        let mut bytes = [0; 256];
        let _ = rustix::io::retry_on_intr(|| rustix::io::read(&self.hearing, &mut bytes));
        self.rung.handle().notify();
        self.rung.reset();
    }
}

/// Listens to one kind of signal; made by [`signal()`].
///
/// Signals that arrive between two calls of [`recv`](Self::recv) are kept. Several signals before the
/// next `recv` may be merged into one, as the kernel does, too.
pub struct Signal {
    kind: SignalKind,
    known: &'static Kind,
    /// The count of the signals that have been reported, or came before this listener.
    seen: usize,
}

impl Signal {
    /// Waits for the next signal, which may have arrived before.
    ///
    /// A signal that all threads block (`sigprocmask`) arrives once a thread unblocks it.
    ///
    /// # Errors
    ///
    /// The error that [`is_cancelled`](crate::runtime::is_cancelled) recognizes if a
    /// [`CancelToken`](crate::runtime::CancelToken) or `cancel_after` cancels the wait. An error of the
    /// kind [`Other`](io::ErrorKind::Other) if this thread's runtime ends. `EMFILE` or `ENFILE` if no
    /// descriptor is left for the first listener of a forked child.
    ///
    /// # Cancellation
    ///
    /// No signal is lost.
    pub async fn recv(&mut self) -> io::Result<()> {
        while !self.take() {
            // A forked child has another bell than the one that `signal` used.
            let bell = BELL.get_or_try_make(Bell::new)?;
            self.changed(bell).await?;
        }
        Ok(())
    }

    /// Returns when the signal may have arrived.
    async fn changed(&self, bell: &Bell) -> io::Result<()> {
        let mut rung = bell.rung.wait();
        let poll = PollOnce::new(Arc::clone(&bell.hearing), Readiness::READABLE);
        let mut poll = pin!(submit(poll));
        poll_fn(|cx| {
            // First register as a waiting task, then compare the count.
            let is_rung = Pin::new(&mut rung).poll(cx).is_ready();
            if is_rung || self.known.count() != self.seen {
                return Poll::Ready(Ok(()));
            }
            let Poll::Ready(readable) = poll.as_mut().poll(cx) else {
                return Poll::Pending;
            };
            Poll::Ready(readable.map(|_| bell.hear()))
        })
        .await
    }

    /// Whether the signal has arrived since it was last reported.
    fn take(&mut self) -> bool {
        let count = self.known.count();
        let has_come = count != self.seen;
        self.seen = count;
        has_come
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Waits for Ctrl-C.
pub(crate) async fn wait_for_ctrl_c() -> io::Result<()> {
    let mut signal = signal(SignalKind::interrupt())?;
    signal.recv().await
}
