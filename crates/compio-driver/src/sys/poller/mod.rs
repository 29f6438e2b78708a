//! What tells of descriptors that become ready.
//!
//! On Linux this is epoll by itself, since the backend's speed there rests on two things that the
//! portable interface does not give: whether a peer has finished, and waits of a single system
//! call. Everywhere else it is the `polling` crate.

#[cfg(target_os = "linux")]
pub(super) mod epoll;
#[cfg(not(target_os = "linux"))]
pub(super) mod portable;

use std::os::fd::RawFd;

/// Something that happened to a descriptor. It is a hint: the descriptor may have been closed, and
/// its number be another's.
pub(crate) struct Happening {
    pub(crate) fd: RawFd,
    pub(crate) is_readable: bool,
    pub(crate) is_writable: bool,
    /// Whether more may lie behind a short receive from now on: the peer has finished, an error has
    /// come, or an urgent byte. There may be no other word of it.
    pub(crate) may_hide: bool,
}
