//! The self-pipe of the signal handler: an eventfd.

use std::{io, os::fd::OwnedFd, sync::Arc};

use rustix::event::{EventfdFlags, eventfd};

/// The writing end, for writes of eight bytes, and the reading end, which becomes readable. Both are
/// non-blocking; here both are the same eventfd.
pub(super) fn self_pipe() -> io::Result<(Arc<OwnedFd>, Arc<OwnedFd>)> {
    let event = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    Ok((Arc::clone(&event), event))
}
