//! The descriptor that wakes a parked thread: an eventfd.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

use super::with_advice;

/// A counter in the kernel that is readable while it is not zero.
#[derive(Debug)]
pub(crate) struct EventFd(OwnedFd);

impl EventFd {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(with_advice("eventfd2", io::Error::last_os_error()));
        }
        // SAFETY: the call just returned this descriptor, which has no other owner.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Makes the event readable. Callable from any thread. Never blocks: a counter that is about to
    /// overflow refuses the write, and is readable already.
    pub(crate) fn signal(&self) {
        let one = 1_u64;
        // SAFETY: eight bytes are read from `one`, which outlives the call.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    /// Makes the event not readable.
    pub(crate) fn reset(&self) {
        let mut count = 0_u64;
        // SAFETY: eight bytes are written to `count`, which outlives the call.
        unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast(), 8) };
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
