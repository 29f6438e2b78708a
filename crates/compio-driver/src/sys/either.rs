//! One of two backends, chosen when the driver is made.

use std::{io, time::Duration};

use super::{
    AsRawFd, Backend, BufferRing, Capabilities, OpState, RawFd, Report, Resubmit, Submitted,
};
use crate::{backend::BackendKind, key::Key, notify::Notifier, request::Request};

pub(crate) enum Either<A, B> {
    First(A),
    Second(B),
}

impl<A: Backend, B: Backend> Backend for Either<A, B> {
    fn kind(&self) -> BackendKind {
        match self {
            Self::First(backend) => backend.kind(),
            Self::Second(backend) => backend.kind(),
        }
    }

    fn capabilities(&self) -> Capabilities {
        match self {
            Self::First(backend) => backend.capabilities(),
            Self::Second(backend) => backend.capabilities(),
        }
    }

    fn register_buffers(&mut self, count: u16) -> io::Result<Option<Box<dyn BufferRing>>> {
        match self {
            Self::First(backend) => backend.register_buffers(count),
            Self::Second(backend) => backend.register_buffers(count),
        }
    }

    fn unregister_buffers(&mut self, group: u16) {
        match self {
            Self::First(backend) => backend.unregister_buffers(group),
            Self::Second(backend) => backend.unregister_buffers(group),
        }
    }

    fn spins(&self) -> (u64, u64) {
        match self {
            Self::First(backend) => backend.spins(),
            Self::Second(backend) => backend.spins(),
        }
    }

    fn is_splicing(&self, key: Key) -> bool {
        match self {
            Self::First(backend) => backend.is_splicing(key),
            Self::Second(backend) => backend.is_splicing(key),
        }
    }

    fn enters(&self) -> u64 {
        match self {
            Self::First(backend) => backend.enters(),
            Self::Second(backend) => backend.enters(),
        }
    }

    #[inline]
    unsafe fn submit(&mut self, key: Key, request: &Request, state: *mut OpState) -> Submitted {
        // SAFETY: passed on from this function.
        unsafe {
            match self {
                Self::First(backend) => backend.submit(key, request, state),
                Self::Second(backend) => backend.submit(key, request, state),
            }
        }
    }

    unsafe fn submit_after_would_block(&mut self, key: Key, request: &Request) -> Submitted {
        // SAFETY: passed on from this function.
        unsafe {
            match self {
                Self::First(backend) => backend.submit_after_would_block(key, request),
                Self::Second(backend) => backend.submit_after_would_block(key, request),
            }
        }
    }

    fn resubmit(&self, request: &Request) -> Resubmit {
        match self {
            Self::First(backend) => backend.resubmit(request),
            Self::Second(backend) => backend.resubmit(request),
        }
    }

    unsafe fn cancel(&mut self, key: Key, state: *mut OpState) {
        // SAFETY: passed on from this function.
        unsafe {
            match self {
                Self::First(backend) => backend.cancel(key, state),
                Self::Second(backend) => backend.cancel(key, state),
            }
        }
    }

    #[inline]
    fn wait(
        &mut self,
        timeout: Option<Duration>,
        notifier: &Notifier,
        on_report: &mut dyn FnMut(Key, Report),
    ) -> io::Result<()> {
        match self {
            Self::First(backend) => backend.wait(timeout, notifier, on_report),
            Self::Second(backend) => backend.wait(timeout, notifier, on_report),
        }
    }

    fn prepare_to_park(&mut self, notifier: &Notifier) -> bool {
        match self {
            Self::First(backend) => backend.prepare_to_park(notifier),
            Self::Second(backend) => backend.prepare_to_park(notifier),
        }
    }
}

impl<A: Backend, B: Backend> AsRawFd for Either<A, B> {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::First(backend) => backend.as_raw_fd(),
            Self::Second(backend) => backend.as_raw_fd(),
        }
    }
}
