//! The one backend of macOS and the BSDs.

use std::{io, sync::Arc};

use super::{Poller, readiness::Readiness};
use crate::{backend::BackendKind, spin::Spin};

/// A request in the backend's own format. This backend has none.
#[derive(Debug, Clone)]
pub enum RawEntry {}

/// The backend of this system.
pub(crate) type RealBackend = Readiness;

/// The event that ends a sleep of the backend.
#[derive(Debug)]
pub(crate) struct Event(Arc<Poller>);

/// The backends of this system.
pub(crate) const BACKENDS: &[BackendKind] = &[BackendKind::Poll];

/// Makes the backend, and returns the reason for the choice.
pub(crate) fn choose(
    wanted: Option<BackendKind>,
    _entries: u32,
    _spin: Spin,
) -> io::Result<(Readiness, Event, String)> {
    let why = match wanted {
        Some(kind @ (BackendKind::IoUring | BackendKind::Iocp)) => {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!(
                    "the {kind} backend was asked for, which this system does not have; \
                     without a wish, or with `poll`, the readiness backend runs here"
                ),
            ));
        }
        #[cfg(feature = "sim")]
        Some(BackendKind::Simulated) => {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the simulated backend was asked for, which only Linux has",
            ));
        }
        Some(BackendKind::Poll) => "it was asked for",
        None => "it is the one for this system",
    };
    let readiness = Readiness::new()?;
    let event = Event(readiness.poller());
    Ok((readiness, event, why.into()))
}

/// How the simulated kernel, which never drops a request that it has executed, repeats one.
#[cfg(all(test, not(loom), compio_portable))]
pub(super) fn resubmit(_: &crate::request::Request) -> super::Resubmit {
    super::Resubmit::Kernel
}

impl Event {
    /// An event of no backend.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn of_nobody() -> io::Result<Self> {
        Ok(Self(Arc::new(Poller::new()?)))
    }

    /// Ends the sleep. Callable from any thread. Never blocks.
    pub(crate) fn signal(&self) {
        self.0.notify();
    }
}
