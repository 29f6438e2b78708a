//! Waiting for a signalled handle, on a wait thread of the system that serves many handles.

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
            WT_EXECUTEONLYONCE,
        },
    },
};

use super::port::{Port, Subject};
use crate::sys::windows::last_error;

/// One wait: when its handle is signalled, a packet is queued to the port. A drop ends the wait.
pub(super) struct Wait {
    /// The wait's own handle, while it is registered.
    registered: HANDLE,
    /// The event that an overlapped call without a port signals at its end.
    event: Option<OwnedHandle>,
    shared: Box<Shared>,
}

/// The state that the system's thread reads.
struct Shared {
    port: Arc<Port>,
    overlapped: *mut OVERLAPPED,
    /// Whether the packet is queued, or about to be.
    has_fired: AtomicBool,
}

impl Wait {
    /// A wait that has not begun. Its packet will carry `overlapped`.
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

    /// Adds an event to wait for. Returns its value for an OVERLAPPED: the lowest bit set means that
    /// no packet is queued to a port.
    pub(super) fn add_event(&mut self) -> Result<HANDLE, i32> {
        // SAFETY: no pointers are passed but null.
        let event = unsafe { CreateEventW(ptr::null(), 1, 0, ptr::null()) };
        if event.is_null() {
            return Err(last_error());
        }
        // SAFETY: the handle is new, and has no other owner.
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

    /// Begins to wait for `handle`, which stays open during the wait.
    pub(super) fn begin(&mut self, handle: HANDLE) -> Result<(), i32> {
        // Without `WT_EXECUTEINWAITTHREAD`, which would be quicker: Wine 8 crashes if such a wait ends
        // while it fires.
        // SAFETY: the shared state stays in its box until the wait has been unregistered.
        let registered = unsafe {
            RegisterWaitForSingleObject(
                &mut self.registered,
                handle,
                Some(fire),
                (&raw const *self.shared).cast(),
                INFINITE,
                WT_EXECUTEONLYONCE,
            )
        };
        if registered == 0 {
            return Err(last_error());
        }
        Ok(())
    }

    /// Ends the wait. Returns whether its packet has been queued nevertheless.
    pub(super) fn end(&mut self) -> bool {
        let registered = std::mem::replace(&mut self.registered, ptr::null_mut());
        if !registered.is_null() {
            // Blocks until a running `fire` has returned, which only posts a packet.
            // SAFETY: registered, and not unregistered before.
            unsafe { UnregisterWaitEx(registered, INVALID_HANDLE_VALUE) };
        }
        self.has_fired()
    }

    /// Whether the packet is about to be queued, or has been.
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

/// Runs on a thread of the system.
///
/// # Safety
///
/// `context` is the [`Shared`] of [`Wait::begin`].
unsafe extern "system" fn fire(context: *mut c_void, _timed_out: bool) {
    // SAFETY: by this function's contract; all other accesses are reads or atomic.
    let shared = unsafe { &*context.cast::<Shared>() };
    // Release: pairs with the load in `has_fired`.
    shared.has_fired.store(true, Release);
    shared.port.post_surely(Subject::Signal, shared.overlapped);
}
