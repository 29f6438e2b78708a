//! Name resolution. Blocks for as long as the resolver takes.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
};

use crate::sys::in_simulation;

/// All addresses of `host:port`, in the resolver's order.
pub fn host_with_port(name: &str) -> io::Result<Vec<SocketAddr>> {
    in_simulation!(resolve_with_port(name));
    name.to_socket_addrs().map(Iterator::collect)
}

/// All addresses of a host, with this port, in the resolver's order.
pub fn host(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    in_simulation!(resolve(host, port));
    (host, port).to_socket_addrs().map(Iterator::collect)
}
