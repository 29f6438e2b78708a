//! Waiting for a handle to be signalled, by one of the system's threads that wait for many.

use std::{
    ffi::c_void,
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    ptr,
    sync::{
        Arc,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
};

use windows_sys::Win32::{
    Foundation::{HANDLE, INVALID_HANDLE_VALUE},
    System::{
        IO::OVERLAPPED,
        Threading::{
            CreateEventW, INFINITE, RegisterWaitForSingleObject, UnregisterWaitEx,
            WT_EXECUTEINWAITTHREAD, WT_EXECUTEONLYONCE,
        },
    },
};

use super::port::{Port, Subject};
use crate::sys::windows::last_error;

/// One wait: when its handle is signalled, a packet comes to the port. Dropping it ends it.
pub(super) struct Wait {
    /// The wait's own handle, while it is registered.
    registered: HANDLE,
    /// What is signalled at the end of an overlapped call that knows of no port.
    event: Option<OwnedHandle>,
    shared: Box<Shared>,
}

/// What the system's thread sees.
struct Shared {
    port: Arc<Port>,
    overlapped: *mut OVERLAPPED,
    /// Whether the packet is on its way.
    has_fired: AtomicBool,
}

impl Wait {
    /// Nothing is waited for yet. The packet will carry `overlapped`.
    pub(super) fn new(port: &Arc<Port>, overlapped: *mut OVERLAPPED) -> Self {
        Self {
            registered: ptr::null_mut(),
            event: None,
            shared: Box::new(Shared {
                port: Arc::clone(port),
                overlapped,
                has_fired: AtomicBool::new(false),
            }),
        }
    }

    /// Adds an event to be waited for. Returns what stands for it in an OVERLAPPED: the lowest
    /// bit says that no port is to be told.
    pub(super) fn add_event(&mut self) -> Result<HANDLE, i32> {
        // SAFETY: no pointers are passed but null.
        let event = unsafe { CreateEventW(ptr::null(), 1, 0, ptr::null()) };
        if event.is_null() {
            return Err(last_error());
        }
        // SAFETY: new, and ours.
        self.event = Some(unsafe { OwnedHandle::from_raw_handle(event) });
        Ok(event.map_addr(|address| address | 1))
    }

    /// Begins to wait for the event.
    pub(super) fn begin_for_event(&mut self) -> Result<(), i32> {
        match &self.event {
            Some(event) => self.begin(event.as_raw_handle()),
            None => Ok(()),
        }
    }

    /// Begins to wait for `handle`, which stays open meanwhile.
    pub(super) fn begin(&mut self, handle: HANDLE) -> Result<(), i32> {
        // SAFETY: what is shared stays in its box until the wait has been unregistered.
        let registered = unsafe {
            RegisterWaitForSingleObject(
                &mut self.registered,
                handle,
                Some(fire),
                (&raw const *self.shared).cast(),
                INFINITE,
                WT_EXECUTEONLYONCE | WT_EXECUTEINWAITTHREAD,
            )
        };
        if registered == 0 {
            return Err(last_error());
        }
        Ok(())
    }

    /// Ends the wait. Returns whether its packet is on its way all the same.
    pub(super) fn end(&mut self) -> bool {
        let registered = std::mem::replace(&mut self.registered, ptr::null_mut());
        if !registered.is_null() {
            // Returns when `fire` has, if it has been called: it only posts.
            // SAFETY: registered, and not unregistered before.
            unsafe { UnregisterWaitEx(registered, INVALID_HANDLE_VALUE) };
        }
        self.has_fired()
    }

    /// Whether the packet is on its way, or has come.
    pub(super) fn has_fired(&self) -> bool {
        // Acquire: pairs with the store in `fire`.
        self.shared.has_fired.load(Acquire)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs on a thread of the system's.
///
/// # Safety
///
/// `context` is what [`Wait::begin`] shares.
unsafe extern "system" fn fire(context: *mut c_void, _timed_out: bool) {
    // SAFETY: by this function's contract; nobody else writes to it.
    let shared = unsafe { &*context.cast::<Shared>() };
    // Release: pairs with the load in `has_fired`.
    shared.has_fired.store(true, Release);
    shared.port.post_surely(Subject::Signal, shared.overlapped);
}
