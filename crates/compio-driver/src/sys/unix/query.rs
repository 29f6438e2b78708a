//! Queries of descriptors, which never block; socket options; results of system calls.

use std::{
    ffi::c_int,
    io, mem,
    os::fd::{AsRawFd, BorrowedFd},
};

use socket2::SockRef;

use super::types::RawFd;
use crate::request::{RawResult, ready};

/// The events of poll(2) that have occurred, `NVAL` for a number that is not open.
///
/// The call can fail, and then the error is the result: epoll reports a ready descriptor again and
/// again, so that "not ready" would cause a busy loop. EINVAL: `RLIMIT_NOFILE` is 0 (Linux 6.18
/// compares the limit with the number of entries). EPERM and others: a seccomp filter refuses the call.
/// ENOMEM.
pub(crate) fn ready_now(fd: RawFd, events: u32) -> RawResult {
    let mut entry = libc::pollfd {
        fd,
        events: events as i16,
        revents: 0,
    };
    loop {
        // SAFETY: one entry, which outlives the call.
        let count = unsafe { libc::poll(&raw mut entry, 1, 0) };
        if count >= 0 {
            return Ok(entry.revents as u16 as u32);
        }
        let code = last_error();
        if code != libc::EINTR {
            return Err(code);
        }
    }
}

/// Whether poll(2) reports the descriptor as writable. An error counts, because the next write reports
/// it.
pub(crate) fn is_writable(fd: RawFd) -> bool {
    ready_now(fd, ready::OUT) != Ok(0)
}

/// The descriptor as a socket, whose calls fail if it is none.
pub(crate) fn as_sock_ref<'a>(fd: &'a BorrowedFd<'_>) -> Option<SockRef<'a>> {
    Some(SockRef::from(fd))
}

/// Sets a numeric option of a socket.
pub(crate) fn set_option(
    socket: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: c_int,
) -> io::Result<()> {
    match set_option_of(socket.as_raw_fd(), level, name, value) {
        Ok(_) => Ok(()),
        Err(code) => Err(io::Error::from_raw_os_error(code)),
    }
}

/// As [`set_option`], by number.
pub(crate) fn set_option_of(socket: RawFd, level: c_int, name: c_int, value: c_int) -> RawResult {
    // SAFETY: the value has the length that is passed, and outlives the call.
    answer(unsafe {
        libc::setsockopt(
            socket,
            level,
            name,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    })
}

/// The argument of listen(2), which the system limits.
pub(crate) fn backlog(count: c_int) -> c_int {
    count
}

/// Nothing: receives of a socket without a peer do not fail because of an earlier send.
pub(crate) fn silence_unreachable(_: BorrowedFd<'_>) {}

/// A numeric option of a socket.
pub(crate) fn get_option(socket: RawFd, level: c_int, name: c_int) -> Result<c_int, i32> {
    let mut value: c_int = 0;
    let mut len = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the value has the length that is passed, and both outlive the call.
    let result =
        unsafe { libc::getsockopt(socket, level, name, (&raw mut value).cast(), &raw mut len) };
    answer(result).map(|_| value)
}

/// Whether a socket is in the state of listen(2). Apple's systems declare the option, but do not implement it
/// (`rustix` leaves it out there): a socket without a peer counts.
pub(crate) fn is_listening(socket: RawFd) -> Result<bool, i32> {
    if cfg!(target_vendor = "apple") {
        return match outcome_of_connect(socket) {
            Ok(_) => Ok(false),
            Err(libc::EINPROGRESS) => Ok(true),
            Err(code) => Err(code),
        };
    }
    let listens = get_option(socket, libc::SOL_SOCKET, libc::SO_ACCEPTCONN)?;
    Ok(listens != 0)
}

/// The result of a connect that is in progress: EINPROGRESS if it still is.
///
/// For systems where a second connect(2) does not report it: FreeBSD and macOS clear the error of the first one,
/// and begin again (`soconnectat`).
pub(crate) fn outcome_of_connect(fd: RawFd) -> RawResult {
    // SAFETY: a plain C struct of numbers.
    let mut address: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let mut len = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the address has the length that is passed, and both outlive the call.
    let peer = answer(unsafe { libc::getpeername(fd, (&raw mut address).cast(), &raw mut len) });
    let Err(code) = peer else {
        return Ok(0);
    };
    // Reading the error clears it.
    match (get_option(fd, libc::SOL_SOCKET, libc::SO_ERROR)?, code) {
        (0, libc::ENOTCONN) => Err(libc::EINPROGRESS),
        (0, code) | (code, _) => Err(code),
    }
}

/// One buffer more than the kernel takes. A transfer of this many fails with EMSGSIZE, or a read or
/// write with EINVAL.
pub(crate) const SLICES_REFUSED: usize = 1025;

/// Whether each transfer is a message: true for sockets that are not streams.
pub(crate) fn has_messages(fd: RawFd) -> bool {
    let kind = get_option(fd, libc::SOL_SOCKET, libc::SO_TYPE);
    kind.is_ok_and(|kind| kind != libc::SOCK_STREAM)
}

pub(crate) fn answer(result: i32) -> RawResult {
    u32::try_from(result).map_err(|_| last_error())
}

pub(super) fn bytes(result: isize) -> RawResult {
    u32::try_from(result).map_err(|_| last_error())
}

pub(crate) fn last_error() -> i32 {
    std::io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO)
}
