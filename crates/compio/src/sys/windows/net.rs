//! Sockets as Windows has them, and Unix sockets, which std does not have here.

use std::{
    convert::Infallible,
    io,
    os::windows::io::{AsRawSocket, AsSocket, BorrowedSocket, OwnedSocket, RawSocket},
    path::Path,
};

use compio_driver::{AsFd, BorrowedFd, OwnedFd, SockAddr};
use socket2::Domain;

use crate::net::{
    TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream,
    socket::{Adopt, Socket},
};

pub(crate) use windows_sys::Win32::Networking::WinSock::MSG_PEEK;

pub(crate) const MSG_TRUNC: i32 = windows_sys::Win32::Networking::WinSock::MSG_TRUNC as i32;

/// A port of a moment ago can be had again without asking, as std's listeners do. To ask would
/// permit to take one away that is in use.
pub(crate) fn reuse_old_ports(_: &Socket) -> io::Result<()> {
    Ok(())
}

impl AsSocket for Socket {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        match self.as_fd() {
            BorrowedFd::Socket(socket) => socket,
            BorrowedFd::Handle(_) => unreachable!("a socket is made of nothing but sockets"),
        }
    }
}

macro_rules! sockets {
    ($($type:ident),* $(,)?) => {$(
        /// On Windows.
        impl AsSocket for $type {
            fn as_socket(&self) -> BorrowedSocket<'_> {
                self.socket.as_socket()
            }
        }

        /// On Windows.
        impl AsRawSocket for $type {
            fn as_raw_socket(&self) -> RawSocket {
                self.as_socket().as_raw_socket()
            }
        }

        /// On Windows.
        impl TryFrom<OwnedSocket> for $type {
            type Error = io::Error;

            /// Takes the socket over. Whether it is one of this kind is not looked at.
            fn try_from(socket: OwnedSocket) -> io::Result<Self> {
                Self::adopt(OwnedFd::from(socket))
            }
        }

        /// On Windows.
        impl TryFrom<$type> for OwnedSocket {
            type Error = $type;

            /// Fails if there are other handles of it or operations under way.
            fn try_from(socket: $type) -> Result<Self, $type> {
                socket.into_fd().map(Into::into)
            }
        }
    )*};
}

sockets!(
    TcpListener,
    TcpSocket,
    TcpStream,
    UdpSocket,
    UnixDatagram,
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

/// The domain of Unix sockets: none.
pub(crate) fn unix_domain() -> io::Result<Domain> {
    Err(unsupported())
}

fn unsupported() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "there are no Unix sockets on Windows",
    )
}

/// The address of a Unix socket at a path.
pub(crate) fn path_address(_: &Path) -> io::Result<SockAddr> {
    Err(unsupported())
}

/// The address as calls want it.
pub(crate) fn native_address(address: &UnixSocketAddr) -> io::Result<SockAddr> {
    match address.0 {}
}

/// The Unix address of a datagram's sender.
pub(crate) fn sender_address(_: Option<SockAddr>) -> io::Result<UnixSocketAddr> {
    Err(unsupported())
}

/// The Unix address that the kernel wrote.
pub(crate) fn unix_address(_: SockAddr) -> io::Result<UnixSocketAddr> {
    Err(unsupported())
}
