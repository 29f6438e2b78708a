//! Stubs for features that macOS and the BSDs lack: abstract socket names.

use std::{io, os::unix::net::SocketAddr};

/// Only Linux names Unix sockets outside of the file system.
pub(crate) fn abstract_address(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether Unix sockets have names outside of the file system.
pub(crate) const ABSTRACT_NAMES: bool = false;

/// The name outside of the file system, if the address is one.
pub(crate) fn abstract_name(_: &SocketAddr) -> Option<&[u8]> {
    None
}
