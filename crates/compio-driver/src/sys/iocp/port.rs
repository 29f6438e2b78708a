//! A completion port.

use std::{
    io,
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    ptr, thread,
    time::Duration,
};

use windows_sys::Win32::{
    Foundation::{HANDLE, INVALID_HANDLE_VALUE, WAIT_TIMEOUT},
    System::{
        IO::{
            CreateIoCompletionPort, GetQueuedCompletionStatusEx, OVERLAPPED, OVERLAPPED_ENTRY,
            PostQueuedCompletionStatus,
        },
        Threading::INFINITE,
    },
};

use crate::sys::windows::last_error;

/// The cause of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// An overlapped call is over.
    Io = 0,
    /// The thread must wake.
    Wake = 1,
    /// A handle that a [`Wait`](super::wait::Wait) watches has been signalled.
    Signal = 2,
    /// The timer of a short wait has expired.
    Timer = 3,
}

/// The port of a backend. All code that may post to it shares its ownership.
#[derive(Debug)]
pub(crate) struct Port(OwnedHandle);

impl Port {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let port = unsafe { CreateIoCompletionPort(INVALID_HANDLE_VALUE, ptr::null_mut(), 0, 1) };
        if port.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the handle is new, and has no other owner.
        Ok(Self(unsafe { OwnedHandle::from_raw_handle(port) }))
    }

    pub(super) fn handle(&self) -> HANDLE {
        self.0.as_raw_handle()
    }

    /// Attaches a handle: from now on its overlapped calls complete here, for as long as it is open.
    pub(super) fn attach(&self, handle: HANDLE) -> Result<(), i32> {
        // SAFETY: no pointers are passed.
        let attached =
            unsafe { CreateIoCompletionPort(handle, self.handle(), Subject::Io as usize, 0) };
        if attached.is_null() {
            return Err(last_error());
        }
        Ok(())
    }

    /// Queues a packet without blocking. Callable from any thread.
    pub(super) fn post(&self, subject: Subject, overlapped: *mut OVERLAPPED) -> Result<(), i32> {
        // SAFETY: the pointer is only passed through.
        let posted =
            unsafe { PostQueuedCompletionStatus(self.handle(), 0, subject as usize, overlapped) };
        if posted == 0 {
            return Err(last_error());
        }
        Ok(())
    }

    /// Queues a packet without which a thread would never wake. If the system is out of memory, it
    /// retries until the packet is queued: the caller could not handle the error.
    pub(super) fn post_surely(&self, subject: Subject, overlapped: *mut OVERLAPPED) {
        while self.post(subject, overlapped).is_err() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for the first packet, and takes all queued ones that fit. Returns their number.
    pub(super) fn take(
        &self,
        packets: &mut [OVERLAPPED_ENTRY],
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        let mut count = 0;
        // SAFETY: the length is the room's; all pointers outlive the call.
        let taken = unsafe {
            GetQueuedCompletionStatusEx(
                self.handle(),
                packets.as_mut_ptr(),
                packets.len() as u32,
                &mut count,
                timeout.map_or(INFINITE, to_millis),
                0,
            )
        };
        if taken != 0 {
            return Ok(count as usize);
        }
        match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(WAIT_TIMEOUT as i32) => Ok(0),
            error => Err(error),
        }
    }
}

/// Rounds up to a full millisecond: a timer must not fire early.
fn to_millis(timeout: Duration) -> u32 {
    let millis = timeout.as_nanos().div_ceil(1_000_000);
    u32::try_from(millis).map_or(INFINITE - 1, |millis| millis.min(INFINITE - 1))
}
