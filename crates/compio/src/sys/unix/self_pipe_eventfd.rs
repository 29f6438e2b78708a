//! What a handler of a signal may ring: an eventfd.

use std::{io, os::fd::OwnedFd, sync::Arc};

use rustix::event::{EventfdFlags, eventfd};

/// A bell: what rings it by a write of eight bytes, and what is readable when it was rung. Neither
/// ever blocks.
pub(super) fn self_pipe() -> io::Result<(Arc<OwnedFd>, Arc<OwnedFd>)> {
    let event = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    Ok((Arc::clone(&event), event))
}
