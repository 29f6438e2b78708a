//! Ending a connection, and keeping its socket.

use std::{ffi::c_void, io, ptr};

use windows_sys::Win32::Networking::WinSock::TF_REUSE_SOCKET;

use crate::{
    fd::{OwnsFd, SharedFd},
    operation::{Operation, Owned},
    request::Request,
    sys::{
        AsRawFd, RawFd,
        iocp::{Begun, RawEntry, extensions},
        windows::as_socket,
    },
};

/// Ends the connection of a socket, so that the same socket can be connected again: it keeps its
/// address, its options and its port.
///
/// It waits for the peer to end the connection, too. The kept address cannot reach the same peer for
/// some minutes (`WSAEADDRINUSE`): TCP waits for late segments.
///
/// # Cancellation
///
/// The connection may have ended or not.
///
/// # Errors
///
/// `WSAENOTCONN` if there is no connection. Other OS errors of `DisconnectEx`.
#[derive(Debug)]
pub struct DisconnectEx<F = SharedFd> {
    fd: F,
    entry: Option<RawEntry>,
}

impl<F> DisconnectEx<F> {
    /// Ends the connection of the socket `fd`.
    pub fn new(fd: F) -> Self {
        Self { fd, entry: None }
    }
}

// SAFETY: the request points to the entry, which lies in the operation and has no data.
unsafe impl<F: AsRawFd + 'static> Operation for DisconnectEx<F> {
    type Output = io::Result<()>;
    describe!(Other, fd);

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
unsafe impl<F: OwnsFd> Owned for DisconnectEx<F> {}

/// # Safety
///
/// As a [`Begin`](crate::sys::iocp::Begin) is called.
unsafe fn begin(fd: RawFd, overlapped: *mut c_void, _data: *mut ()) -> Begun {
    let socket = as_socket(fd);
    let disconnect_ex = match extensions::disconnect_ex(socket) {
        Ok(disconnect_ex) => disconnect_ex,
        Err(code) => return Begun::Over(Err(code)),
    };
    // SAFETY: the OVERLAPPED stays until the call is over, by this function's contract.
    let disconnected = unsafe { disconnect_ex(socket, overlapped.cast(), TF_REUSE_SOCKET, 0) };
    Begun::new(disconnected != 0)
}
