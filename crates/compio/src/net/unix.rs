//! Unix domain sockets.

use std::{io, path::Path};

use compio_driver::{
    Acceptor, AsFd, AsRawFd, BorrowedFd, Loan, OwnedFd, RawFd, SockAddr, UCred,
    ancillary::SocketAncillary, peer_credentials,
};
use compio_io::{
    buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut},
    io::{AsyncRead, AsyncWrite},
};
use socket2::Type;

use super::{
    Incoming, OwnedReadHalf, OwnedWriteHalf, ReadHalf, RecvStream, WriteHalf,
    accept_backoff::AcceptBackoff,
    options::options,
    socket::{
        Adopt, BACKLOG, Socket, descriptor, half, read_write, reading_half, settle, stream,
        writing_half,
    },
    split::ShutDown,
};
pub use crate::sys::UnixSocketAddr;
use crate::{
    runtime::{BufferPool, with_driver},
    sys,
};

/// A Unix socket that accepts connections.
///
/// # Platform differences
///
/// Not on Windows: there `bind` fails with [`Unsupported`](io::ErrorKind::Unsupported).
///
/// ```
/// use compio::{
///     io::{AsyncReadExt, AsyncWriteExt},
///     net::{UnixListener, UnixStream},
/// };
///
/// fn main() -> std::io::Result<()> {
/// # if cfg!(windows) {
/// #     return Ok(());
/// # }
///     let dir = tempfile::tempdir()?;
///     let path = dir.path().join("socket");
///     compio::task::block_on(async {
///         let listener = UnixListener::bind(&path)?;
///         let mut client = UnixStream::connect(&path).await?;
///         let (mut server, _) = listener.accept().await?;
///
///         let (result, _) = client.write_all("hello").await;
///         result?;
///         let (result, buffer) = server.read_exact([0; 5]).await;
///         result?;
///         assert_eq!(&buffer, b"hello");
///         Ok(())
///     })
/// }
/// ```
#[derive(Debug)]
pub struct UnixListener {
    pub(crate) socket: Socket,
    pub(crate) acceptor: Acceptor,
    scarcity: AcceptBackoff,
}

impl UnixListener {
    /// Listens at a path, which must not exist. The path stays when the listener is dropped. On
    /// Linux, a path that begins with a NUL is an abstract name.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if the path exists; [`InvalidInput`](io::ErrorKind::InvalidInput) if it is too
    /// long or has a NUL inside; other OS errors of socket(2), bind(2) and listen(2).
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::listen(&sys::path_address(path.as_ref())?)
    }

    /// Listens at an address, which on Linux may be an abstract name.
    ///
    /// # Errors
    ///
    /// The OS error of socket(2), bind(2) or listen(2), for instance `AddrInUse`.
    pub fn bind_addr(address: &UnixSocketAddr) -> io::Result<Self> {
        Self::listen(&sys::native_address(address)?)
    }

    fn listen(address: &SockAddr) -> io::Result<Self> {
        let socket = Socket::new(sys::unix_domain()?, Type::STREAM, None)?;
        socket.options().bind(address)?;
        socket.options().listen(BACKLOG)?;
        Ok(Self::new(socket))
    }

    /// Wraps a listening socket.
    pub(super) fn new(socket: Socket) -> Self {
        Self {
            socket,
            acceptor: Acceptor::new(),
            scarcity: AcceptBackoff::default(),
        }
    }

    /// Accepts a connection, or waits for one.
    ///
    /// # Cancellation
    ///
    /// As for [`TcpListener::accept`](super::TcpListener::accept).
    ///
    /// # Errors
    ///
    /// As for [`TcpListener::accept`](super::TcpListener::accept).
    pub async fn accept(&self) -> io::Result<(UnixStream, UnixSocketAddr)> {
        let (fd, address) = self.accept_socket().await?;
        let socket = fd.into();
        Ok((UnixStream { socket }, sys::unix_address(address)?))
    }

    /// A connection that is not tied to this thread yet, and its peer.
    pub(crate) async fn accept_socket(&self) -> io::Result<(OwnedFd, SockAddr)> {
        self.scarcity.wait().await;
        let accepted = self.socket.accept(&self.acceptor).await;
        self.scarcity.note(&accepted);
        accepted
    }

    /// The connections, one after the other, as
    /// [`TcpListener::incoming`](super::TcpListener::incoming).
    pub fn incoming(&self) -> Incoming<UnixStream> {
        Incoming::new(self.socket.incoming(&self.acceptor), |fd| UnixStream {
            socket: fd.into(),
        })
    }

    /// Its local address.
    ///
    /// # Errors
    ///
    /// The OS error of getsockname(2).
    pub fn local_addr(&self) -> io::Result<UnixSocketAddr> {
        sys::unix_address(self.socket.options().local_addr()?)
    }
}

descriptor!(UnixListener, acceptor, scarcity);
options!(UnixListener);

/// A connection of Unix sockets. See [`net`](crate::net) about cancellation.
///
/// # Platform differences
///
/// Not on Windows: there `connect` fails with [`Unsupported`](io::ErrorKind::Unsupported).
#[derive(Debug)]
pub struct UnixStream {
    pub(crate) socket: Socket,
}

impl UnixStream {
    /// Connects to a listener's path. On Linux, a path that begins with a NUL is an abstract name.
    ///
    /// # Cancellation
    ///
    /// The attempt is cancelled, and a connection that was established is closed.
    ///
    /// # Errors
    ///
    /// `NotFound` if the path does not exist; `ConnectionRefused` if no socket listens there;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the path is too long or has a NUL inside;
    /// other OS errors of connect(2).
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::connect_to(sys::path_address(path.as_ref())?).await
    }

    /// Connects to a listener's address, which on Linux may be an abstract name.
    ///
    /// # Cancellation
    ///
    /// As for [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// The OS error of connect(2), for instance `NotFound` or `ConnectionRefused`.
    pub async fn connect_addr(address: &UnixSocketAddr) -> io::Result<Self> {
        Self::connect_to(sys::native_address(address)?).await
    }

    async fn connect_to(address: SockAddr) -> io::Result<Self> {
        let socket = Socket::new(sys::unix_domain()?, Type::STREAM, None)?;
        socket.connect(address).await?;
        Ok(Self { socket })
    }

    /// Writes several buffers, with descriptors and other ancillary data. The ancillary data is
    /// sent with the first byte: after a short write only bytes are left to be written.
    ///
    /// ```
    /// # #[cfg(unix)]
    /// fn main() -> std::io::Result<()> {
    ///     use std::fs::File;
    ///
    ///     use compio::net::{SocketAncillary, UnixStream};
    ///
    ///     compio::task::block_on(async {
    ///         let (one, other) = UnixStream::pair()?;
    ///         let mut ancillary = SocketAncillary::new();
    ///         ancillary.add_descriptors([File::open("Cargo.toml")?.into()])?;
    ///         let (sent, _) = one.send_msg(["here it is"], ancillary).await;
    ///         assert_eq!(sent?, 10);
    ///
    ///         let room = SocketAncillary::with_capacity(SocketAncillary::space(4));
    ///         let (received, (_, mut ancillary)) = other.recv_msg([[0; 10]], room).await;
    ///         assert_eq!(received?, 10);
    ///         let file = File::from(ancillary.take_descriptors().remove(0));
    ///         assert!(file.metadata()?.is_file());
    ///         Ok(())
    ///     })
    /// }
    /// # #[cfg(windows)]
    /// # fn main() {}
    /// ```
    ///
    /// # Cancellation
    ///
    /// A part may have been written.
    ///
    /// # Errors
    ///
    /// The OS error of send(2), for instance `BrokenPipe` or `ConnectionReset`, with the buffers.
    pub async fn send_msg<V: IoVectoredBuf>(
        &self,
        buffers: V,
        ancillary: SocketAncillary,
    ) -> BufResult<usize, (V, SocketAncillary)> {
        self.socket.send_msg(buffers, ancillary, None).await
    }

    /// Reads into several buffers, with descriptors and other ancillary data, as far as `ancillary`
    /// has room. The previous content of `ancillary` is dropped. Ancillary data that does not fit
    /// is lost, and reported as truncated; descriptors in it are closed. A read never goes beyond
    /// bytes that came with descriptors.
    ///
    /// Other reads lose the ancillary data of their bytes.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: see [`net`](crate::net). Bytes and descriptors that arrive for a dropped
    /// future go to the next `recv_msg`, in the `SocketAncillary` that received them. If another
    /// kind of receive takes the bytes, the descriptors are closed.
    ///
    /// # Errors
    ///
    /// The OS error of recv(2), for instance `ConnectionReset`, with the buffers.
    pub async fn recv_msg<V: IoVectoredBufMut>(
        &self,
        buffers: V,
        ancillary: SocketAncillary,
    ) -> BufResult<usize, (V, SocketAncillary)> {
        let (received, back) = self.socket.recv_msg(buffers, ancillary).await;
        (received.map(|received| received.len), back)
    }

    /// The credentials of the peer process: the process that connected the other end, called
    /// `listen` there, or made the pair.
    ///
    /// ```
    /// # #[cfg(unix)]
    /// fn main() -> std::io::Result<()> {
    ///     use compio::net::UnixStream;
    ///
    ///     let (one, _other) = UnixStream::pair()?;
    ///     println!("the user {}", one.peer_cred()?.uid());
    ///     Ok(())
    /// }
    /// # #[cfg(windows)]
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// The OS error of getsockopt(2) or getpeereid(2); `Unsupported` on Windows.
    pub fn peer_cred(&self) -> io::Result<UCred> {
        peer_credentials(&self.socket)
    }

    /// The local address.
    ///
    /// # Errors
    ///
    /// The OS error of getsockname(2).
    pub fn local_addr(&self) -> io::Result<UnixSocketAddr> {
        sys::unix_address(self.socket.options().local_addr()?)
    }

    /// The address of the peer.
    ///
    /// # Errors
    ///
    /// The OS error of getpeername(2), for instance `NotConnected`.
    pub fn peer_addr(&self) -> io::Result<UnixSocketAddr> {
        sys::unix_address(self.socket.options().peer_addr()?)
    }
}

stream!(UnixStream, UnixSocketAddr);
options!(UnixStream);
