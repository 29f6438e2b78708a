//! Sockets on Windows, and stubs for Unix sockets, which are not supported there.

use std::{
    convert::Infallible,
    io,
    os::windows::io::{AsRawSocket, AsSocket, BorrowedSocket, OwnedSocket, RawSocket},
    path::Path,
};

use compio_driver::{AsFd, BorrowedFd, OwnedFd, SockAddr};
use socket2::Domain;
use windows_sys::Win32::Networking::WinSock::{WSAEMFILE, WSAENOBUFS};

use crate::net::{
    TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream,
    socket::{Adopt, Socket},
};

pub(crate) const MSG_TRUNC: i32 = windows_sys::Win32::Networking::WinSock::MSG_TRUNC as i32;

/// Errors for exhausted resources: no sockets or no memory at the moment.
pub(crate) const OUT_OF_RESOURCES: [i32; 2] = [WSAEMFILE, WSAENOBUFS];

/// Conversions from and to std's types of sockets.
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

        impl TryFrom<OwnedSocket> for $type {
            type Error = io::Error;

            /// Takes over the socket, which must have been made with `WSA_FLAG_OVERLAPPED`: see
            /// [`net`](crate::net#platform-differences). Its type of socket is not checked.
            fn try_from(socket: OwnedSocket) -> io::Result<Self> {
                Self::adopt(OwnedFd::from(socket))
            }
        }

        impl TryFrom<$type> for OwnedSocket {
            type Error = $type;

            /// Fails if the socket has other handles or operations in flight, or if bytes arrived
            /// for a dropped receive and are kept for the next receive.
            fn try_from(socket: $type) -> Result<Self, $type> {
                socket.into_fd().map(Into::into)
            }
        }
    )*};
}

sockets!(
    Socket,
    TcpListener,
    TcpSocket,
    TcpStream,
    UdpSocket,
    UnixDatagram,
    UnixListener,
    UnixStream
);

/// The address of a Unix socket. No value exists on Windows: Unix sockets are not supported there.
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

/// Does nothing: Windows lets a listener bind to such a port in any case, and `SO_REUSEADDR` would let it
/// bind to a port in use.
pub(crate) fn reuse_old_ports(_: &Socket) -> io::Result<()> {
    Ok(())
}

/// Whether a poll reports that a connection can be accepted: not by overlapped calls, which receive.
pub(crate) const LISTENERS_HAVE_READINESS: bool = false;

/// The domain of Unix sockets: none.
pub(crate) fn unix_domain() -> io::Result<Domain> {
    Err(unsupported())
}

fn unsupported() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "Unix sockets are not supported on Windows: use a named pipe (`net::windows`), \
         or TCP on the loopback",
    )
}

/// The address of a Unix socket at a path.
pub(crate) fn path_address(_: &Path) -> io::Result<SockAddr> {
    Err(unsupported())
}

/// The address as system calls take it.
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

/// Does nothing: the system does not distribute connections among listeners. False.
pub(crate) fn share_address(_: &Socket) -> io::Result<bool> {
    Ok(false)
}

/// None: a child process inherits no listeners by their numbers.
pub(crate) fn duplicate_listener(_: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    Ok(None)
}

/// False: see [`share_address`].
pub(crate) fn shares_address(_: &Socket) -> io::Result<bool> {
    Ok(false)
}
