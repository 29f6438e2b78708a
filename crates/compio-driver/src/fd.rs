//! Descriptors with several owners on one thread.

use std::{cell::RefCell, rc::Rc};

use crate::sys::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// A descriptor that is closed when its last owner is gone: the object that it belongs to, or the
/// last operation that the kernel has not yet answered.
///
/// It stays on its thread, so that taking part costs no atomic operation.
#[derive(Debug, Clone)]
pub struct SharedFd(Rc<Shared>);

/// The fields' order is that of their drops.
#[derive(Debug)]
struct Shared {
    life: Life,
    fd: OwnedFd,
}

impl SharedFd {
    /// Gives the descriptor back, if this is the only owner.
    ///
    /// # Errors
    ///
    /// Others own it, too: this handle is returned.
    pub fn try_unwrap(self) -> Result<OwnedFd, Self> {
        let Shared { life, fd } = Rc::try_unwrap(self.0).map_err(Self)?;
        drop(life);
        Ok(fd)
    }
}

impl From<OwnedFd> for SharedFd {
    fn from(fd: OwnedFd) -> Self {
        Self(Rc::new(Shared {
            life: Life::begin(fd.as_raw_fd()),
            fd,
        }))
    }
}

/// The time for which a descriptor's number is held by a [`SharedFd`] of this thread. A backend
/// that has registered it need not ask whether it is still the same.
#[derive(Debug)]
struct Life(RawFd);

thread_local! {
    /// By number: odd while it is held, and different for each life.
    static LIVES: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

impl Life {
    fn begin(fd: RawFd) -> Self {
        turn_over(fd);
        Self(fd)
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        turn_over(self.0);
    }
}

fn turn_over(fd: RawFd) {
    let place = fd as usize;
    // While the thread ends there is nobody left who asks.
    let _ = LIVES.try_with(|lives| {
        let mut lives = lives.borrow_mut();
        if lives.len() <= place {
            lives.resize(place + 1, 0);
        }
        lives[place] = lives[place].wrapping_add(1);
    });
}

/// Names the life of the [`SharedFd`] of this thread that holds the number now, if there is one.
pub(crate) fn life_of(fd: RawFd) -> Option<u32> {
    LIVES
        .try_with(|lives| lives.borrow().get(fd as usize).copied())
        .ok()
        .flatten()
        .filter(|life| !life.is_multiple_of(2))
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
