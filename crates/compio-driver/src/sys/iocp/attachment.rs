//! The attachment of a handle of other code, on a pool thread.
//!
//! A handle without `FILE_FLAG_OVERLAPPED` executes its calls one after the other. Even the query of its type,
//! and the attempt to attach it to a port, wait for a read that another thread makes on it. No call reports
//! the flag without that wait. So the first operation on the handle attaches it in the thread pool, and begins
//! after that.

use std::{
    ffi::c_void,
    ptr,
    rc::Rc,
    sync::{Arc, OnceLock},
};

use super::{
    handles::{self, Known},
    port::Port,
    raw::{Begun, RawEntry},
};
use crate::{request::NOT_READY, sys::RawFd};

/// The attachment of one handle, for all operations that wait for it.
#[derive(Debug)]
pub(super) struct Attachment {
    fd: RawFd,
    is_transfer: bool,
    port: Arc<Port>,
    known: OnceLock<Result<Known, i32>>,
}

impl Attachment {
    pub(super) fn new(fd: RawFd, is_transfer: bool, port: Arc<Port>) -> Self {
        Self {
            fd,
            is_transfer,
            port,
            known: OnceLock::new(),
        }
    }

    /// The state of the handle, or the error of its attachment; `None` before its end. Does not wait.
    pub(super) fn result(&self) -> Option<Result<Known, i32>> {
        self.known.get().copied()
    }

    /// Attaches the handle, once. May wait for a call on the handle that another thread makes.
    pub(super) fn attach(&self) {
        self.known
            .get_or_init(|| handles::attach(self.fd, self.is_transfer, &self.port));
    }

    /// The call of a pool thread that attaches the handle.
    pub(super) fn begin(self: Rc<Self>) -> Attaching {
        let data = Rc::as_ptr(&self).cast_mut().cast();
        Attaching {
            // SAFETY: `begin` makes no overlapped call and reports its result itself. It does not unwind and
            // does not use a driver. Its data lives as long as the entry.
            entry: unsafe { RawEntry::new(self.fd, begin, data) },
            _attachment: self,
        }
    }
}

/// The call of one operation. It must stay in its place until the call is over, and the handle open.
#[derive(Debug)]
pub(super) struct Attaching {
    entry: RawEntry,
    _attachment: Rc<Attachment>,
}

impl Attaching {
    pub(super) fn entry(&self) -> *const RawEntry {
        ptr::from_ref(&self.entry)
    }
}

/// Attaches the handle. The result makes the driver begin the operation again.
///
/// # Safety
///
/// `data` is an [`Attachment`].
unsafe fn begin(_: RawFd, _: *mut c_void, data: *mut ()) -> Begun {
    // SAFETY: by this function's contract. All references to it are shared ones, and of its fields any thread
    // may use the handle, the port and the lock of the result.
    unsafe { &*data.cast::<Attachment>() }.attach();
    Begun::Over(Err(NOT_READY))
}
