//! Unix domain sockets.

use std::{io, os::unix::net::SocketAddr, path::Path};

use compio_driver::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd, SockAddr};
use compio_io::{
    buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut},
    io::{AsyncRead, AsyncWrite},
};
use socket2::{Domain, Type};

use super::{
    OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf,
    socket::{BACKLOG, Socket, descriptor, stream},
    split::ShutDown,
};
use crate::sys;

/// A Unix socket that accepts connections.
///
/// ```
/// use compio::{
///     io::{AsyncReadExt, AsyncWriteExt},
///     net::{UnixListener, UnixStream},
/// };
///
/// # fn main() -> std::io::Result<()> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("socket");
/// compio::task::block_on(async {
///     let listener = UnixListener::bind(&path)?;
///     let mut client = UnixStream::connect(&path).await?;
///     let (mut server, _) = listener.accept().await?;
///
///     let (result, _) = client.write_all("hello").await;
///     result?;
///     let (result, buffer) = server.read_exact([0; 5]).await;
///     result?;
///     assert_eq!(&buffer, b"hello");
///     # Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct UnixListener {
    socket: Socket,
}

impl UnixListener {
    /// Listens at a path, which must not exist. It stays when the listener is dropped.
    ///
    /// # Errors
    ///
    /// The system's; [`InvalidInput`](io::ErrorKind::InvalidInput) if the path is too long.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.options().bind(&SockAddr::unix(path)?)?;
        socket.options().listen(BACKLOG)?;
        Ok(Self { socket })
    }

    /// Takes a connection, or waits for one.
    ///
    /// # Cancellation
    ///
    /// As for [`TcpListener::accept`](super::TcpListener::accept).
    ///
    /// # Errors
    ///
    /// As for [`TcpListener::accept`](super::TcpListener::accept).
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (socket, address) = self.socket.accept().await?;
        Ok((UnixStream { socket }, local(address)?))
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        local(self.socket.options().local_addr()?)
    }

    /// Takes over a listener of std's, which may come from another thread.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn from_std(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        Socket::adopt(listener.into()).map(|socket| Self { socket })
    }

    /// Gives the listener to std, which can take it to another thread. It blocks.
    ///
    /// # Errors
    ///
    /// This listener, if there are operations under way.
    pub fn into_std(self) -> Result<std::os::unix::net::UnixListener, Self> {
        match self.socket.into_fd() {
            Ok(fd) => Ok(fd.into()),
            Err(socket) => Err(Self { socket }),
        }
    }
}

descriptor!(UnixListener);

/// A connection of Unix sockets. See [`net`](crate::net) about cancellation.
#[derive(Debug)]
pub struct UnixStream {
    socket: Socket,
}

impl UnixStream {
    /// Connects to a listener's path.
    ///
    /// # Cancellation
    ///
    /// The attempt is given up, and a connection that has come about is closed.
    ///
    /// # Errors
    ///
    /// The system's; [`InvalidInput`](io::ErrorKind::InvalidInput) if the path is too long.
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        let address = SockAddr::unix(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.connect(address).await?;
        Ok(Self { socket })
    }

    /// Two that are connected to each other.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = socket2::Socket::pair(Domain::UNIX, Type::STREAM, None)?;
        let stream = |socket| Self {
            socket: OwnedFd::from(socket).into(),
        };
        Ok((stream(one), stream(other)))
    }

    /// This end's address.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        local(self.socket.options().local_addr()?)
    }

    /// The other end's address.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        local(self.socket.options().peer_addr()?)
    }
}

stream!(UnixStream, std::os::unix::net::UnixStream);

/// The Unix address that the kernel wrote: a path, an abstract name, or none.
fn local(address: SockAddr) -> io::Result<SocketAddr> {
    if let Some(name) = address.as_abstract_namespace() {
        return sys::abstract_address(name);
    }
    // The empty path makes an unnamed address.
    let path = address.as_pathname().unwrap_or(Path::new(""));
    SocketAddr::from_pathname(path)
}
