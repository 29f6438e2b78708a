//! What a handler of a signal may ring: one end of a pair of sockets.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::Arc,
};

/// A bell: what rings it by a write of eight bytes, and what is readable when it was rung. Neither
/// ever blocks.
pub(super) fn self_pipe() -> io::Result<(Arc<OwnedFd>, Arc<OwnedFd>)> {
    let (ringing, hearing) = UnixStream::pair()?;
    ringing.set_nonblocking(true)?;
    hearing.set_nonblocking(true)?;
    Ok((
        Arc::new(OwnedFd::from(ringing)),
        Arc::new(OwnedFd::from(hearing)),
    ))
}
