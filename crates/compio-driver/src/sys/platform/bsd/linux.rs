//! Linux in the place of macOS and the BSDs: see `native.rs`.

use std::{
    ffi::c_int,
    io, mem,
    os::fd::{AsRawFd, BorrowedFd},
};

use super::{prepare::prepare, sync::full_or_plain};
use crate::{
    request::{RawFd, RawResult},
    sys::unix::{DirectAttributes, answer},
};

/// Linux has a flag of each send in the place of the socket option.
pub(crate) const SEND: c_int = libc::MSG_NOSIGNAL;

/// As macOS: received descriptors are closed on exec by a second call.
pub(crate) const RECEIVE: c_int = 0;

/// As macOS, so that the mode of a socket changes at its first send.
pub(crate) const SENDS_IGNORE_DONTWAIT: bool = true;

/// As Linux: the last error of a socket leaves it in another state there than on the BSDs.
pub(crate) const SECOND_CONNECT_REPORTS_FIRST: bool = true;

/// As Linux: the BSDs have no need of it.
pub(crate) const RECEIVES_NO_MORE: u32 = libc::POLLRDHUP as u32;

/// As macOS, so that reads of named pipes are repeated by a timer.
pub(crate) const FIFO_EVENTS_LACK_EOF: bool = true;

/// Whether a pipe has a name: others are on a file system of their own, whose device has the major number 0 and
/// no links to count.
pub(crate) fn has_name(pipe: &libc::stat) -> bool {
    pipe.st_mode & 0o777 != 0o600 || pipe.st_size != 0 || libc::major(pipe.st_dev) != 0
}

/// See [`SEND`].
pub(crate) fn silence_closed_peer(_: RawFd) {}

/// The flag that opens a file for direct I/O.
pub const DIRECT: c_int = libc::O_DIRECT;

/// The system reports no alignment.
pub(crate) fn direct_attributes(_: RawFd) -> Result<DirectAttributes, i32> {
    Ok(DirectAttributes::default())
}

/// As macOS: the properties of a new socket need further calls.
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

/// As macOS on a file system without the full sync.
pub(crate) fn sync_all(fd: RawFd) -> RawResult {
    full_or_plain(
        || Err(libc::ENOTSUP),
        // SAFETY: no pointers are passed.
        || answer(unsafe { libc::fsync(fd) }),
    )
}

pub(crate) fn sync_data(fd: RawFd) -> RawResult {
    sync_all(fd)
}

/// As getpeereid(3) of the BSDs.
pub(super) fn peer_ids(socket: BorrowedFd<'_>) -> io::Result<(libc::uid_t, libc::gid_t)> {
    // SAFETY: a plain C struct of numbers.
    let mut credentials: libc::ucred = unsafe { mem::zeroed() };
    let mut len = size_of_val(&credentials) as libc::socklen_t;
    // SAFETY: the option's value is at most `len` bytes long, and both outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut len,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((credentials.uid, credentials.gid))
}

/// `stat` of Linux does not have it.
pub(super) fn birth_time(_: &libc::stat) -> Option<(i64, i64)> {
    None
}
