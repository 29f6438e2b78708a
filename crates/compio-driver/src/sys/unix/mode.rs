//! The blocking mode of open file descriptions, and sends on systems that need it.
//!
//! macOS ignores `MSG_DONTWAIT` in a send: `sosendcheck` of XNU looks at the mode of the socket only. There a
//! socket becomes non-blocking before its first send, and stays so
//! (decision 22 names this exception).

use super::{query::last_error, types::RawFd};
use crate::sys::platform;

/// The file's status flags.
pub(crate) fn mode_of(fd: RawFd) -> Result<i32, i32> {
    // SAFETY: no pointers are passed.
    let mode = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    if mode < 0 {
        return Err(last_error());
    }
    Ok(mode)
}

/// Sets `O_NONBLOCK`, and returns the previous flags.
pub(crate) fn set_nonblocking(fd: RawFd) -> Result<i32, i32> {
    let mode = mode_of(fd)?;
    if mode & libc::O_NONBLOCK == 0 {
        // SAFETY: no pointers are passed.
        let set = unsafe { libc::fcntl(fd, libc::F_SETFL, mode | libc::O_NONBLOCK) };
        if set < 0 {
            return Err(last_error());
        }
    }
    Ok(mode)
}

/// Prepares a socket for a send that must not wait.
pub(crate) fn prepare_to_send(fd: RawFd) -> Result<(), i32> {
    platform::silence_closed_peer(fd);
    if sends_ignore_dontwait() {
        set_nonblocking(fd)?;
    }
    Ok(())
}

#[cfg(any(not(test), loom))]
const fn sends_ignore_dontwait() -> bool {
    platform::SENDS_IGNORE_DONTWAIT
}

#[cfg(all(test, not(loom)))]
pub(crate) use shim::sends_ignore_dontwait;

/// The behaviour of macOS, for tests on other systems.
#[cfg(all(test, not(loom)))]
pub(crate) mod shim {
    use std::cell::Cell;

    use crate::sys::platform;

    thread_local! {
        static IGNORED: Cell<bool> = const { Cell::new(false) };
    }

    /// Runs `code` while sends of this thread ignore `MSG_DONTWAIT`.
    pub(crate) fn without_dontwait<T>(code: impl FnOnce() -> T) -> T {
        IGNORED.set(true);
        let output = code();
        IGNORED.set(false);
        output
    }

    pub(crate) fn sends_ignore_dontwait() -> bool {
        platform::SENDS_IGNORE_DONTWAIT || IGNORED.get()
    }

    /// The flags of a send as the kernel sees them.
    pub(crate) fn flags(flags: i32) -> i32 {
        if IGNORED.get() {
            flags & !libc::MSG_DONTWAIT
        } else {
            flags
        }
    }
}
