//! What macOS and the BSDs do by other means than Linux, or not at all.

pub(crate) mod cmsg;
pub(crate) mod kinds;
pub(crate) mod nowait;
mod process;
pub(crate) mod splices;
mod stat;

use std::{
    ffi::{c_char, c_int},
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

pub(crate) use self::process::process_number;
pub use self::stat::Stat;
use crate::{
    credentials::UCred,
    oversubscription::CpuSet,
    request::{Answer, Position},
    sys::unix::{answer, last_error},
};

/// Where this thread may run, if that can be told.
pub(crate) fn processors_of_this_thread() -> Option<CpuSet> {
    None
}

/// A socket says once for all that a closed peer is no signal: see [`prepare`].
pub(crate) const SEND: c_int = 0;

/// Not known everywhere: see [`close_received_on_exec`].
pub(crate) const RECEIVE: c_int = 0;

/// What a send may be asked for: of the list of send(2), the flags that all of these systems have.
pub(crate) const SEND_FLAGS: c_int =
    libc::MSG_DONTROUTE | libc::MSG_DONTWAIT | libc::MSG_EOR | libc::MSG_OOB;

/// What a receive may be asked for: likewise of recv(2).
pub(crate) const RECEIVE_FLAGS: c_int =
    libc::MSG_DONTWAIT | libc::MSG_OOB | libc::MSG_PEEK | libc::MSG_TRUNC | libc::MSG_WAITALL;

/// Receives what went wrong, instead of bytes.
pub(crate) const ERROR_QUEUE: c_int = 0;

/// Opens a name, and not the file behind it.
pub(crate) const PATH_ONLY: c_int = 0;

pub(crate) fn socket(domain: c_int, kind: c_int, protocol: c_int) -> Answer {
    // SAFETY: no pointers are passed.
    prepare(unsafe { libc::socket(domain, kind, protocol) })
}

/// # Safety
///
/// `address` has room for `len` bytes.
pub(crate) unsafe fn accept(
    fd: RawFd,
    address: *mut libc::sockaddr,
    len: *mut libc::socklen_t,
) -> Answer {
    // SAFETY: by this function's contract.
    prepare(unsafe { libc::accept(fd, address, len) })
}

/// Makes a new socket what Linux makes at once: closed on exec, and without a signal for a closed
/// peer. An accepted one also is to wait by default, whatever its listener does.
fn prepare(fd: RawFd) -> Answer {
    if fd < 0 {
        return Err(last_error());
    }
    let on: c_int = 1;
    // SAFETY: the option's value outlives the call; the descriptor is ours, and closed if it cannot
    // be made what it should be.
    unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        let prepared = flags >= 0
            && libc::fcntl(fd, libc::F_SETFL, flags & !libc::O_NONBLOCK) >= 0
            && libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) >= 0
            && libc::setsockopt(
                fd,
                libc::SOL_SOCKET,
                libc::SO_NOSIGPIPE,
                (&raw const on).cast(),
                size_of_val(&on) as libc::socklen_t,
            ) >= 0;
        if !prepared {
            let code = last_error();
            libc::close(fd);
            return Err(code);
        }
    }
    answer(fd)
}

/// There is no call for the content alone that all of them have.
pub(crate) fn sync_data(fd: RawFd) -> Answer {
    // SAFETY: no pointers are passed.
    answer(unsafe { libc::fsync(fd) })
}

/// # Safety
///
/// `path` is a C string, `into` a place for the attributes.
pub(crate) unsafe fn stat(
    dir: RawFd,
    path: *const c_char,
    follow: bool,
    into: *mut Stat,
) -> Answer {
    let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    // SAFETY: by this function's contract; `Stat` is a `stat`.
    answer(unsafe { libc::fstatat(dir, path, into.cast(), flags) })
}

/// # Safety
///
/// `into` is a place for the attributes.
pub(crate) unsafe fn stat_fd(fd: RawFd, into: *mut Stat) -> Answer {
    // SAFETY: by this function's contract; `Stat` is a `stat`.
    answer(unsafe { libc::fstat(fd, into.cast()) })
}

/// Only Linux has it.
pub(crate) fn splice(_: RawFd, _: Position, _: RawFd, _: Position, _: u32) -> Answer {
    Err(libc::EOPNOTSUPP)
}

/// A process that is begun between the receive and this gets the descriptor all the same.
pub(crate) fn close_received_on_exec(fd: &OwnedFd) {
    // SAFETY: no pointers are passed.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
}

pub(crate) fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<UCred> {
    let (mut uid, mut gid) = (0, 0);
    // SAFETY: both numbers outlive the call.
    if unsafe { libc::getpeereid(socket.as_raw_fd(), &raw mut uid, &raw mut gid) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(UCred {
        uid,
        gid,
        pid: None,
    })
}
