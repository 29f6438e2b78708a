//! What macOS and the BSDs do not have.

use std::{io, os::unix::net::SocketAddr};

/// Only Linux names Unix sockets outside of the file system.
pub(crate) fn abstract_address(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}
