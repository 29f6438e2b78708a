//! The two backends of Linux behind one type, and the choice between them.

use std::{
    io,
    os::fd::{AsRawFd, RawFd},
    sync::Arc,
    time::Duration,
};

use super::{OpState, Poller, Submitted, platform::EventFd, readiness::Readiness, uring::Uring};
use crate::{
    backend::BackendKind,
    key::Key,
    notify::Notifier,
    request::{Capabilities, Report, Request},
    spin::Spin,
    sys::BufferRing,
};

#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each driver, and the common one is the large one"
)]
pub(crate) enum Backend {
    Uring(Uring),
    Poll(Readiness),
}

/// The event that ends a sleep of the backend.
#[derive(Debug)]
pub(crate) enum Event {
    Fd(Arc<EventFd>),
    Poller(Arc<Poller>),
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
) -> io::Result<(Backend, Event, String)> {
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

fn uring(entries: u32, spin: Spin) -> io::Result<(Backend, Event, &'static str)> {
    let uring = Uring::new(entries, spin)?;
    let event = Event::Fd(uring.event());
    let setup_name = uring.setup_name();
    Ok((Backend::Uring(uring), event, setup_name))
}

fn readiness(why: String) -> io::Result<(Backend, Event, String)> {
    let readiness = Readiness::new()?;
    let event = Event::Poller(readiness.poller());
    Ok((Backend::Poll(readiness), event, why))
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
        }
    }
}

impl Backend {
    pub(crate) fn kind(&self) -> BackendKind {
        match self {
            Self::Uring(_) => BackendKind::IoUring,
            Self::Poll(_) => BackendKind::Poll,
        }
    }

    /// The optional capabilities of this backend.
    pub(crate) fn extras(&self) -> Capabilities {
        match self {
            Self::Uring(uring) => uring.extras(),
            Self::Poll(readiness) => readiness.extras(),
        }
    }

    /// Registers a buffer ring, from which the kernel chooses buffers, if it supports that.
    pub(crate) fn register_buffers(
        &mut self,
        count: u16,
    ) -> io::Result<Option<Box<dyn BufferRing>>> {
        match self {
            Self::Uring(uring) => uring.register_buffers(count).map(Some),
            Self::Poll(_) => Ok(None),
        }
    }

    /// Unregisters a buffer ring. No request uses the group any more.
    pub(crate) fn unregister_buffers(&mut self, group: u16) {
        match self {
            Self::Uring(uring) => uring.unregister_buffers(group),
            Self::Poll(_) => {}
        }
    }

    /// The number of calls that enter the kernel to submit or wait.
    pub(crate) fn enters(&self) -> u64 {
        match self {
            Self::Uring(uring) => uring.enters(),
            Self::Poll(readiness) => readiness.waits(),
        }
    }

    /// Does nothing: the first operation registers a descriptor.
    pub(crate) fn attach(&mut self, _: RawFd) -> io::Result<()> {
        Ok(())
    }

    /// # Safety
    ///
    /// The memory of the request stays valid until the completion of `key` has been reported.
    #[inline]
    pub(crate) unsafe fn launch(
        &mut self,
        key: Key,
        request: &Request,
        _: *mut OpState,
    ) -> Submitted {
        // SAFETY: passed on from this function.
        unsafe {
            match self {
                Self::Uring(uring) => uring.launch(key, request),
                Self::Poll(readiness) => readiness.launch(key, request),
            }
        }
    }

    /// As `launch`, for a request that was reported with `WouldBlock`.
    ///
    /// # Safety
    ///
    /// As for `launch`.
    pub(crate) unsafe fn launch_to_wait(&mut self, key: Key, request: &Request) -> Submitted {
        match self {
            // SAFETY: passed on from this function.
            Self::Uring(uring) => unsafe { uring.launch_to_wait(key, request) },
            Self::Poll(_) => unreachable!("readiness waits for all requests"),
        }
    }

    /// # Safety
    ///
    /// None: the scratch is not used.
    pub(crate) unsafe fn cancel(&mut self, key: Key, _: *mut OpState) {
        match self {
            Self::Uring(uring) => uring.cancel(key),
            Self::Poll(readiness) => readiness.cancel(key),
        }
    }

    #[inline]
    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
        notifier: &Notifier,
        on_report: &mut dyn FnMut(Key, Report),
    ) -> io::Result<()> {
        match self {
            Self::Uring(uring) => uring.wait(timeout, notifier, on_report),
            Self::Poll(readiness) => readiness.wait(timeout, notifier, on_report),
        }
    }

    pub(crate) fn prepare_to_sleep(&mut self, notifier: &Notifier) -> bool {
        match self {
            Self::Uring(uring) => uring.prepare_to_sleep(notifier),
            Self::Poll(readiness) => readiness.prepare_to_sleep(notifier),
        }
    }
}

impl AsRawFd for Backend {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Uring(uring) => uring.as_raw_fd(),
            Self::Poll(readiness) => readiness.as_raw_fd(),
        }
    }
}
