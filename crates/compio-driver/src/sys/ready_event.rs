//! An event of a selector, and the state of a registration, for the readiness backend.

use std::os::fd::RawFd;

/// An event of a descriptor. It is a hint: the descriptor may have been closed, and its number used
/// again.
pub(crate) struct ReadyEvent {
    pub(crate) fd: RawFd,
    pub(crate) is_readable: bool,
    pub(crate) is_writable: bool,
    /// Whether a short receive no longer means that the socket is empty: the peer has finished, or an
    /// error or an urgent byte has arrived. There may be no other event for it.
    pub(crate) may_hide: bool,
}

/// The registration of a descriptor number at a selector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Registered {
    No,
    /// For one event.
    Once,
    /// For every change.
    Always,
}
