//! Datagrams of Unix sockets.

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

/// A Unix socket of datagrams, which neither get lost nor change their order. See
/// [`net`](crate::net) about cancellation; a datagram is received or sent as a whole or not at all.
///
/// # Platform differences
///
/// Not on Windows: to make one there is [`Unsupported`](io::ErrorKind::Unsupported).
///
/// ```
/// # #[cfg(unix)]
/// # fn main() -> std::io::Result<()> {
/// use compio::net::UnixDatagram;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("socket");
/// compio::task::block_on(async {
///     let server = UnixDatagram::bind(&path)?;
///     let client = UnixDatagram::unbound()?;
///     let (sent, _) = client.send_to("hello", &path).await;
///     assert_eq!(sent?, 5);
///     let (received, buffer) = server.recv_from(Vec::with_capacity(100)).await;
///     let (_, sender) = received?;
///     assert!(sender.is_unnamed());
///     assert_eq!(buffer, b"hello");
///     # Ok(())
/// })
/// # }
/// # #[cfg(windows)]
/// # fn main() {}
/// ```
#[derive(Debug)]
pub struct UnixDatagram {
    pub(crate) socket: Socket,
}

impl UnixDatagram {
    /// A socket at a path, which must not exist. It stays when the socket is dropped. On Linux, one
    /// that begins with a NUL is an abstract name.
    ///
    /// # Errors
    ///
    /// The system's; [`InvalidInput`](io::ErrorKind::InvalidInput) if the path is too long or has a
    /// NUL inside.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::at(&sys::path_address(path.as_ref())?)
    }

    /// A socket at an address, which on Linux may be an abstract name.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn bind_addr(address: &UnixSocketAddr) -> io::Result<Self> {
        Self::at(&sys::native_address(address)?)
    }

    fn at(address: &SockAddr) -> io::Result<Self> {
        let this = Self::unbound()?;
        this.socket.options().bind(address)?;
        Ok(this)
    }

    /// A socket without an address: nobody can answer it.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn unbound() -> io::Result<Self> {
        let socket = Socket::new(sys::unix_domain()?, Type::DGRAM, None)?;
        Ok(Self { socket })
    }

    /// Connects it to the socket at a path: [`send`](Self::send) goes there, and it hears that only.
    /// It never waits.
    ///
    /// # Errors
    ///
    /// The system's; [`InvalidInput`](io::ErrorKind::InvalidInput) if the path is too long or has a
    /// NUL inside.
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let address = sys::path_address(path.as_ref())?;
        self.socket.options().connect(&address)
    }

    /// Connects it to the socket at an address, as [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn connect_addr(&self, address: &UnixSocketAddr) -> io::Result<()> {
        let address = sys::native_address(address)?;
        self.socket.options().connect(&address)
    }

    /// Sends a datagram to the connected peer. Waits while it has no room.
    ///
    /// # Cancellation
    ///
    /// The datagram may have been sent or not.
    ///
    /// # Errors
    ///
    /// The system's, with the buffer.
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
    /// The system's, with the buffers.
    pub async fn send_vectored<V: IoVectoredBuf>(&self, buffers: V) -> BufResult<usize, V> {
        self.socket.send_vectored(buffers).await
    }

    /// Sends a datagram to the socket at a path. Waits while that has no room.
    ///
    /// # Cancellation
    ///
    /// The datagram may have been sent or not.
    ///
    /// # Errors
    ///
    /// The system's, with the buffer.
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
    /// The system's, with the buffer.
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

    /// Receives a datagram. What does not fit into the buffer's capacity is lost.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: see [`net`](crate::net).
    ///
    /// # Errors
    ///
    /// The system's, with the buffer.
    pub async fn recv<B: IoBufMut>(&self, buffer: B) -> BufResult<usize, B> {
        self.socket.recv(buffer).await
    }

    /// Receives a datagram into several buffers, one after the other. What does not fit is lost.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: see [`net`](crate::net).
    ///
    /// # Errors
    ///
    /// The system's, with the buffers.
    pub async fn recv_vectored<V: IoVectoredBufMut>(&self, buffers: V) -> BufResult<usize, V> {
        self.socket.recv_vectored(buffers).await
    }

    /// Receives a datagram, and says who sent it.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: see [`net`](crate::net).
    ///
    /// # Errors
    ///
    /// The system's, with the buffer.
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
    /// The system's, with the buffers.
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
    /// The system's, with the buffers.
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
    /// ancillary data, for which `ancillary` has the room. What was in it is dropped. What does not
    /// fit is lost, and said to be; descriptors among it are closed.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: see [`net`](crate::net). A datagram and descriptors that come all the same are
    /// those of the next `recv_msg`, in the `SocketAncillary` that they came into. If something else
    /// receives the datagram, the descriptors are closed.
    ///
    /// # Errors
    ///
    /// The system's, with the buffers.
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

    /// Looks at the next datagram, or as much of it as fits: the next receive gets the same.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// The system's, with the buffer.
    pub async fn peek<B: IoBufMut>(&self, buffer: B) -> BufResult<usize, B> {
        self.socket.peek(buffer).await
    }

    /// Looks at the next datagram, or as much of it as fits, and at who sent it.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// The system's, with the buffer.
    pub async fn peek_from<B: IoBufMut>(&self, buffer: B) -> BufResult<(usize, UnixSocketAddr), B> {
        let (received, buffer) = self.socket.peek_from(buffer).await;
        (received.and_then(from_unix), buffer)
    }

    /// Ends one or both directions: the peer can send no more, or this side. What was sent before can
    /// still be received.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.options().shutdown(how)
    }

    /// Where it is bound.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<UnixSocketAddr> {
        sys::unix_address(self.socket.options().local_addr()?)
    }

    /// The peer that it is connected to.
    ///
    /// # Errors
    ///
    /// The system's, if it is not connected.
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
