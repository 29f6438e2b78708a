//! The self-pipe of the signal handler: a pair of sockets.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::Arc,
};

/// The writing end, for writes of eight bytes, and the reading end, which becomes readable. Both are
/// non-blocking.
pub(super) fn self_pipe() -> io::Result<(Arc<OwnedFd>, Arc<OwnedFd>)> {
    let (ringing, hearing) = UnixStream::pair()?;
    ringing.set_nonblocking(true)?;
    hearing.set_nonblocking(true)?;
    Ok((
        Arc::new(OwnedFd::from(ringing)),
        Arc::new(OwnedFd::from(hearing)),
    ))
}
