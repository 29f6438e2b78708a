//! TCP.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use compio_driver::{Acceptor, AsFd, AsRawFd, BorrowedFd, Loan, OwnedFd, RawFd};
use compio_io::{
    buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut},
    io::{AsyncRead, AsyncWrite},
};
use socket2::{Domain, Protocol, SockAddr, TcpKeepalive, Type};

use super::{
    Incoming, OwnedReadHalf, OwnedWriteHalf, ReadHalf, RecvStream, ToSocketAddrs, WriteHalf,
    accept_backoff::AcceptBackoff,
    address::{Addresses, each, each_of, resolve},
    connector::connect_by_name,
    options::{internet_options, options, tcp_options},
    socket::{
        Adopt, BACKLOG, Socket, descriptor, half, internet, read_write, reading_half, settle,
        std_type, stream, writing_half,
    },
    split::ShutDown,
};
use crate::{
    runtime::{BufferPool, with_driver},
    sys,
};

/// A socket that accepts TCP connections.
///
/// ```
/// use compio::{
///     io::{AsyncReadExt, AsyncWriteExt},
///     net::{TcpListener, TcpStream},
/// };
///
/// fn main() -> std::io::Result<()> {
///     compio::task::block_on(async {
///         let listener = TcpListener::bind("127.0.0.1:0").await?;
///         let mut client = TcpStream::connect(listener.local_addr()?).await?;
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
pub struct TcpListener {
    pub(crate) socket: Socket,
    pub(crate) acceptor: Acceptor,
    scarcity: AcceptBackoff,
}

impl TcpListener {
    /// Listens at the first of the addresses that can be bound. Port 0 lets the OS choose. As with
    /// std, a port that was in use recently can be bound again at once.
    ///
    /// # Cancellation
    ///
    /// Nothing is bound.
    ///
    /// # Errors
    ///
    /// The error of the last attempt, for instance `AddrInUse`;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if there is no address.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        each(&address, async |address| {
            let socket = tcp_socket(address)?;
            sys::reuse_old_ports(&socket)?;
            socket.options().bind(&address.into())?;
            socket.options().listen(BACKLOG)?;
            Ok(Self::new(socket))
        })
        .await
    }

    /// A listener that later ones may join, if the system distributes connections among them.
    ///
    /// The socket is bound without `SO_REUSEPORT`: that fails if the address is in use, even by sockets with the
    /// option. Then the option is set, so that further sockets may join.
    pub(crate) async fn bind_shared(address: impl ToSocketAddrs) -> io::Result<Self> {
        each(&address, async |address| {
            let socket = tcp_socket(address)?;
            sys::reuse_old_ports(&socket)?;
            socket.options().bind(&address.into())?;
            sys::share_address(&socket)?;
            socket.options().listen(BACKLOG)?;
            Ok(Self::new(socket))
        })
        .await
    }

    /// One more listener of an address that is [shared](Self::bind_shared). `None` if the system does not
    /// distribute connections.
    pub(crate) fn listen_again(address: SocketAddr) -> io::Result<Option<Self>> {
        let socket = tcp_socket(address)?;
        if !sys::share_address(&socket)? {
            return Ok(None);
        }
        sys::reuse_old_ports(&socket)?;
        socket.options().bind(&address.into())?;
        socket.options().listen(BACKLOG)?;
        Ok(Some(Self::new(socket)))
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
    /// No connection is lost: if it was accepted for a future that was dropped, as by a `select`,
    /// the next accept returns it. So the number of kept connections is at most the number of
    /// futures that waited at once.
    ///
    /// # Errors
    ///
    /// The OS error of accept(2). Many concern only one connection or the moment (`ECONNABORTED`,
    /// `EMFILE`): a server continues after them. If no descriptor or memory was left for a
    /// connection, it stays in the kernel's queue, and the next accept starts 10 milliseconds
    /// later, so that a server which continues at once does not busy-loop.
    ///
    /// # Platform differences
    ///
    /// If a peer has reset its connection before the accept, this waits for the next one on Windows. Other
    /// systems return the connection, or report it as `ECONNABORTED`.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (fd, address) = self.accept_socket().await?;
        let socket = fd.into();
        let peer = accepted_peer(address, || self.local_addr())?;
        Ok((TcpStream { socket }, peer))
    }

    /// A connection that is not tied to this thread yet, and its peer.
    pub(crate) async fn accept_socket(&self) -> io::Result<(OwnedFd, SockAddr)> {
        self.scarcity.wait().await;
        let accepted = self.socket.accept(&self.acceptor).await;
        self.scarcity.note(&accepted);
        accepted
    }

    /// The connections, one after the other. Where the kernel can accept several with one request,
    /// it does. Unlike [`accept`](Self::accept), it does not return the peer's address: see
    /// [`TcpStream::peer_addr`].
    ///
    /// ```
    /// use compio::{
    ///     io::AsyncWriteExt,
    ///     net::{TcpListener, TcpStream},
    ///     task,
    /// };
    ///
    /// fn main() -> std::io::Result<()> {
    ///     task::block_on(async {
    ///         let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     # let client = TcpStream::connect(listener.local_addr()?).await?;
    ///         let mut incoming = listener.incoming();
    ///         while let Some(stream) = incoming.next().await {
    ///             let mut stream = stream?;
    ///             task::spawn(async move { stream.write_all("hello").await.0 });
    ///         # break;
    ///         }
    ///         Ok(())
    ///     })
    /// }
    /// ```
    pub fn incoming(&self) -> Incoming<TcpStream> {
        Incoming::new(self.socket.incoming(&self.acceptor), |fd| TcpStream {
            socket: fd.into(),
        })
    }

    /// Its local address.
    ///
    /// # Errors
    ///
    /// The OS error of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        internet(self.socket.options().local_addr()?)
    }

    /// Takes over a listener of std, which may come from another thread. It may be in either mode, and
    /// stays in it: the open file description may have other users.
    ///
    /// # Errors
    ///
    /// The OS error, for instance ENOTSOCK if it is no socket.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
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
    /// This listener, if there are other handles of it, such as an [`Incoming`], or operations in
    /// flight; or if a connection was accepted for a dropped future and is kept for the next accept.
    /// [`settle`](Self::settle) returns whether one is kept.
    pub fn into_std(self) -> Result<std::net::TcpListener, Self> {
        self.into_fd().map(Into::into)
    }
}

descriptor!(TcpListener, acceptor, scarcity);
std_type!(TcpListener, std::net::TcpListener);
options!(TcpListener);
internet_options!(TcpListener);

/// A TCP connection. See [`net`](crate::net) about cancellation.
#[derive(Debug)]
pub struct TcpStream {
    pub(crate) socket: Socket,
}

impl TcpStream {
    /// Connects to the first of the addresses that accepts the connection.
    ///
    /// Addresses of a slice are tried in turn. Attempts for the addresses of a host name overlap: see
    /// [`Connector`](super::Connector).
    ///
    /// # Cancellation
    ///
    /// The attempt is cancelled, and a connection that was established is closed.
    ///
    /// # Errors
    ///
    /// The error of the last address, for instance `ConnectionRefused`;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if there is no address.
    pub async fn connect(address: impl ToSocketAddrs) -> io::Result<Self> {
        match resolve(&address).await? {
            Addresses::One(address) => Self::connect_to(address).await,
            Addresses::Several(addresses) => each_of(&addresses, Self::connect_to).await,
            Addresses::OfName(addresses) => connect_by_name(addresses).await,
        }
    }

    pub(super) async fn connect_to(address: SocketAddr) -> io::Result<Self> {
        let socket = tcp_socket(address)?;
        socket.connect(address.into()).await?;
        Ok(Self { socket })
    }

    /// Connects to this address within a time limit.
    ///
    /// # Cancellation
    ///
    /// As for [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut) when the time is up;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if it is zero; otherwise the OS error of
    /// connect(2).
    pub async fn connect_timeout(address: &SocketAddr, timeout: Duration) -> io::Result<Self> {
        if timeout.is_zero() {
            let error = "the connect timeout is zero: pass a longer one";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        }
        match crate::time::timeout(timeout, Self::connect(*address)).await {
            Ok(connected) => connected,
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the connection has timed out",
            )),
        }
    }

    /// Takes over a stream of std, which may come from another thread. It may be in either mode, and
    /// stays in it: the open file description may have other users.
    ///
    /// # Errors
    ///
    /// The OS error, for instance ENOTSOCK if it is no socket.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        Self::adopt(stream.into())
    }

    /// Gives the stream to std, which can take it to another thread.
    ///
    /// Its mode stays: it blocks, unless it was made non-blocking by other means, or has sent on macOS (see
    /// [`net`](crate::net#non-blocking-mode)).
    ///
    /// # Errors
    ///
    /// This stream, if there are other handles of it, or operations in flight; or if bytes or an error
    /// arrived for a dropped read and are kept for the next read. [`settle`](Self::settle) returns
    /// whether any are kept.
    pub fn into_std(self) -> Result<std::net::TcpStream, Self> {
        self.into_fd().map(Into::into)
    }

    /// The local address.
    ///
    /// # Errors
    ///
    /// The OS error of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        internet(self.socket.options().local_addr()?)
    }

    /// The address of the peer.
    ///
    /// # Errors
    ///
    /// The OS error of getpeername(2), for instance `NotConnected`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        internet(self.socket.options().peer_addr()?)
    }
}

stream!(TcpStream, SocketAddr);
std_type!(TcpStream, std::net::TcpStream);
options!(TcpStream);
internet_options!(TcpStream);
tcp_options!(TcpStream);

/// The peer of an accepted connection. macOS reports no address of a peer that has reset the connection already:
/// the unspecified address stands for it.
fn accepted_peer(
    peer: SockAddr,
    local: impl FnOnce() -> io::Result<SocketAddr>,
) -> io::Result<SocketAddr> {
    if peer.len() > 0 {
        return internet(peer);
    }
    let unspecified = match local()? {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    Ok((unspecified, 0).into())
}

pub(super) fn tcp_socket(address: SocketAddr) -> io::Result<Socket> {
    Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )
}

#[cfg(test)]
mod tests {
    use socket2::SockAddrStorage;

    use super::*;

    #[test]
    fn accepted_peer_without_address_is_unspecified() {
        // SAFETY: no address has the length 0.
        let none = || unsafe { SockAddr::new(SockAddrStorage::zeroed(), 0) };
        for (local, expected) in [("127.0.0.1:80", "0.0.0.0:0"), ("[::1]:80", "[::]:0")] {
            let peer = accepted_peer(none(), || Ok(local.parse().unwrap()));
            assert_eq!(peer.unwrap(), expected.parse().unwrap());
        }
        let address: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let peer = accepted_peer(address.into(), || unreachable!());
        assert_eq!(peer.unwrap(), address);
    }
}
