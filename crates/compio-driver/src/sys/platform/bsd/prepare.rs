//! The properties of a new socket, where no call sets them at its creation.

use crate::{
    request::{RawFd, RawResult},
    sys::unix::{answer, last_error},
};

/// Sets the properties that Linux sets at creation: closed on exec, and no signal for a closed peer.
/// Also makes an accepted socket blocking, whatever the mode of its listener.
pub(super) fn prepare(fd: RawFd) -> RawResult {
    if fd < 0 {
        return Err(last_error());
    }
    // SAFETY: no pointers are passed; the descriptor is ours, and is closed if it cannot be prepared.
    unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        let prepared = flags >= 0
            && libc::fcntl(fd, libc::F_SETFL, flags & !libc::O_NONBLOCK) >= 0
            && libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) >= 0;
        if !prepared {
            let code = last_error();
            libc::close(fd);
            return Err(code);
        }
    }
    super::native::silence_closed_peer(fd);
    answer(fd)
}
