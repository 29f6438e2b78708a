//! Unix sockets, their addresses, and conversions from and to std's types.

use std::{
    ffi::OsStr,
    io,
    os::unix::{
        ffi::OsStrExt,
        net::{self, SocketAddr},
    },
    path::Path,
};

use compio_driver::{
    BorrowedFd, OwnedFd, SockAddr,
    os_calls::{handle, system},
};
use socket2::{Domain, Type};

use super::platform::{ABSTRACT_NAMES, abstract_address, abstract_name};
use crate::net::{
    TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream,
    socket::{self, Adopt, std_type},
};

/// The address of a Unix socket: std's on unix.
pub type UnixSocketAddr = SocketAddr;

pub(crate) use libc::MSG_TRUNC;

/// Errors for exhausted resources: no descriptors or no memory at the moment.
pub(crate) const OUT_OF_RESOURCES: [i32; 4] =
    [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];

/// Whether a poll reports that a connection can be accepted.
pub(crate) const LISTENERS_HAVE_READINESS: bool = true;

/// Lets a listener bind to a port that old connections used (`SO_REUSEADDR`).
pub(crate) fn reuse_old_ports(socket: &socket::Socket) -> io::Result<()> {
    socket.options().set_reuse_address(true)
}

/// A duplicate of a listener, for a child process.
pub(crate) fn duplicate_listener(listener: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    handle::duplicate(listener).map(Some)
}

/// The domain of Unix sockets.
pub(crate) fn unix_domain() -> io::Result<Domain> {
    Ok(Domain::UNIX)
}

/// The address of a Unix socket at a path. A leading NUL makes it an abstract name, on systems that
/// have these. Any other NUL in a path is an error.
pub(crate) fn path_address(path: &Path) -> io::Result<SockAddr> {
    let bytes = path.as_os_str().as_bytes();
    let is_abstract = ABSTRACT_NAMES && bytes.first() == Some(&0);
    if !is_abstract && bytes.contains(&0) {
        let error = "the path of a Unix socket has a NUL inside";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
    }
    SockAddr::unix(path)
}

/// The address as system calls take it.
pub(crate) fn native_address(address: &UnixSocketAddr) -> io::Result<SockAddr> {
    match abstract_name(address) {
        Some(name) => {
            let path = [&[0], name].concat();
            SockAddr::unix(OsStr::from_bytes(&path))
        }
        None => SockAddr::unix(address.as_pathname().unwrap_or(Path::new(""))),
    }
}

/// The Unix address of a datagram's sender, which may be unnamed.
pub(crate) fn sender_address(address: Option<SockAddr>) -> io::Result<UnixSocketAddr> {
    match address {
        Some(address) => unix_address(address),
        None => SocketAddr::from_pathname(""),
    }
}

/// The Unix address that the kernel wrote: a path, an abstract name, or none.
pub(crate) fn unix_address(address: SockAddr) -> io::Result<UnixSocketAddr> {
    if let Some(name) = address.as_abstract_namespace() {
        return abstract_address(name);
    }
    // The empty path makes an unnamed address.
    let path = address.as_pathname().unwrap_or(Path::new(""));
    SocketAddr::from_pathname(path)
}

/// On unix.
impl TcpSocket {
    /// Whether several sockets may be bound to the same address.
    ///
    /// # Errors
    ///
    /// The OS error of getsockopt(2).
    pub fn reuseport(&self) -> io::Result<bool> {
        self.socket.options().reuse_port()
    }

    /// Sets whether several sockets of the same user may be bound to the same address (`SO_REUSEPORT`).
    /// All of them must set it. Linux then distributes connections among them.
    ///
    /// # Errors
    ///
    /// The OS error of setsockopt(2).
    pub fn set_reuseport(&self, reuseport: bool) -> io::Result<()> {
        self.socket.options().set_reuse_port(reuseport)
    }
}

/// On unix.
impl UnixListener {
    /// Takes over a listener of std's, which may come from another thread. Either mode will do, and stays:
    /// the open file description may have other users.
    ///
    /// # Errors
    ///
    /// ENOTSOCK if the descriptor is not a socket.
    pub fn from_std(listener: net::UnixListener) -> io::Result<Self> {
        Self::adopt(listener.into())
    }

    /// Gives the listener to std, which can take it to another thread.
    ///
    /// Its mode stays: it blocks, unless it was made non-blocking by other means, or has accepted on
    /// the readiness backend. There an accept sets `O_NONBLOCK`, since accept(2) has no flag for one
    /// call, and the flag stays for other users of the socket.
    ///
    /// # Errors
    ///
    /// Returns this listener if it has other handles, such as an [`Incoming`](crate::net::Incoming), or
    /// operations in flight; or if a connection was accepted for a dropped future and is kept for the
    /// next accept. [`settle`](Self::settle) determines whether one is kept.
    pub fn into_std(self) -> Result<net::UnixListener, Self> {
        self.into_fd().map(Into::into)
    }
}

/// On unix.
impl UnixStream {
    /// Creates a pair of sockets that are connected to each other.
    ///
    /// # Errors
    ///
    /// The OS error of socketpair(2), for instance EMFILE.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = system::socket_pair(Type::STREAM)?;
        Ok((Self::adopt(one)?, Self::adopt(other)?))
    }

    /// Takes over a stream of std's, which may come from another thread. Either mode will do, and stays:
    /// the open file description may have other users.
    ///
    /// # Errors
    ///
    /// ENOTSOCK if the descriptor is not a socket.
    pub fn from_std(stream: net::UnixStream) -> io::Result<Self> {
        Self::adopt(stream.into())
    }

    /// Gives the stream to std, which can take it to another thread.
    ///
    /// Its mode stays: it blocks, unless it was made non-blocking by other means.
    ///
    /// # Errors
    ///
    /// Returns this stream if it has other handles, or operations in flight; or if bytes or an error
    /// arrived for a dropped read and are kept for the next read. [`settle`](Self::settle) determines
    /// whether any are kept.
    pub fn into_std(self) -> Result<net::UnixStream, Self> {
        self.into_fd().map(Into::into)
    }
}

/// On unix.
impl UnixDatagram {
    /// Creates a pair of sockets that are connected to each other.
    ///
    /// # Errors
    ///
    /// The OS error of socketpair(2), for instance EMFILE.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = system::socket_pair(Type::DGRAM)?;
        Ok((Self::adopt(one)?, Self::adopt(other)?))
    }

    /// Takes over a socket of std's, which may come from another thread. Either mode will do, and stays:
    /// the open file description may have other users.
    ///
    /// # Errors
    ///
    /// ENOTSOCK if the descriptor is not a socket.
    pub fn from_std(socket: net::UnixDatagram) -> io::Result<Self> {
        Self::adopt(socket.into())
    }

    /// Gives the socket to std, which can take it to another thread.
    ///
    /// Its mode stays: it blocks, unless it was made non-blocking by other means.
    ///
    /// # Errors
    ///
    /// Returns this socket if it has operations in flight, or if a datagram arrived for a dropped receive
    /// and is kept for the next receive. [`settle`](Self::settle) determines whether one is kept.
    pub fn into_std(self) -> Result<net::UnixDatagram, Self> {
        self.into_fd().map(Into::into)
    }
}

std_type!(UnixDatagram, net::UnixDatagram);
std_type!(UnixListener, net::UnixListener);
std_type!(UnixStream, net::UnixStream);

/// A descriptor that is taken over keeps the mode that other users have set.
macro_rules! descriptors {
    ($($type:ident),* $(,)?) => {$(
        /// On unix.
        impl TryFrom<OwnedFd> for $type {
            type Error = io::Error;

            /// Takes over the descriptor. Its type of socket is not checked.
            fn try_from(fd: OwnedFd) -> io::Result<Self> {
                Self::adopt(fd)
            }
        }

        /// On unix.
        impl TryFrom<$type> for OwnedFd {
            type Error = $type;

            /// Fails as `into_std` does.
            fn try_from(socket: $type) -> Result<Self, $type> {
                socket.into_fd()
            }
        }
    )*};
}

descriptors!(
    TcpListener,
    TcpSocket,
    TcpStream,
    UdpSocket,
    UnixDatagram,
    UnixListener,
    UnixStream
);
