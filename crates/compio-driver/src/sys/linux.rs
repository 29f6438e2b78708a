//! The choice between the two backends of Linux.

use std::{io, sync::Arc};

use super::{Poller, either::Either, platform::EventFd, readiness::Readiness, uring::Uring};
use crate::{backend::BackendKind, spin::Spin};

/// One of the two backends.
pub(crate) type RealBackend = Either<Uring, Readiness>;

/// The event that ends a sleep of the backend.
#[derive(Debug)]
pub(crate) enum Event {
    Fd(Arc<EventFd>),
    Poller(Arc<Poller>),
    /// A simulated host sleeps in no system call: the notifier wakes its outer loop.
    #[cfg(all(feature = "sim", not(loom)))]
    Simulated,
}

/// The backends of this system, the best one first.
pub(crate) const BACKENDS: &[BackendKind] = &[BackendKind::IoUring, BackendKind::Poll];

/// Makes the backend that the caller wants, or the best one that this kernel permits, and returns the
/// reason for the choice.
///
/// The readiness backend replaces io_uring only if the kernel lacks or refuses io_uring. A lack of
/// memory or descriptors is an error.
pub(crate) fn choose(
    wanted: Option<BackendKind>,
    entries: u32,
    spin: Spin,
) -> io::Result<(RealBackend, Event, String)> {
    match wanted {
        Some(BackendKind::IoUring) => match uring(entries, spin) {
            Ok((backend, event, setup_name)) => {
                Ok((backend, event, format!("it was asked for ({setup_name})")))
            }
            Err(error) => Err(io::Error::new(
                error.kind(),
                format!(
                    "the io-uring backend was asked for, but {error}; \
                     without a wish, or with `poll`, the readiness backend runs here"
                ),
            )),
        },
        Some(BackendKind::Poll) => readiness("it was asked for".into()),
        Some(BackendKind::Iocp) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the iocp backend was asked for, which only Windows has; \
             here it is `io-uring` or `poll`",
        )),
        #[cfg(feature = "sim")]
        Some(BackendKind::Simulated) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the simulated backend was asked for, which only hosts of a simulation have",
        )),
        None => match uring(entries, spin) {
            Ok((backend, event, setup_name)) => Ok((
                backend,
                event,
                format!("this kernel permits it ({setup_name})"),
            )),
            Err(refusal) if is_refusal(&refusal) => {
                readiness(refusal.to_string()).map_err(|error| {
                    let both = format!("{error}; nor is there io_uring: {refusal}");
                    io::Error::new(error.kind(), both)
                })
            }
            Err(error) => Err(error),
        },
    }
}

fn uring(entries: u32, spin: Spin) -> io::Result<(RealBackend, Event, &'static str)> {
    let uring = Uring::new(entries, spin)?;
    let event = Event::Fd(uring.event());
    let setup_name = uring.setup_name();
    Ok((Either::First(uring), event, setup_name))
}

fn readiness(why: String) -> io::Result<(RealBackend, Event, String)> {
    let readiness = Readiness::new()?;
    let event = Event::Poller(readiness.poller());
    Ok((Either::Second(readiness), event, why))
}

/// Whether the error is a permanent refusal, not a temporary one.
fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput
    )
}

impl Event {
    /// An event of no backend.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn of_nobody() -> io::Result<Self> {
        Ok(Self::Fd(Arc::new(EventFd::new()?)))
    }

    /// Ends the sleep. Callable from any thread. Never blocks.
    pub(crate) fn signal(&self) {
        match self {
            Self::Fd(event) => event.signal(),
            Self::Poller(poller) => poller.notify(),
            #[cfg(all(feature = "sim", not(loom)))]
            Self::Simulated => {}
        }
    }
}
