//! Queries of descriptors, which never block; socket options; results of system calls.

use std::{
    ffi::c_int,
    io,
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
    // SAFETY: the value has the length that is passed, and outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// A numeric option of a socket.
pub(crate) fn get_option(socket: RawFd, level: c_int, name: c_int) -> Result<c_int, i32> {
    let mut value: c_int = 0;
    let mut len = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the value has the length that is passed, and both outlive the call.
    let result =
        unsafe { libc::getsockopt(socket, level, name, (&raw mut value).cast(), &raw mut len) };
    answer(result).map(|_| value)
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
