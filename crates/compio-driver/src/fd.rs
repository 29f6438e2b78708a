//! Descriptors with shared ownership on one thread.

use std::{
    cell::{Cell, OnceCell},
    fmt,
    mem::ManuallyDrop,
    process::abort,
    ptr::NonNull,
    rc::Rc,
};

use crate::{
    os_calls::handle,
    recv::Unread,
    sys::{AsFd, AsRawFd, BorrowedFd, FdGeneration, OwnedFd, RawFd},
    thread_bound::StaysOnItsThread,
    trace,
};

/// A descriptor that is closed when its last owner is dropped: the object that it belongs to, or the
/// last operation in flight.
///
/// It stays on its thread, so that cloning needs no atomic operation.
// Like an `Rc`, but its count fits in the padding beside the descriptor: each connection has one.
pub struct SharedFd(StaysOnItsThread<NonNull<Shared>>);

#[derive(Debug)]
struct Shared {
    /// Ends before the descriptor is closed.
    life: FdGeneration,
    fd: OwnedFd,
    /// The number of owners.
    owners: Cell<u32>,
    /// Present once a receive has been dropped in flight.
    unread: OnceCell<Box<Unread>>,
}

impl SharedFd {
    /// Returns the descriptor if this is the only owner.
    ///
    /// # Errors
    ///
    /// This handle, if there are other owners, or if unread data of a dropped receive would be lost.
    pub fn try_unwrap(self) -> Result<OwnedFd, Self> {
        if self.unread().is_some_and(Unread::has_some) {
            return Err(self);
        }
        if self.shared().owners.get() > 1 {
            return Err(self);
        }
        let this = ManuallyDrop::new(self);
        // SAFETY: made of a box by `from`; this is the only owner, which is not dropped.
        let shared = unsafe { Box::from_raw(this.0.as_ptr()) };
        trace::closed(shared.fd.as_raw_fd());
        Ok(shared.fd)
    }

    /// Whether there are other owners: handles, or operations in flight.
    pub fn is_shared(&self) -> bool {
        self.shared().owners.get() > 1
    }

    /// Whether there is unread data of dropped receives, or a dropped receive is still in flight.
    pub fn may_keep_arrivals(&self) -> bool {
        let unread = self.unread();
        unread.is_some_and(|unread| unread.has_some() || unread.has_pending_orphans())
    }

    /// Drops the unread data of dropped receives. For a descriptor that serves a new connection: the data
    /// belongs to the previous one.
    pub fn forget_leftovers(&self) {
        if let Some(unread) = self.unread() {
            unread.forget();
        }
    }

    #[inline]
    fn shared(&self) -> &Shared {
        // SAFETY: made of a box by `from`, which lives until its last owner is dropped.
        unsafe { self.0.as_ref() }
    }

    /// Separate from `drop`, which is inlined in many places.
    ///
    /// # Safety
    ///
    /// The last owner is being dropped.
    #[inline(never)]
    unsafe fn close(shared: NonNull<Shared>) {
        // SAFETY: made of a box by `from`, and without other owners by this function's contract.
        let shared = unsafe { Box::from_raw(shared.as_ptr()) };
        let Shared {
            life, fd, unread, ..
        } = *shared;
        drop(life);
        trace::closed(fd.as_raw_fd());
        // A drop has no result.
        let _ = handle::close(fd);
        drop(unread);
    }

    /// The unread data of dropped receives, if a receive has ever been dropped in flight.
    #[inline]
    pub(crate) fn unread(&self) -> Option<&Unread> {
        self.shared().unread.get().map(|unread| &**unread)
    }

    /// The same, created if it does not exist.
    pub(crate) fn unread_or_new(&self) -> &Unread {
        self.shared().unread.get_or_init(Box::default)
    }
}

impl Clone for SharedFd {
    #[inline]
    fn clone(&self) -> Self {
        let owners = &self.shared().owners;
        match owners.get().checked_add(1) {
            Some(more) => owners.set(more),
            // The program leaks handles.
            None => abort(),
        }
        Self(self.0.clone())
    }
}

impl Drop for SharedFd {
    #[inline]
    fn drop(&mut self) {
        let owners = &self.shared().owners;
        if owners.get() > 1 {
            owners.set(owners.get() - 1);
            return;
        }
        // SAFETY: this was the last owner.
        unsafe { Self::close(*self.0) };
    }
}

impl From<OwnedFd> for SharedFd {
    fn from(fd: OwnedFd) -> Self {
        trace::opened(fd.as_raw_fd());
        let shared = Box::new(Shared {
            life: FdGeneration::begin(fd.as_raw_fd()),
            fd,
            owners: Cell::new(1),
            unread: OnceCell::new(),
        });
        Self(StaysOnItsThread::new(NonNull::from(Box::leak(shared))))
    }
}

impl AsFd for SharedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared().fd.as_fd()
    }
}

impl AsRawFd for SharedFd {
    #[inline]
    fn as_raw_fd(&self) -> RawFd {
        self.shared().fd.as_raw_fd()
    }
}

impl fmt::Debug for SharedFd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedFd").field(self.shared()).finish()
    }
}

/// An owner of a descriptor that closes it through the seam. std's owner, which is part of the public API, bypasses the
/// seam when it is dropped.
#[derive(Debug)]
#[cfg(feature = "sim")]
pub struct LooseFd(Option<OwnedFd>);

#[cfg(feature = "sim")]
impl LooseFd {
    pub(crate) fn into_owned(mut self) -> OwnedFd {
        self.0
            .take()
            .expect("only this function and the drop take it")
    }
}

#[cfg(feature = "sim")]
impl AsFd for LooseFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let fd = self.0.as_ref();
        fd.expect("only `into_owned` and the drop take it").as_fd()
    }
}

#[cfg(feature = "sim")]
impl Drop for LooseFd {
    fn drop(&mut self) {
        if let Some(fd) = self.0.take() {
            // A drop has no result.
            let _ = handle::close(fd);
        }
    }
}

#[cfg(feature = "sim")]
impl From<OwnedFd> for LooseFd {
    fn from(fd: OwnedFd) -> Self {
        Self(Some(fd))
    }
}

/// An owner of a descriptor. With a simulated system, it closes it through the seam.
#[derive(Debug)]
#[cfg(not(feature = "sim"))]
pub struct LooseFd(OwnedFd);

#[cfg(not(feature = "sim"))]
impl LooseFd {
    #[inline]
    pub(crate) fn into_owned(self) -> OwnedFd {
        self.0
    }
}

#[cfg(not(feature = "sim"))]
impl AsFd for LooseFd {
    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(not(feature = "sim"))]
impl From<OwnedFd> for LooseFd {
    #[inline]
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

/// A shared owner of any object with a descriptor. The object stays untouched for as long as operations
/// need the descriptor. Clones are handles of the same object.
pub struct HeldFd<T> {
    fd: RawFd,
    owner: Rc<T>,
}

impl<T: AsFd + 'static> HeldFd<T> {
    /// Takes ownership of the object, and calls its `as_fd` once.
    pub fn new(owner: T) -> Self {
        let owner = Rc::new(owner);
        Self {
            fd: owner.as_fd().as_raw_fd(),
            owner,
        }
    }
}

impl<T> HeldFd<T> {
    /// The object that has the descriptor.
    pub fn get_ref(&self) -> &T {
        &self.owner
    }

    /// Returns the object if this is the only handle.
    ///
    /// # Errors
    ///
    /// This handle, if there are others.
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
/// [`AsRawFd::as_raw_fd`] returns the same open descriptor until the value is dropped, and no safe
/// method of the value closes the descriptor earlier. It uses no driver: it is called while an operation is in flight.
pub unsafe trait OwnsFd: AsRawFd + 'static {}

// SAFETY: the descriptor is closed by the last owner's drop, and `try_unwrap` consumes.
unsafe impl OwnsFd for SharedFd {}
// SAFETY: closed by its drop.
unsafe impl OwnsFd for OwnedFd {}
// SAFETY: by the contract of `AsFd` the descriptor is open for as long as its owner is borrowed. The owner
// is shared, and neither moved nor mutably borrowed, until the last handle is dropped.
unsafe impl<T: AsFd + 'static> OwnsFd for HeldFd<T> {}
// SAFETY: a shared reference to an owner closes nothing, and the owner lives as long.
unsafe impl<T: OwnsFd> OwnsFd for Rc<T> {}
// SAFETY: as for `Rc`.
unsafe impl<T: OwnsFd> OwnsFd for std::sync::Arc<T> {}
