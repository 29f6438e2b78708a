//! Descriptors with several owners on one thread.

use std::{cell::OnceCell, fmt, rc::Rc};

use crate::{
    receiving::Leftovers,
    sys::{AsFd, AsRawFd, BorrowedFd, Life, OwnedFd, RawFd},
};

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
    /// From the first receive on that was dropped while it was under way.
    leftovers: OnceCell<Box<Leftovers>>,
}

impl SharedFd {
    /// Gives the descriptor back, if this is the only owner.
    ///
    /// # Errors
    ///
    /// Others own it, too; or something is left of a receive that was dropped, and would be lost: this
    /// handle is returned.
    pub fn try_unwrap(self) -> Result<OwnedFd, Self> {
        if self.leftovers().is_some_and(Leftovers::has_some) {
            return Err(self);
        }
        Ok(Rc::try_unwrap(self.0).map_err(Self)?.fd)
    }

    /// Drops what is left of receives that were dropped: it belongs to a connection that is no more,
    /// where the descriptor serves another one.
    pub fn forget_leftovers(&self) {
        if let Some(leftovers) = self.leftovers() {
            leftovers.forget();
        }
    }

    /// What was received for nobody, if that has ever been possible.
    #[inline]
    pub(crate) fn leftovers(&self) -> Option<&Leftovers> {
        self.0.leftovers.get().map(|leftovers| &**leftovers)
    }

    /// The place for it.
    pub(crate) fn leftovers_or_new(&self) -> &Leftovers {
        self.0.leftovers.get_or_init(Box::default)
    }
}

impl From<OwnedFd> for SharedFd {
    fn from(fd: OwnedFd) -> Self {
        Self(Rc::new(Shared {
            _life: Life::begin(fd.as_raw_fd()),
            fd,
            leftovers: OnceCell::new(),
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

/// Anything that has a descriptor, kept untouched for as long as operations need the descriptor.
/// Clones are handles of the same.
pub struct HeldFd<T> {
    fd: RawFd,
    owner: Rc<T>,
}

impl<T: AsFd + 'static> HeldFd<T> {
    /// Takes it over, and asks it for its descriptor, once.
    pub fn new(owner: T) -> Self {
        let owner = Rc::new(owner);
        Self {
            fd: owner.as_fd().as_raw_fd(),
            owner,
        }
    }
}

impl<T> HeldFd<T> {
    /// What has the descriptor.
    pub fn get_ref(&self) -> &T {
        &self.owner
    }

    /// Gives it back, if nobody else holds it.
    ///
    /// # Errors
    ///
    /// Others hold it, too: this handle is returned.
    pub fn try_unwrap(self) -> Result<T, Self> {
        let fd = self.fd;
        Rc::try_unwrap(self.owner).map_err(|owner| Self { fd, owner })
    }
}

impl<T> Clone for HeldFd<T> {
    fn clone(&self) -> Self {
        Self {
            fd: self.fd,
            owner: Rc::clone(&self.owner),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for HeldFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HeldFd").field(&self.owner).finish()
    }
}

impl<T> AsRawFd for HeldFd<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.fd
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
// SAFETY: by the contract of `AsFd` the descriptor is open for as long as its owner is borrowed. It
// is shared, and neither moved nor given away mutably, until the last handle is gone.
unsafe impl<T: AsFd + 'static> OwnsFd for HeldFd<T> {}
// SAFETY: a shared reference to an owner closes nothing, and the owner lives as long.
unsafe impl<T: OwnsFd> OwnsFd for Rc<T> {}
// SAFETY: as for `Rc`.
unsafe impl<T: OwnsFd> OwnsFd for std::sync::Arc<T> {}
