//! FreeBSD, which has Linux's flags for sockets.

use std::ffi::c_int;

use crate::{
    request::{RawFd, RawResult},
    sys::unix::{DirectAttributes, answer},
};

/// The flag that turns the signal for a closed peer into an error.
pub(crate) const SEND: c_int = libc::MSG_NOSIGNAL;

/// The flag that closes received descriptors on exec.
pub(crate) const RECEIVE: c_int = libc::MSG_CMSG_CLOEXEC;

pub(crate) const SENDS_IGNORE_DONTWAIT: bool = false;

/// Whether no event reports that the last writer of a named pipe has closed it.
pub(crate) const FIFO_EVENTS_LACK_EOF: bool = false;

/// Not needed: events report all ends.
pub(crate) fn has_name(_: &libc::stat) -> bool {
    false
}

/// Does nothing: [`SEND`] is a flag of each send.
pub(crate) fn silence_closed_peer(_: RawFd) {}

/// The flag that opens a file for direct I/O.
pub const DIRECT: c_int = libc::O_DIRECT;

/// The system reports no alignment.
pub(crate) fn direct_attributes(_: RawFd) -> Result<DirectAttributes, i32> {
    Ok(DirectAttributes::default())
}

pub(crate) fn socket(domain: c_int, kind: c_int, protocol: c_int) -> RawResult {
    // SAFETY: no pointers are passed.
    answer(unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol) })
}

/// The socket blocks: unlike accept(2), this call does not inherit the mode of the listener.
///
/// # Safety
///
/// `address` has room for `len` bytes.
pub(crate) unsafe fn accept(
    fd: RawFd,
    address: *mut libc::sockaddr,
    len: *mut libc::socklen_t,
) -> RawResult {
    // SAFETY: by this function's contract.
    answer(unsafe { libc::accept4(fd, address, len, libc::SOCK_CLOEXEC) })
}

pub(crate) fn sync_all(fd: RawFd) -> RawResult {
    // SAFETY: no pointers are passed.
    answer(unsafe { libc::fsync(fd) })
}

pub(crate) fn sync_data(fd: RawFd) -> RawResult {
    // SAFETY: no pointers are passed.
    answer(unsafe { libc::fdatasync(fd) })
}
