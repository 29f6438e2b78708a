//! Sockets as Windows has them, and Unix sockets, which std does not have here.

use std::{
    convert::Infallible,
    io,
    os::windows::io::{AsRawSocket, AsSocket, BorrowedSocket, RawSocket},
    path::Path,
};

use compio_driver::{AsFd, SockAddr};
use socket2::Domain;

use crate::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream, socket::Socket};

/// Sockets by std's names.
macro_rules! sockets {
    ($($type:ty),* $(,)?) => {$(
        impl AsSocket for $type {
            fn as_socket(&self) -> BorrowedSocket<'_> {
                self.as_fd().into()
            }
        }

        impl AsRawSocket for $type {
            fn as_raw_socket(&self) -> RawSocket {
                self.as_socket().as_raw_socket()
            }
        }
    )*};
}

sockets!(
    Socket,
    TcpListener,
    TcpStream,
    UdpSocket,
    UnixListener,
    UnixStream
);

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

/// Nothing: a listener may have such a port here in any case, and the option of that name would let
/// it have one that is in use.
pub(crate) fn reuse_old_ports(_: &Socket) -> io::Result<()> {
    Ok(())
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
