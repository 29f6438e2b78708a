//! Waiting for the client of a named pipe.

use std::{ffi::c_void, io, ptr};

use windows_sys::Win32::{
    Foundation::{ERROR_NO_DATA, ERROR_PIPE_CONNECTED},
    System::Pipes,
};

use crate::{
    fd::{OwnsFd, SharedFd},
    operation::{Operation, Owned},
    request::Request,
    sys::{
        AsRawFd, RawFd,
        iocp::{Begun, RawEntry},
        windows::as_handle,
    },
};

/// Waits until a client has opened this instance of a named pipe.
///
/// It succeeds if the client has connected before, and also if the client has closed its end already:
/// its bytes can be read, and then EOF.
///
/// # Cancellation
///
/// A client that connects before the cancel takes effect stays connected: the next wait finds it.
///
/// # Errors
///
/// The OS error of `ConnectNamedPipe`. Before a wait for the next client, the instance must be
/// [disconnected](super::super::disconnect_named_pipe) from its last one.
#[derive(Debug)]
pub struct ConnectNamedPipe<F = SharedFd> {
    fd: F,
    entry: Option<RawEntry>,
}

impl<F> ConnectNamedPipe<F> {
    /// Waits for a client of `fd`, the server's end.
    pub fn new(fd: F) -> Self {
        Self { fd, entry: None }
    }
}

// SAFETY: the request points to the entry, which lies in the operation and has no data.
unsafe impl<F: AsRawFd + 'static> Operation for ConnectNamedPipe<F> {
    type Output = io::Result<()>;
    describe!(Accept, fd);

    fn request(&mut self) -> Request {
        // SAFETY: `begin` makes one call and reports how it has returned.
        let entry = unsafe { RawEntry::new(self.fd.as_raw_fd(), begin, ptr::null_mut()) };
        Request::Raw(self.entry.insert(entry))
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer.map(drop)
    }
}

// SAFETY: the operation holds an owner of the descriptor.
unsafe impl<F: OwnsFd> Owned for ConnectNamedPipe<F> {}

/// # Safety
///
/// As a [`Begin`](crate::sys::iocp::Begin) is called.
unsafe fn begin(fd: RawFd, overlapped: *mut c_void, _data: *mut ()) -> Begun {
    // SAFETY: the OVERLAPPED stays until the call is over, by this function's contract.
    let connected = unsafe { Pipes::ConnectNamedPipe(as_handle(fd), overlapped.cast()) };
    match Begun::new(connected != 0) {
        Begun::Over(Err(code))
            if code == ERROR_PIPE_CONNECTED as i32 || code == ERROR_NO_DATA as i32 =>
        {
            Begun::Over(Ok(0))
        }
        begun @ (Begun::Success | Begun::Pending | Begun::Over(_)) => begun,
    }
}
