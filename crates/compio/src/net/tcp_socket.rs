//! TCP sockets that are neither listener nor stream yet.

use std::{io, net::SocketAddr, time::Duration};

use compio_driver::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use socket2::{Domain, Protocol, TcpKeepalive, Type};

use super::{
    TcpListener, TcpStream,
    options::{internet_options, options, service_options, tcp_options},
    socket::{Adopt, Socket, descriptor, internet},
};

/// A TCP socket that is neither a [`TcpListener`] nor a [`TcpStream`] yet, for options that must be
/// set before it becomes one.
///
/// ```
/// use compio::net::TcpSocket;
///
/// fn main() -> std::io::Result<()> {
///     compio::task::block_on(async {
///         let server = TcpSocket::new_v4()?;
///         server.set_recv_buffer_size(64 * 1024)?;
///         server.bind("127.0.0.1:0".parse().expect("an address"))?;
///         let listener = server.listen(16)?;
///
///         let client = TcpSocket::new_v4()?;
///         client.set_nodelay(true)?;
///         let stream = client.connect(listener.local_addr()?).await?;
///         assert!(stream.nodelay()?);
///         Ok(())
///     })
/// }
/// ```
#[derive(Debug)]
pub struct TcpSocket {
    pub(crate) socket: Socket,
}

impl TcpSocket {
    /// A socket for IPv4.
    ///
    /// # Errors
    ///
    /// The OS error of socket(2), for instance EMFILE if the process has no free descriptor.
    pub fn new_v4() -> io::Result<Self> {
        Self::new(Domain::IPV4)
    }

    /// A socket for IPv6.
    ///
    /// # Errors
    ///
    /// The OS error of socket(2), for instance EAFNOSUPPORT if the system has no IPv6.
    pub fn new_v6() -> io::Result<Self> {
        Self::new(Domain::IPV6)
    }

    fn new(domain: Domain) -> io::Result<Self> {
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        Ok(Self { socket })
    }

    /// Takes over an unconnected socket of std. It may be in either mode, and stays in it.
    ///
    /// # Errors
    ///
    /// The OS error, for instance ENOTSOCK if it is no socket.
    pub fn from_std_stream(stream: std::net::TcpStream) -> io::Result<Self> {
        Self::adopt(stream.into())
    }

    /// Whether an address can be bound that was in use recently.
    ///
    /// # Errors
    ///
    /// The OS error of getsockopt(2).
    pub fn reuseaddr(&self) -> io::Result<bool> {
        self.socket.options().reuse_address()
    }

    /// Chooses whether an address can be bound that was in use recently.
    ///
    /// # Platform differences
    ///
    /// On Windows, any process can then also bind an address that *is* in use, which is rarely
    /// intended.
    ///
    /// # Errors
    ///
    /// The OS error of setsockopt(2).
    pub fn set_reuseaddr(&self, reuseaddr: bool) -> io::Result<()> {
        self.socket.options().set_reuse_address(reuseaddr)
    }

    /// Binds it to an address. Port 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// The OS error of bind(2), for instance `AddrInUse`, `AddrNotAvailable` or `PermissionDenied`.
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        self.socket.options().bind(&address.into())
    }

    /// Its local address.
    ///
    /// # Errors
    ///
    /// The OS error of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        internet(self.socket.options().local_addr()?)
    }

    /// Listens. Up to `backlog` connections can wait to be accepted, within the limit of the OS.
    ///
    /// # Errors
    ///
    /// The OS error of listen(2), for instance `AddrInUse`.
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        self.socket.options().listen(backlog)?;
        Ok(TcpListener::new(self.socket))
    }

    /// Connects. The mode of the socket stays, though the readiness backend sets `O_NONBLOCK` around the
    /// call of connect(2) that begins it.
    ///
    /// # Cancellation
    ///
    /// The attempt is cancelled, and a connection that was established is closed.
    ///
    /// # Errors
    ///
    /// The OS error of connect(2), for instance `ConnectionRefused`, `TimedOut` or
    /// `NetworkUnreachable`.
    pub async fn connect(self, address: SocketAddr) -> io::Result<TcpStream> {
        self.socket.connect(address.into()).await?;
        Ok(TcpStream {
            socket: self.socket,
        })
    }
}

descriptor!(TcpSocket);
options!(TcpSocket);
internet_options!(TcpSocket);
service_options!(TcpSocket);
tcp_options!(TcpSocket);
