//! Handles and sockets of Windows in the role of unix descriptors; the types that requests point to;
//! each request as a plain, blocking call. The backend is in `sys/iocp`.

pub(crate) mod cmsg;
mod errno;
pub(crate) mod fake;
mod fd;
mod fd_generation;
mod fs;
mod lock;
mod net;
pub(crate) mod nonblocking;
pub(super) mod op;
mod pipe;
mod poll;
mod syscall;
mod thread;

use std::ffi::c_int;

use windows_sys::Win32::{
    Foundation::{ERROR_NO_SYSTEM_RESOURCES, ERROR_OPERATION_ABORTED},
    Networking::WinSock,
    System::Threading::{GetCurrentThread, SetThreadAffinityMask},
};

pub(crate) use errno::last_error;
pub use fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
pub(crate) use fd::{CURRENT_DIR, borrow_as_file, file_from_raw, socket_from_raw};
pub(crate) use fd_generation::{FdGeneration, Held, declare_overlapped, held};
pub use fd_generation::{assume_append_only, assume_overlapped, assume_synchronous};
pub use fs::{NativePath, OpenFlags, PathUnit, Stat};
pub use lock::{try_lock_file, unlock_file};
pub use net::{Message, PeerAddress, RawSlice};
pub(crate) use net::{
    SLICES_REFUSED, as_sock_ref, backlog, has_messages, is_connected, peer_credentials,
    report_unreachable, set_option, set_socket_option, silence_unreachable,
};
pub use pipe::{
    NamedPipeFlags, NamedPipeInfo, create_named_pipe, disconnect_named_pipe, named_pipe_info,
    set_named_pipe_mode,
};
pub(crate) use poll::{poll_connecting, poll_now, ready_now};
pub(crate) use syscall::{
    as_handle, as_socket, call, close, first_span, is_warning, new_socket, part_of_cancelled, relay,
};
pub use thread::start_thread;
pub(crate) use windows_sys::Win32::Networking::WinSock::{
    SD_BOTH as SHUT_RDWR, SD_RECEIVE as SHUT_RD, SD_SEND as SHUT_WR,
};

use crate::{oversubscription::CpuSet, request::RawResult};

/// There is no `fork` here: a process has no copies.
pub(crate) fn process_number() -> usize {
    1
}

/// The number of this thread, if the system has a directory of threads by number.
pub(crate) fn thread_number() -> Option<u32> {
    None
}

/// The CPUs on which this thread may run, if known.
pub(crate) fn processors_of_this_thread() -> Option<CpuSet> {
    None
}

/// Confines this thread to a set of CPUs of its group, which has at most 64.
pub(crate) fn confine_this_thread(processors: &CpuSet) -> RawResult {
    let mask = usize::try_from(processors[0]).unwrap_or(0);
    // SAFETY: no pointers are passed.
    match unsafe { SetThreadAffinityMask(GetCurrentThread(), mask) } {
        0 => Err(last_error()),
        _ => Ok(0),
    }
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
