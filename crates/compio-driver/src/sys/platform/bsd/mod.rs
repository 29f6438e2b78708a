//! Features of macOS and the BSDs that differ from Linux, and stubs of missing ones.

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
    request::{Position, RawResult},
    sys::unix::{answer, last_error},
};

/// The CPUs on which this thread may run, if the system reports them.
pub(crate) fn processors_of_this_thread() -> Option<CpuSet> {
    None
}

/// A socket option prevents the signal for a closed peer: see [`prepare`].
pub(crate) const SEND: c_int = 0;

/// Not every system has a flag for this: see [`close_received_on_exec`].
pub(crate) const RECEIVE: c_int = 0;

/// The permitted flags of a send: those of send(2) that all of these systems have.
pub(crate) const SEND_FLAGS: c_int =
    libc::MSG_DONTROUTE | libc::MSG_DONTWAIT | libc::MSG_EOR | libc::MSG_OOB;

/// The permitted flags of a receive: likewise of recv(2).
pub(crate) const RECEIVE_FLAGS: c_int =
    libc::MSG_DONTWAIT | libc::MSG_OOB | libc::MSG_PEEK | libc::MSG_TRUNC | libc::MSG_WAITALL;

/// The flag that receives errors instead of bytes.
pub(crate) const ERROR_QUEUE: c_int = 0;

/// The flag that opens a path without opening its file.
pub(crate) const PATH_ONLY: c_int = 0;

pub(crate) fn socket(domain: c_int, kind: c_int, protocol: c_int) -> RawResult {
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
) -> RawResult {
    // SAFETY: by this function's contract.
    prepare(unsafe { libc::accept(fd, address, len) })
}

/// Sets the properties that Linux sets at creation: closed on exec, and no signal for a closed peer.
/// Also makes an accepted socket blocking, whatever the mode of its listener.
fn prepare(fd: RawFd) -> RawResult {
    if fd < 0 {
        return Err(last_error());
    }
    let on: c_int = 1;
    // SAFETY: the option's value outlives the call; the descriptor is ours, and is closed if it cannot
    // be prepared.
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

/// The systems have no common call for the content alone.
pub(crate) fn sync_data(fd: RawFd) -> RawResult {
    // SAFETY: no pointers are passed.
    answer(unsafe { libc::fsync(fd) })
}

/// # Safety
///
/// `path` is a C string, `into` is valid for writes.
pub(crate) unsafe fn stat(
    dir: RawFd,
    path: *const c_char,
    follow: bool,
    into: *mut Stat,
) -> RawResult {
    let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    // SAFETY: by this function's contract; `Stat` is a `stat`.
    answer(unsafe { libc::fstatat(dir, path, into.cast(), flags) })
}

/// # Safety
///
/// `into` is valid for writes.
pub(crate) unsafe fn stat_fd(fd: RawFd, into: *mut Stat) -> RawResult {
    // SAFETY: by this function's contract; `Stat` is a `stat`.
    answer(unsafe { libc::fstat(fd, into.cast()) })
}

/// Only Linux has this call.
pub(crate) fn splice(_: RawFd, _: Position, _: RawFd, _: Position, _: u32) -> RawResult {
    Err(libc::EOPNOTSUPP)
}

/// A process that starts between the receive and this call inherits the descriptor nevertheless.
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
