//! Descriptions of descriptors for people: the addresses of a socket, or the path of a file.

use socket2::{SockAddr, Type};

use super::{file, socket::SocketRef, system};
use crate::sys::{RawFd, in_simulation};

/// The number of a descriptor, as `fd 12`.
pub fn number(fd: RawFd) -> String {
    system::describe_number(fd)
}

/// The value of a descriptor, for traces.
#[cfg(feature = "tracing")]
pub fn value(fd: RawFd) -> u64 {
    system::descriptor_value(fd)
}

/// Describes a descriptor, as `tcp 127.0.0.1:8080 -> 127.0.0.1:51230` or `/var/log/messages`. `None` if the system tells
/// nothing about it.
///
/// # Safety
///
/// The descriptor is open until this returns.
pub unsafe fn describe(fd: RawFd) -> Option<String> {
    // SAFETY: by this function's contract.
    let socket = SocketRef::new(unsafe { system::borrow(fd) });
    match socket.local_addr() {
        Ok(local) => Some(describe_socket(&socket, &local)),
        Err(_) => system::path_of(fd),
    }
}

/// Whether it is a regular file, whose reads and writes wait for no peer.
///
/// # Safety
///
/// The descriptor is open until this returns.
pub unsafe fn is_file(fd: RawFd) -> bool {
    in_simulation!(is_file(fd));
    // SAFETY: by this function's contract.
    let metadata = file::metadata(unsafe { system::borrow(fd) });
    metadata.is_ok_and(|metadata| metadata.is_file())
}

fn describe_socket(socket: &SocketRef<'_>, local: &SockAddr) -> String {
    let is_stream = socket.r#type().is_ok_and(|kind| kind == Type::STREAM);
    let protocol = match (local.is_unix(), is_stream) {
        (true, true) => "unix",
        (true, false) => "unix datagram",
        (false, true) => "tcp",
        (false, false) => "udp",
    };
    let local = describe_address(local);
    match socket.peer_addr() {
        Ok(peer) => format!("{protocol} {local} -> {}", describe_address(&peer)),
        Err(_) => format!("{protocol} {local}"),
    }
}

fn describe_address(address: &SockAddr) -> String {
    if let Some(address) = address.as_socket() {
        return address.to_string();
    }
    system::name_of_address(address).unwrap_or_else(|| "(unnamed)".into())
}
