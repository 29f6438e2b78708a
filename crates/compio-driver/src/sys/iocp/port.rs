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

/// What a packet is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// An overlapped call is over.
    Io = 0,
    /// The thread shall wake.
    Wake = 1,
    /// Something that was waited for has been signalled.
    Signal = 2,
}

/// One for each backend. Whoever may post to it shares in its ownership.
#[derive(Debug)]
pub(crate) struct Port(OwnedHandle);

impl Port {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let port = unsafe { CreateIoCompletionPort(INVALID_HANDLE_VALUE, ptr::null_mut(), 0, 1) };
        if port.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: new, and ours.
        Ok(Self(unsafe { OwnedHandle::from_raw_handle(port) }))
    }

    pub(super) fn handle(&self) -> HANDLE {
        self.0.as_raw_handle()
    }

    /// From now on the ends of the handle's overlapped calls come here, for as long as it is open.
    pub(super) fn attach(&self, handle: HANDLE) -> Result<(), i32> {
        // SAFETY: no pointers are passed.
        let attached =
            unsafe { CreateIoCompletionPort(handle, self.handle(), Subject::Io as usize, 0) };
        if attached.is_null() {
            return Err(last_error());
        }
        Ok(())
    }

    /// Queues a packet. Callable from any thread, and never blocking.
    pub(super) fn post(&self, subject: Subject, overlapped: *mut OVERLAPPED) -> Result<(), i32> {
        // SAFETY: the pointer is only handed through.
        let posted =
            unsafe { PostQueuedCompletionStatus(self.handle(), 0, subject as usize, overlapped) };
        if posted == 0 {
            return Err(last_error());
        }
        Ok(())
    }

    /// Queues a packet, for somebody who would wait for ever without it. Where the system is out of
    /// memory there is nobody to tell, and it may have some in a moment.
    pub(super) fn post_surely(&self, subject: Subject, overlapped: *mut OVERLAPPED) {
        while self.post(subject, overlapped).is_err() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Takes packets, and waits for the first of them. Returns how many came.
    pub(super) fn take(
        &self,
        packets: &mut [OVERLAPPED_ENTRY],
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        let mut count = 0;
        // SAFETY: as many packets as there is room for; everything outlives the call.
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

/// Up to the next full one: who waits for a moment is not to be woken before it.
fn to_millis(timeout: Duration) -> u32 {
    let millis = timeout.as_nanos().div_ceil(1_000_000);
    u32::try_from(millis).map_or(INFINITE - 1, |millis| millis.min(INFINITE - 1))
}
