//! Sockets as Windows has them, and Unix sockets, which std does not have here.

use std::{
    convert::Infallible,
    io,
    os::windows::io::{AsSocket, BorrowedSocket},
    path::Path,
};

use compio_driver::{AsFd, BorrowedFd, SockAddr};
use socket2::Domain;

use crate::net::socket::Socket;

impl AsSocket for Socket {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        match self.as_fd() {
            BorrowedFd::Socket(socket) => socket,
            BorrowedFd::Handle(_) => unreachable!("a socket is made of nothing but sockets"),
        }
    }
}

/// The address of a Unix socket: there is none on Windows.
#[derive(Debug, Clone)]
pub struct UnixSocketAddr(Infallible);

impl UnixSocketAddr {
    /// The path that it is bound to.
    pub fn as_pathname(&self) -> Option<&Path> {
        match self.0 {}
    }

    /// Whether it has no name.
    pub fn is_unnamed(&self) -> bool {
        match self.0 {}
    }
}

/// The domain of Unix sockets: none.
pub(crate) fn unix_domain() -> io::Result<Domain> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "there are no Unix sockets on Windows",
    ))
}

/// The Unix address that the kernel wrote.
pub(crate) fn unix_address(_: SockAddr) -> io::Result<UnixSocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}
