//! Each request as the plain call that it stands for. It may block; whether it may be made on this
//! thread is the caller's decision.
//!
//! Only what takes no buffer is here so far: what the coming backend does by overlapped calls needs
//! no plain one, and what blocks in any case (open, attributes) comes with it.

use windows_sys::Win32::{
    Foundation::{CloseHandle, ERROR_NOT_SUPPORTED, HANDLE},
    Networking::WinSock::{SOCKET, WSAEOPNOTSUPP, closesocket, shutdown},
    Storage::FileSystem::FlushFileBuffers,
};

use super::fd::RawFd;
use crate::request::{Answer, File, Net, Request};

/// Makes the call.
///
/// # Safety
///
/// The request's descriptors and memory are valid until this returns.
pub(crate) unsafe fn call(request: &Request) -> Answer {
    // SAFETY: the request's pointers are valid by this function's contract.
    unsafe {
        match *request {
            Request::Nop => Ok(0),
            Request::File(ref file) => file_call(file),
            Request::Net(ref net) => net_call(net),
            Request::Work(work) => {
                (work.run)(work.data);
                Ok(0)
            }
            Request::Poll(_) => Err(WSAEOPNOTSUPP),
            Request::Pipe(_) | Request::Raw(_) => Err(ERROR_NOT_SUPPORTED as i32),
        }
    }
}

/// # Safety
///
/// As [`call`].
unsafe fn file_call(file: &File) -> Answer {
    // SAFETY: the descriptors are valid by the contract of `call`.
    unsafe {
        match *file {
            // There is no call for the content alone.
            File::Sync { fd, data_only: _ } => done(FlushFileBuffers(as_handle(fd)) != 0),
            File::Close {
                fd: RawFd::Handle(handle),
            } => done(CloseHandle(handle) != 0),
            File::Close {
                fd: RawFd::Socket(socket),
            } => done(closesocket(socket as SOCKET) == 0),
            File::Read { .. }
            | File::Write { .. }
            | File::ReadVectored { .. }
            | File::WriteVectored { .. }
            | File::Open { .. }
            | File::Stat { .. }
            | File::StatFd { .. } => Err(ERROR_NOT_SUPPORTED as i32),
        }
    }
}

/// # Safety
///
/// As [`call`].
unsafe fn net_call(net: &Net) -> Answer {
    match *net {
        // SAFETY: no pointers are passed; the socket is valid by the contract of `call`.
        Net::Shutdown { fd, how } => done(unsafe { shutdown(as_socket(fd), how) } == 0),
        Net::Socket { .. }
        | Net::Connect { .. }
        | Net::Accept { .. }
        | Net::Recv { .. }
        | Net::Send { .. }
        | Net::RecvMsg { .. }
        | Net::SendMsg { .. } => Err(WSAEOPNOTSUPP),
    }
}

/// A socket is a handle for the calls that take both.
fn as_handle(fd: RawFd) -> HANDLE {
    match fd {
        RawFd::Handle(handle) => handle,
        RawFd::Socket(socket) => socket as HANDLE,
    }
}

/// A handle that is no socket is for the system to refuse.
fn as_socket(fd: RawFd) -> SOCKET {
    match fd {
        RawFd::Handle(handle) => handle as SOCKET,
        RawFd::Socket(socket) => socket as SOCKET,
    }
}

fn done(succeeded: bool) -> Answer {
    if succeeded { Ok(0) } else { Err(last_error()) }
}

/// Sockets' errors are found at the same place.
fn last_error() -> i32 {
    std::io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(ERROR_NOT_SUPPORTED as i32)
}
