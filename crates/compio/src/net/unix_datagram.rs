//! Datagram sockets of the Unix domain.

use std::{io, net::Shutdown, path::Path};

use compio_driver::{
    AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd, SockAddr, ancillary::SocketAncillary,
};
use compio_io::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};
use socket2::Type;

use super::{
    ReceivedMessage, UnixSocketAddr,
    options::options,
    socket::{Adopt, Socket, descriptor, message, settle},
};
use crate::sys;

/// A Unix datagram socket. Datagrams are not lost or reordered. See [`net`](crate::net) about
/// cancellation; a datagram is received or sent as a whole or not at all.
///
/// # Platform differences
///
/// Not on Windows: there its constructors fail with [`Unsupported`](io::ErrorKind::Unsupported).
///
/// ```
/// # #[cfg(unix)]
/// fn main() -> std::io::Result<()> {
///     use compio::net::UnixDatagram;
///
///     let dir = tempfile::tempdir()?;
///     let path = dir.path().join("socket");
///     compio::task::block_on(async {
///         let server = UnixDatagram::bind(&path)?;
///         let client = UnixDatagram::unbound()?;
///         let (sent, _) = client.send_to("hello", &path).await;
///         assert_eq!(sent?, 5);
///         let (received, buffer) = server.recv_from(Vec::with_capacity(100)).await;
///         let (_, sender) = received?;
///         assert!(sender.is_unnamed());
///         assert_eq!(buffer, b"hello");
///         Ok(())
///     })
/// }
/// # #[cfg(windows)]
/// # fn main() {}
/// ```
#[derive(Debug)]
pub struct UnixDatagram {
    pub(crate) socket: Socket,
}

impl UnixDatagram {
    /// A socket at a path, which must not exist. The path stays when the socket is dropped. On
    /// Linux, a path that begins with a NUL is an abstract name.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if the path exists; [`InvalidInput`](io::ErrorKind::InvalidInput) if it is too
    /// long or has a NUL inside; other OS errors of socket(2) and bind(2).
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::at(&sys::path_address(path.as_ref())?)
    }

    /// A socket at an address, which on Linux may be an abstract name.
    ///
    /// # Errors
    ///
    /// The OS error of socket(2) or bind(2), for instance `AddrInUse`.
    pub fn bind_addr(address: &UnixSocketAddr) -> io::Result<Self> {
        Self::at(&sys::native_address(address)?)
    }

    fn at(address: &SockAddr) -> io::Result<Self> {
        let this = Self::unbound()?;
        this.socket.options().bind(address)?;
        Ok(this)
    }

    /// A socket without an address, so that its peers cannot reply.
    ///
    /// # Errors
    ///
    /// The OS error of socket(2), for instance EMFILE; `Unsupported` on Windows.
    pub fn unbound() -> io::Result<Self> {
        let socket = Socket::new(sys::unix_domain()?, Type::DGRAM, None)?;
        Ok(Self { socket })
    }

    /// Connects it to the socket at a path: [`send`](Self::send) sends there, and only datagrams
    /// from there are received. It never waits.
    ///
    /// # Errors
    ///
    /// `NotFound` if the path does not exist; [`InvalidInput`](io::ErrorKind::InvalidInput) if it
    /// is too long or has a NUL inside; other OS errors of connect(2).
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let address = sys::path_address(path.as_ref())?;
        self.socket.options().connect(&address)
    }

    /// Connects it to the socket at an address, as [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// The OS error of connect(2), for instance `NotFound` or `ConnectionRefused`.
    pub fn connect_addr(&self, address: &UnixSocketAddr) -> io::Result<()> {
        let address = sys::native_address(address)?;
        self.socket.options().connect(&address)
    }

    /// Sends a datagram to the connected peer. Waits while the peer has no room.
    ///
    /// # Cancellation
    ///
    /// The datagram may have been sent or not.
    ///
    /// # Errors
    ///
    /// The OS error of send(2), for instance `ConnectionRefused` or `NotConnected`, with the buffer.
    pub async fn send<B: IoBuf>(&self, buffer: B) -> BufResult<usize, B> {
        self.socket.send(buffer).await
    }

    /// Sends several buffers as one datagram to the connected peer.
    ///
    /// # Cancellation
    ///
    /// The datagram may have been sent or not.
    ///
    /// # Errors
    ///
    /// The OS error of send(2), for instance `ConnectionRefused` or `NotConnected`, with the buffers.
    pub async fn send_vectored<V: IoVectoredBuf>(&self, buffers: V) -> BufResult<usize, V> {
        self.socket.send_vectored(buffers).await
    }

    /// Sends a datagram to the socket at a path. Waits while that socket has no room.
    ///
    /// # Cancellation
    ///
    /// The datagram may have been sent or not.
    ///
    /// # Errors
    ///
    /// The OS error of send(2), for instance `NotFound` or `ConnectionRefused`, with the buffer.
    pub async fn send_to<B: IoBuf>(
        &self,
        buffer: B,
        path: impl AsRef<Path>,
    ) -> BufResult<usize, B> {
        match sys::path_address(path.as_ref()) {
            Ok(address) => self.socket.send_to(buffer, address).await,
            Err(error) => (Err(error), buffer),
        }
    }

    /// Sends a datagram to the socket at an address.
    ///
    /// # Cancellation
    ///
    /// The datagram may have been sent or not.
    ///
    /// # Errors
    ///
    /// The OS error of send(2), for instance `NotFound` or `ConnectionRefused`, with the buffer.
    pub async fn send_to_addr<B: IoBuf>(
        &self,
        buffer: B,
        address: &UnixSocketAddr,
    ) -> BufResult<usize, B> {
        match sys::native_address(address) {
            Ok(address) => self.socket.send_to(buffer, address).await,
            Err(error) => (Err(error), buffer),
        }
    }

    /// Receives a datagram. Bytes beyond the buffer's capacity are lost.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: see [`net`](crate::net).
    ///
    /// # Errors
    ///
    /// The OS error of recv(2), with the buffer.
    pub async fn recv<B: IoBufMut>(&self, buffer: B) -> BufResult<usize, B> {
        self.socket.recv(buffer).await
    }

    /// Receives a datagram into several buffers, one after the other. Bytes beyond their capacity
    /// are lost.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: see [`net`](crate::net).
    ///
    /// # Errors
    ///
    /// The OS error of recv(2), with the buffers.
    pub async fn recv_vectored<V: IoVectoredBufMut>(&self, buffers: V) -> BufResult<usize, V> {
        self.socket.recv_vectored(buffers).await
    }

    /// Receives a datagram, and returns the sender's address.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: see [`net`](crate::net).
    ///
    /// # Errors
    ///
    /// The OS error of recv(2), with the buffer.
    pub async fn recv_from<B: IoBufMut>(&self, buffer: B) -> BufResult<(usize, UnixSocketAddr), B> {
        let (received, buffer) = self.socket.recv_from(buffer).await;
        (received.and_then(from_unix), buffer)
    }

    /// Sends several buffers as one datagram to the connected peer, with descriptors and other
    /// ancillary data.
    ///
    /// # Cancellation
    ///
    /// The datagram may have been sent or not.
    ///
    /// # Errors
    ///
    /// The OS error of send(2), for instance `ConnectionRefused` or `NotConnected`, with the buffers.
    pub async fn send_msg<V: IoVectoredBuf>(
        &self,
        buffers: V,
        ancillary: SocketAncillary,
    ) -> BufResult<usize, (V, SocketAncillary)> {
        self.socket.send_msg(buffers, ancillary, None).await
    }

    /// Sends several buffers as one datagram to the socket at an address, with descriptors and other
    /// ancillary data.
    ///
    /// # Cancellation
    ///
    /// The datagram may have been sent or not.
    ///
    /// # Errors
    ///
    /// The OS error of send(2), for instance `NotFound` or `ConnectionRefused`, with the buffers.
    pub async fn send_msg_to_addr<V: IoVectoredBuf>(
        &self,
        buffers: V,
        ancillary: SocketAncillary,
        address: &UnixSocketAddr,
    ) -> BufResult<usize, (V, SocketAncillary)> {
        match sys::native_address(address) {
            Ok(address) => {
                self.socket
                    .send_msg(buffers, ancillary, Some(address))
                    .await
            }
            Err(error) => (Err(error), (buffers, ancillary)),
        }
    }

    /// Receives a datagram into several buffers, one after the other, with descriptors and other
    /// ancillary data, as far as `ancillary` has room. The previous content of `ancillary` is
    /// dropped. Data that does not fit is lost, and reported as truncated; descriptors in it are
    /// closed.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: see [`net`](crate::net). A datagram and descriptors that arrive for a dropped
    /// future go to the next `recv_msg`, in the `SocketAncillary` that received them. If another kind
    /// of receive takes the datagram, the descriptors are closed.
    ///
    /// # Errors
    ///
    /// The OS error of recv(2), with the buffers.
    pub async fn recv_msg<V: IoVectoredBufMut>(
        &self,
        buffers: V,
        ancillary: SocketAncillary,
    ) -> BufResult<ReceivedMessage<UnixSocketAddr>, (V, SocketAncillary)> {
        let (received, back) = self.socket.recv_msg(buffers, ancillary).await;
        (
            received.and_then(|received| message(received, sys::sender_address)),
            back,
        )
    }

    /// Peeks at the next datagram, or as much of it as fits: the next receive returns it again.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// The OS error of recv(2), with the buffer.
    pub async fn peek<B: IoBufMut>(&self, buffer: B) -> BufResult<usize, B> {
        self.socket.peek(buffer).await
    }

    /// Peeks at the next datagram, or as much of it as fits, and at the sender's address.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// The OS error of recv(2), with the buffer.
    pub async fn peek_from<B: IoBufMut>(&self, buffer: B) -> BufResult<(usize, UnixSocketAddr), B> {
        let (received, buffer) = self.socket.peek_from(buffer).await;
        (received.and_then(from_unix), buffer)
    }

    /// Shuts down one or both directions: this side can then receive no more, or send no more, or
    /// both. Data that was sent before can still be received.
    ///
    /// # Errors
    ///
    /// The OS error of shutdown(2), for instance `NotConnected`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.options().shutdown(how)
    }

    /// Its local address.
    ///
    /// # Errors
    ///
    /// The OS error of getsockname(2).
    pub fn local_addr(&self) -> io::Result<UnixSocketAddr> {
        sys::unix_address(self.socket.options().local_addr()?)
    }

    /// The address of the connected peer.
    ///
    /// # Errors
    ///
    /// `NotConnected` if it is not connected; other OS errors of getpeername(2).
    pub fn peer_addr(&self) -> io::Result<UnixSocketAddr> {
        sys::unix_address(self.socket.options().peer_addr()?)
    }
}

descriptor!(UnixDatagram);
settle!(UnixDatagram, "receive");
options!(UnixDatagram);

fn from_unix((len, sender): (usize, Option<SockAddr>)) -> io::Result<(usize, UnixSocketAddr)> {
    Ok((len, sys::sender_address(sender)?))
}
