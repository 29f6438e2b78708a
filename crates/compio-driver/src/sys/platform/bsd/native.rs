//! Calls and constants that macOS and the BSDs have, and Linux lacks.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

#[cfg(target_vendor = "apple")]
#[path = "native/apple.rs"]
mod system;
#[cfg(not(target_vendor = "apple"))]
#[path = "native/freebsd.rs"]
mod system;

/// Whether a second connect(2) reports the result of the first one. `soconnectat` of FreeBSD clears the error and
/// begins again.
pub(crate) const SECOND_CONNECT_REPORTS_FIRST: bool = false;

/// No event: recv(2) returns 0 from a socket that receives no more, even if it does not wait.
pub(crate) const RECEIVES_NO_MORE: u32 = 0;

pub use self::system::DIRECT;
pub(crate) use self::system::{
    FIFO_EVENTS_LACK_EOF, RECEIVE, SEND, SENDS_IGNORE_DONTWAIT, accept, direct_attributes,
    has_name, silence_closed_peer, socket, sync_all, sync_data,
};

/// The user and group of the peer of a Unix socket.
pub(super) fn peer_ids(socket: BorrowedFd<'_>) -> io::Result<(libc::uid_t, libc::gid_t)> {
    let (mut uid, mut gid) = (0, 0);
    // SAFETY: both numbers outlive the call.
    if unsafe { libc::getpeereid(socket.as_raw_fd(), &raw mut uid, &raw mut gid) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((uid, gid))
}

/// Seconds since 1970 and nanoseconds of the creation of a file. File systems without it report -1 seconds
/// (`VNOVAL`).
pub(super) fn birth_time(stat: &libc::stat) -> Option<(i64, i64)> {
    (stat.st_birthtime != -1).then_some((stat.st_birthtime, stat.st_birthtime_nsec))
}
