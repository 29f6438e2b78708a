//! Stubs for features that macOS and the BSDs lack: abstract socket names, and listeners that share an address.

use std::{io, os::unix::net::SocketAddr};

use crate::net::socket::Socket;

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

/// Does nothing: the system does not distribute connections among listeners. False.
pub(crate) fn share_address(_: &Socket) -> io::Result<bool> {
    Ok(false)
}

/// False: see [`share_address`].
pub(crate) fn shares_address(_: &Socket) -> io::Result<bool> {
    Ok(false)
}
