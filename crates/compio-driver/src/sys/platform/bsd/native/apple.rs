//! macOS.

use std::ffi::c_int;

use super::super::prepare::prepare;
use crate::{
    request::{RawFd, RawResult},
    sys::unix::{DirectAttributes, answer, set_option_of},
};

/// No flag: [`silence_closed_peer`] sets an option of the socket.
pub(crate) const SEND: c_int = 0;

/// No flag: `close_received_on_exec` closes received descriptors on exec.
pub(crate) const RECEIVE: c_int = 0;

/// `sosendcheck` of XNU checks the mode of the socket, and only `soreceive` the flag.
pub(crate) const SENDS_IGNORE_DONTWAIT: bool = true;

/// Whether no event reports that the last writer of a named pipe has closed it: `filt_fifo` of XNU.
pub(crate) const FIFO_EVENTS_LACK_EOF: bool = true;

/// Whether a pipe has a name. `pipe_stat` of XNU fills in no number of links for others.
pub(crate) fn has_name(pipe: &libc::stat) -> bool {
    pipe.st_nlink > 0 || pipe.st_ino != 0
}

/// Sends to a closed peer fail, instead of raising a signal.
///
/// `sosetopt` of XNU returns EINVAL for a socket whose peer has gone; other descriptors are no sockets. Neither
/// can make the next send raise the signal, so errors are ignored.
pub(crate) fn silence_closed_peer(fd: RawFd) {
    let _ = set_option_of(fd, libc::SOL_SOCKET, libc::SO_NOSIGPIPE, 1);
}

/// No flag: [`direct_attributes`] makes a call.
pub const DIRECT: c_int = 0;

/// Lets reads and writes bypass the page cache. The system reports no alignment.
pub(crate) fn direct_attributes(fd: RawFd) -> Result<DirectAttributes, i32> {
    // SAFETY: no pointers are passed.
    answer(unsafe { libc::fcntl(fd, libc::F_NOCACHE, 1) })?;
    Ok(DirectAttributes::default())
}

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

/// fsync(2) leaves the data in the cache of the disk: `F_FULLFSYNC` writes it, as std does. File systems
/// without it, as of networks, have fsync(2) alone.
pub(crate) fn sync_all(fd: RawFd) -> RawResult {
    super::super::sync::full_or_plain(
        // SAFETY: no pointers are passed.
        || answer(unsafe { libc::fcntl(fd, libc::F_FULLFSYNC) }),
        // SAFETY: likewise.
        || answer(unsafe { libc::fsync(fd) }),
    )
}

pub(crate) fn sync_data(fd: RawFd) -> RawResult {
    sync_all(fd)
}
