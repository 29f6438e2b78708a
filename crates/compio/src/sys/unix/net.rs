//! Unix sockets as std has them.

use std::{
    ffi::OsStr,
    io,
    os::unix::{
        ffi::OsStrExt,
        net::{self, SocketAddr},
    },
    path::Path,
};

use compio_driver::{OwnedFd, SockAddr};
use socket2::{Domain, Socket, Type};

use super::platform::{ABSTRACT_NAMES, abstract_address, abstract_name};
use crate::net::{
    TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream,
    socket::{self, Adopt, std_type},
};

/// The address of a Unix socket: std's on unix.
pub type UnixSocketAddr = SocketAddr;

pub(crate) use libc::MSG_TRUNC;

/// What a call says for which there are no descriptors, or no memory, just now.
pub(crate) const OUT_OF_RESOURCES: [i32; 4] =
    [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];

/// Lets a listener have a port that connections of a moment ago have used.
pub(crate) fn reuse_old_ports(socket: &socket::Socket) -> io::Result<()> {
    socket.options().set_reuse_address(true)
}

/// The domain of Unix sockets.
pub(crate) fn unix_domain() -> io::Result<Domain> {
    Ok(Domain::UNIX)
}

/// The address of a Unix socket at a path. A leading NUL makes it an abstract name, where there are
/// any; inside, there can be none.
pub(crate) fn path_address(path: &Path) -> io::Result<SockAddr> {
    let bytes = path.as_os_str().as_bytes();
    let is_abstract = ABSTRACT_NAMES && bytes.first() == Some(&0);
    if !is_abstract && bytes.contains(&0) {
        let error = "the path of a Unix socket has a NUL inside";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
    }
    SockAddr::unix(path)
}

/// The address as calls want it.
pub(crate) fn native_address(address: &UnixSocketAddr) -> io::Result<SockAddr> {
    match abstract_name(address) {
        Some(name) => {
            let path = [&[0], name].concat();
            SockAddr::unix(OsStr::from_bytes(&path))
        }
        None => SockAddr::unix(address.as_pathname().unwrap_or(Path::new(""))),
    }
}

/// The Unix address of a datagram's sender, who may have none.
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
    /// The system's.
    pub fn reuseport(&self) -> io::Result<bool> {
        self.socket.options().reuse_port()
    }

    /// Chooses whether several sockets of the same user may be bound to the same address, if all of
    /// them have chosen that. Linux then distributes connections among them.
    ///
    /// # Errors
    ///
    /// The system's.
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
    /// The system's.
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
    /// This listener, if there are other handles of it, such as an [`Incoming`](crate::net::Incoming), or operations under
    /// way; or if a connection was accepted for a dropped future and is kept for the next accept.
    /// After a [`settle`](Self::settle) it is known whether one is kept.
    pub fn into_std(self) -> Result<net::UnixListener, Self> {
        self.into_fd().map(Into::into)
    }
}

/// On unix.
impl UnixStream {
    /// Two that are connected to each other.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = Socket::pair(Domain::UNIX, Type::STREAM, None)?;
        let stream = |socket| Self::adopt(OwnedFd::from(socket));
        Ok((stream(one)?, stream(other)?))
    }

    /// Takes over a stream of std's, which may come from another thread. Either mode will do, and stays:
    /// the open file description may have other users.
    ///
    /// # Errors
    ///
    /// The system's, if it is no socket.
    pub fn from_std(stream: net::UnixStream) -> io::Result<Self> {
        Self::adopt(stream.into())
    }

    /// Gives the stream to std, which can take it to another thread.
    ///
    /// Its mode stays: it blocks, unless it was made non-blocking by other means.
    ///
    /// # Errors
    ///
    /// This stream, if there are other handles of it, or operations under way; or if bytes or an error
    /// came for a dropped read and are kept for the next read. After a [`settle`](Self::settle) it is
    /// known whether any are kept.
    pub fn into_std(self) -> Result<net::UnixStream, Self> {
        self.into_fd().map(Into::into)
    }
}

/// On unix.
impl UnixDatagram {
    /// Two that are connected to each other.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = Socket::pair(Domain::UNIX, Type::DGRAM, None)?;
        let datagram = |socket| Self::adopt(OwnedFd::from(socket));
        Ok((datagram(one)?, datagram(other)?))
    }

    /// Takes over a socket of std's, which may come from another thread. Either mode will do, and stays:
    /// the open file description may have other users.
    ///
    /// # Errors
    ///
    /// The system's, if it is no socket.
    pub fn from_std(socket: net::UnixDatagram) -> io::Result<Self> {
        Self::adopt(socket.into())
    }

    /// Gives the socket to std, which can take it to another thread.
    ///
    /// Its mode stays: it blocks, unless it was made non-blocking by other means.
    ///
    /// # Errors
    ///
    /// This socket, if there are operations under way, or if a datagram came for a dropped receive and
    /// is kept for the next receive. After a [`settle`](Self::settle) it is known whether one is kept.
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

            /// Takes the descriptor over. Whether it is a socket of this kind is not looked at.
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
