//! What only Linux has.

use std::{
    io,
    os::{linux::net::SocketAddrExt, unix::net::SocketAddr},
};

/// The address of a Unix socket that has a name outside of the file system.
pub(crate) fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(name)
}
