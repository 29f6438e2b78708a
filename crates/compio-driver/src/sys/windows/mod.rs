//! Handles and sockets of Windows in the role of unix descriptors; the types that requests point to;
//! each request as a plain, blocking call. The backend is in `sys/iocp`.

pub(crate) mod cmsg;
mod errno;
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

pub(crate) use errno::last_error;
pub use fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
pub(crate) use fd::{CURRENT_DIR, borrow_as_file, file_from_raw, socket_from_raw};
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
    as_handle, as_socket, call, close, first_span, is_warning, new_socket, poll_now,
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

/// The CPUs on which this thread may run, if known.
pub(crate) fn processors_of_this_thread() -> Option<CpuSet> {
    None
}

/// The error of a cancelled request.
pub(crate) const ECANCELED: i32 = ERROR_OPERATION_ABORTED as i32;

/// A resource is exhausted, temporarily.
pub(crate) const EAGAIN: i32 = ERROR_NO_SYSTEM_RESOURCES as i32;

/// The buffer ring is empty.
pub(crate) const ENOBUFS: i32 = WinSock::WSAENOBUFS;

/// A message is too long, or has too many buffers.
pub(crate) const EMSGSIZE: i32 = WinSock::WSAEMSGSIZE;

/// Windows has no such flag.
pub(crate) const MSG_DONTWAIT: Option<i32> = None;

/// Flags that a send may have: the list of `WSASend`.
pub(crate) const SEND_FLAGS: c_int =
    WinSock::MSG_DONTROUTE as c_int | WinSock::MSG_OOB as c_int | WinSock::MSG_PARTIAL as c_int;

/// Receives with this flag do not consume the bytes that other receives wait for.
pub(crate) const BESIDE_THE_BYTES: c_int = WinSock::MSG_OOB as c_int;

/// Flags that a receive may have: the list of `WSARecv`, and `MSG_TRUNC`, which has no effect.
pub(crate) const RECEIVE_FLAGS: c_int = WinSock::MSG_OOB as c_int
    | WinSock::MSG_PARTIAL as c_int
    | WinSock::MSG_PEEK as c_int
    | WinSock::MSG_PUSH_IMMEDIATE as c_int
    | WinSock::MSG_WAITALL as c_int
    | MSG_TRUNC;

pub(crate) const MSG_TRUNC: c_int = WinSock::MSG_TRUNC as c_int;

pub(crate) const MSG_CTRUNC: c_int = WinSock::MSG_CTRUNC as c_int;
/// A receive that fills its buffer.
pub(crate) const MSG_WAITALL: c_int = WinSock::MSG_WAITALL;

/// A receive that leaves the data in the socket.
pub(crate) const MSG_PEEK: c_int = WinSock::MSG_PEEK;
