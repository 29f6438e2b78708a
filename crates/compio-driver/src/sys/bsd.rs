//! The one backend of macOS and the BSDs.

use std::{
    io,
    os::fd::{AsRawFd, RawFd},
    sync::Arc,
    time::Duration,
};

use super::{OpState, Poller, Resubmit, Submitted, readiness::Readiness};
use crate::{
    backend::BackendKind,
    key::Key,
    notify::Notifier,
    request::{Answer, Capabilities, Report, Request},
    spin::Spin,
    sys::BufferRing,
};

/// A request in the backend's own format. This backend has none.
#[derive(Debug, Clone)]
pub enum RawEntry {}

/// How to repeat a request that the kernel has dropped. This backend drops none.
pub(crate) fn again(_: &Request) -> Resubmit {
    Resubmit::Not
}

/// As [`call_in_thread`](super::unix::call_in_thread()): see [`again`].
///
/// # Safety
///
/// As [`call_in_thread`](super::unix::call_in_thread()).
pub(crate) unsafe fn repeat(request: &Request) -> Answer {
    // SAFETY: passed on from this function.
    unsafe { super::unix::call_in_thread(request) }
}

pub(crate) struct Backend(Readiness);

/// The event that ends a sleep of the backend.
#[derive(Debug)]
pub(crate) struct Event(Arc<Poller>);

/// The backend of this system.
pub(crate) const BACKENDS: &[BackendKind] = &[BackendKind::Poll];

/// Makes the backend, and returns the reason for the choice.
pub(crate) fn choose(
    wanted: Option<BackendKind>,
    _entries: u32,
    _spin: Spin,
) -> io::Result<(Backend, Event, String)> {
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
        Some(BackendKind::Poll) => "it was asked for",
        None => "it is the one for this system",
    };
    let readiness = Readiness::new()?;
    let event = Event(readiness.poller());
    Ok((Backend(readiness), event, why.into()))
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

impl Backend {
    pub(crate) fn kind(&self) -> BackendKind {
        BackendKind::Poll
    }

    /// The optional capabilities of this backend.
    pub(crate) fn extras(&self) -> Capabilities {
        self.0.extras()
    }

    /// Registers a buffer ring, from which the kernel chooses buffers, if it supports that.
    pub(crate) fn register_buffers(
        &mut self,
        _count: u16,
    ) -> io::Result<Option<Box<dyn BufferRing>>> {
        Ok(None)
    }

    /// Unregisters a buffer ring. No request uses the group any more.
    pub(crate) fn unregister_buffers(&mut self, _group: u16) {}

    /// The number of calls that enter the kernel to wait.
    pub(crate) fn enters(&self) -> u64 {
        self.0.waits()
    }

    /// Does nothing: the first operation registers a descriptor.
    pub(crate) fn attach(&mut self, _: RawFd) -> io::Result<()> {
        Ok(())
    }

    /// # Safety
    ///
    /// The memory of the request stays valid until the completion of `key` has been reported.
    pub(crate) unsafe fn launch(
        &mut self,
        key: Key,
        request: &Request,
        _: *mut OpState,
    ) -> Submitted {
        // SAFETY: passed on from this function.
        unsafe { self.0.launch(key, request) }
    }

    /// # Safety
    ///
    /// None.
    pub(crate) unsafe fn launch_to_wait(&mut self, _: Key, _: &Request) -> Submitted {
        unreachable!("readiness waits for all requests")
    }

    /// # Safety
    ///
    /// None: the scratch is not used.
    pub(crate) unsafe fn cancel(&mut self, key: Key, _: *mut OpState) {
        self.0.cancel(key);
    }

    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
        notifier: &Notifier,
        on_report: &mut dyn FnMut(Key, Report),
    ) -> io::Result<()> {
        self.0.wait(timeout, notifier, on_report)
    }

    pub(crate) fn prepare_to_sleep(&mut self, notifier: &Notifier) -> bool {
        self.0.prepare_to_sleep(notifier)
    }
}

impl AsRawFd for Backend {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
