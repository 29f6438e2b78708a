//! Unix sockets that are neither listener, stream nor datagram socket yet.

use std::{io, path::Path};

use compio_driver::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use socket2::Type;

use super::{
    UnixDatagram, UnixListener, UnixSocketAddr, UnixStream,
    options::options,
    socket::{Adopt, Socket, descriptor},
};
use crate::sys;

/// A Unix socket that is neither a [`UnixListener`], a [`UnixStream`] nor a [`UnixDatagram`] yet: to
/// set options before, to bind the address of a client, or to choose the backlog of a listener.
///
/// # Platform differences
///
/// Not on Windows: there its constructors fail with [`Unsupported`](io::ErrorKind::Unsupported).
///
/// ```
/// use compio::net::UnixSocket;
///
/// # #[cfg(unix)]
/// fn main() -> std::io::Result<()> {
///     let dir = tempfile::tempdir()?;
///     let (path, own_path) = (dir.path().join("socket"), dir.path().join("client"));
///     compio::task::block_on(async {
///         let server = UnixSocket::new_stream()?;
///         server.bind(&path)?;
///         let listener = server.listen(16)?;
///
///         let client = UnixSocket::new_stream()?;
///         client.bind(&own_path)?;
///         let _stream = client.connect(&path).await?;
///         let (_, address) = listener.accept().await?;
///         assert_eq!(address.as_pathname(), Some(&*own_path));
///         Ok(())
///     })
/// }
/// # #[cfg(windows)]
/// # fn main() {}
/// ```
#[derive(Debug)]
pub struct UnixSocket {
    pub(crate) socket: Socket,
}

impl UnixSocket {
    /// A socket for [`listen`](Self::listen) or [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// The OS error of socket(2), for instance EMFILE; `Unsupported` on Windows.
    pub fn new_stream() -> io::Result<Self> {
        Self::new(Type::STREAM)
    }

    /// A socket for [`datagram`](Self::datagram).
    ///
    /// # Errors
    ///
    /// The OS error of socket(2), for instance EMFILE; `Unsupported` on Windows.
    pub fn new_datagram() -> io::Result<Self> {
        Self::new(Type::DGRAM)
    }

    fn new(kind: Type) -> io::Result<Self> {
        let socket = Socket::new(sys::unix_domain()?, kind, None)?;
        Ok(Self { socket })
    }

    /// Binds it to a path, which must not exist. The path stays when the socket is dropped. On Linux, a
    /// path that begins with a NUL is an abstract name.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if the path exists; [`InvalidInput`](io::ErrorKind::InvalidInput) if it is too
    /// long or has a NUL inside; other OS errors of bind(2).
    pub fn bind(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.socket
            .options()
            .bind(&sys::path_address(path.as_ref())?)
    }

    /// Binds it to an address, which on Linux may be an abstract name.
    ///
    /// # Errors
    ///
    /// The OS error of bind(2), for instance `AddrInUse`.
    pub fn bind_addr(&self, address: &UnixSocketAddr) -> io::Result<()> {
        self.socket.options().bind(&sys::native_address(address)?)
    }

    /// Its local address.
    ///
    /// # Errors
    ///
    /// The OS error of getsockname(2).
    pub fn local_addr(&self) -> io::Result<UnixSocketAddr> {
        sys::unix_address(self.socket.options().local_addr()?)
    }

    /// Listens. Up to `backlog` connections can wait to be accepted, within the limit of the OS.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a datagram socket; the OS error of listen(2), for
    /// instance `InvalidInput` if it is not bound.
    pub fn listen(self, backlog: u32) -> io::Result<UnixListener> {
        self.expect(
            Type::STREAM,
            "a datagram socket cannot listen: use `datagram`",
        )?;
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        self.socket.options().listen(backlog)?;
        Ok(UnixListener::new(self.socket))
    }

    /// Connects to a listener's path.
    ///
    /// # Cancellation
    ///
    /// The attempt is cancelled, and a connection that was established is closed.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a datagram socket; otherwise as
    /// [`UnixStream::connect`].
    pub async fn connect(self, path: impl AsRef<Path>) -> io::Result<UnixStream> {
        self.connect_to(sys::path_address(path.as_ref())?).await
    }

    /// Connects to a listener's address, which on Linux may be an abstract name.
    ///
    /// # Cancellation
    ///
    /// As for [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// As for [`connect`](Self::connect).
    pub async fn connect_addr(self, address: &UnixSocketAddr) -> io::Result<UnixStream> {
        self.connect_to(sys::native_address(address)?).await
    }

    async fn connect_to(self, address: compio_driver::SockAddr) -> io::Result<UnixStream> {
        let error = "a datagram socket has no stream: use `datagram`, and connect it";
        self.expect(Type::STREAM, error)?;
        self.socket.connect(address).await?;
        Ok(UnixStream {
            socket: self.socket,
        })
    }

    /// Makes it a datagram socket, which may be bound.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a stream socket.
    pub fn datagram(self) -> io::Result<UnixDatagram> {
        self.expect(Type::DGRAM, "a stream socket has no datagrams")?;
        Ok(UnixDatagram {
            socket: self.socket,
        })
    }

    fn expect(&self, kind: Type, error: &str) -> io::Result<()> {
        if self.socket.options().r#type()? == kind {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, error))
        }
    }
}

descriptor!(UnixSocket);
options!(UnixSocket);
