//! TCP sockets that are neither listener nor stream yet.

use std::{io, net::SocketAddr, time::Duration};

use compio_driver::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use socket2::{Domain, Protocol, TcpKeepalive, Type};

use super::{
    TcpListener, TcpStream,
    options::{internet_options, options, service_options, tcp_options},
    socket::{Adopt, Socket, descriptor, internet},
};

/// A TCP socket that is neither a [`TcpListener`] nor a [`TcpStream`] yet, for what has to be chosen
/// before it becomes one.
///
/// ```
/// use compio::net::TcpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// compio::task::block_on(async {
///     let server = TcpSocket::new_v4()?;
///     server.set_recv_buffer_size(64 * 1024)?;
///     server.bind("127.0.0.1:0".parse().expect("an address"))?;
///     let listener = server.listen(16)?;
///
///     let client = TcpSocket::new_v4()?;
///     client.set_nodelay(true)?;
///     let stream = client.connect(listener.local_addr()?).await?;
///     assert!(stream.nodelay()?);
///     # Ok(())
/// })
/// # }
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
    /// The system's.
    pub fn new_v4() -> io::Result<Self> {
        Self::new(Domain::IPV4)
    }

    /// A socket for IPv6.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn new_v6() -> io::Result<Self> {
        Self::new(Domain::IPV6)
    }

    fn new(domain: Domain) -> io::Result<Self> {
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        Ok(Self { socket })
    }

    /// Takes over a socket of std's that has not been connected. Either mode will do, and stays.
    ///
    /// # Errors
    ///
    /// The system's, if it is no socket.
    pub fn from_std_stream(stream: std::net::TcpStream) -> io::Result<Self> {
        Self::adopt(stream.into())
    }

    /// Whether an address can be bound that was in use a moment ago.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn reuseaddr(&self) -> io::Result<bool> {
        self.socket.options().reuse_address()
    }

    /// Chooses whether an address can be bound that was in use a moment ago.
    ///
    /// # Platform differences
    ///
    /// On Windows also one that *is* in use can be bound, by anybody: hardly ever what is wanted.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_reuseaddr(&self, reuseaddr: bool) -> io::Result<()> {
        self.socket.options().set_reuse_address(reuseaddr)
    }

    /// Binds it to an address. Port 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        self.socket.options().bind(&address.into())
    }

    /// The address that it is bound to.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        internet(self.socket.options().local_addr()?)
    }

    /// Listens. So many connections may wait to be accepted, or as many as the system allows.
    ///
    /// # Errors
    ///
    /// The system's.
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
    /// The attempt is given up, and a connection that has come about is closed.
    ///
    /// # Errors
    ///
    /// The system's.
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
