//! What Windows has in the place of unix's descriptors, and the types that requests point at; and
//! each request as the plain, blocking call that it stands for. The backend is not here.

pub(crate) mod cmsg;
mod fd;
mod fd_generation;
mod fs;
mod lock;
mod net;
pub(super) mod op;
mod pipe;
mod syscall;
mod thread;

use std::ffi::c_int;

use windows_sys::Win32::{
    Foundation::{ERROR_NO_SYSTEM_RESOURCES, ERROR_OPERATION_ABORTED},
    Networking::WinSock,
};

pub use fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
pub(crate) use fd::{CURRENT_DIR, borrow_as_file, own_file, own_socket};
pub use fd_generation::assume_overlapped;
pub(crate) use fd_generation::{FdGeneration, held};
pub use fs::{NativePath, OpenFlags, PathUnit, Stat};
pub use lock::{try_lock_file, unlock_file};
pub use net::{Message, PeerAddress, RawSlice};
pub(crate) use net::{SLICES_REFUSED, as_sock_ref, has_messages, peer_credentials, set_option};
pub use pipe::{
    NamedPipeFlags, NamedPipeInfo, create_named_pipe, disconnect_named_pipe, named_pipe_info,
    set_named_pipe_mode,
};
pub(crate) use syscall::{
    again, as_handle, as_socket, call, close, first_span, is_warning, last_error, new_socket,
    poll_now, repeat,
};
pub use thread::start_thread;
pub(crate) use windows_sys::Win32::Networking::WinSock::{
    SD_BOTH as SHUT_RDWR, SD_RECEIVE as SHUT_RD, SD_SEND as SHUT_WR,
};

use crate::oversubscription::CpuSet;

/// There is no `fork` here: a process has no copies.
pub(crate) fn process_number() -> usize {
    1
}

/// Where this thread may run, if that can be told.
pub(crate) fn processors_of_this_thread() -> Option<CpuSet> {
    None
}

/// What a request is answered with that was given up.
pub(crate) const ECANCELED: i32 = ERROR_OPERATION_ABORTED as i32;

/// There is not enough of something, for now.
pub(crate) const EAGAIN: i32 = ERROR_NO_SYSTEM_RESOURCES as i32;

/// The kernel has no buffers left to choose from.
pub(crate) const ENOBUFS: i32 = WinSock::WSAENOBUFS;

/// There is no such flag.
pub(crate) const MSG_DONTWAIT: Option<i32> = None;

/// What a send may be asked for: the list of `WSASend`.
pub(crate) const SEND_FLAGS: c_int =
    WinSock::MSG_DONTROUTE as c_int | WinSock::MSG_OOB as c_int | WinSock::MSG_PARTIAL as c_int;

/// What a receive may be asked for: the list of `WSARecv`, and the flag that has no effect.
pub(crate) const RECEIVE_FLAGS: c_int = WinSock::MSG_OOB as c_int
    | WinSock::MSG_PARTIAL as c_int
    | WinSock::MSG_PEEK as c_int
    | WinSock::MSG_PUSH_IMMEDIATE as c_int
    | WinSock::MSG_WAITALL as c_int
    | MSG_TRUNC;

pub(crate) const MSG_TRUNC: c_int = WinSock::MSG_TRUNC as c_int;

pub(crate) const MSG_CTRUNC: c_int = WinSock::MSG_CTRUNC as c_int;
/// A receive that is to fill its buffer.
pub(crate) const MSG_WAITALL: c_int = WinSock::MSG_WAITALL;

/// A receive that does not take.
pub(crate) const MSG_PEEK: c_int = WinSock::MSG_PEEK;
