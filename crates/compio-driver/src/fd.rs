//! Descriptors with several owners on one thread.

use std::rc::Rc;

use crate::sys::{AsFd, AsRawFd, BorrowedFd, Life, OwnedFd, RawFd};

/// A descriptor that is closed when its last owner is gone: the object that it belongs to, or the
/// last operation that the kernel has not yet answered.
///
/// It stays on its thread, so that taking part costs no atomic operation.
#[derive(Debug, Clone)]
pub struct SharedFd(Rc<Shared>);

/// The fields' order is that of their drops.
#[derive(Debug)]
struct Shared {
    _life: Life,
    fd: OwnedFd,
}

impl SharedFd {
    /// Gives the descriptor back, if this is the only owner.
    ///
    /// # Errors
    ///
    /// Others own it, too: this handle is returned.
    pub fn try_unwrap(self) -> Result<OwnedFd, Self> {
        Ok(Rc::try_unwrap(self.0).map_err(Self)?.fd)
    }
}

impl From<OwnedFd> for SharedFd {
    fn from(fd: OwnedFd) -> Self {
        Self(Rc::new(Shared {
            _life: Life::begin(fd.as_raw_fd()),
            fd,
        }))
    }
}

impl AsFd for SharedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

impl AsRawFd for SharedFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.fd.as_raw_fd()
    }
}

/// Keeps a descriptor open for as long as it lives.
///
/// # Safety
///
/// [`AsRawFd::as_raw_fd`] gives the same, open descriptor until the value is dropped, and no safe
/// method of it closes the descriptor earlier.
pub unsafe trait OwnsFd: AsRawFd + 'static {}

// SAFETY: the descriptor is closed by the last owner's drop, and `try_unwrap` consumes.
unsafe impl OwnsFd for SharedFd {}
// SAFETY: closed by its drop.
unsafe impl OwnsFd for OwnedFd {}
// SAFETY: a shared reference to an owner closes nothing, and the owner lives as long.
unsafe impl<T: OwnsFd> OwnsFd for Rc<T> {}
// SAFETY: as for `Rc`.
unsafe impl<T: OwnsFd> OwnsFd for std::sync::Arc<T> {}
