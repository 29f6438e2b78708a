//! UDP.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use compio_driver::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use compio_io::buf::{BufResult, IoBuf, IoBufMut};
use socket2::{Domain, Protocol, Type};

use super::{
    ToSocketAddrs,
    address::{each, resolve},
    options::{internet_options, options},
    socket::{Adopt, Socket, descriptor, internet, std_type},
};

/// A UDP socket. See [`net`](crate::net) about cancellation; a datagram is received or sent as a
/// whole or not at all.
///
/// ```
/// use compio::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// compio::task::block_on(async {
///     let server = UdpSocket::bind("127.0.0.1:0").await?;
///     let client = UdpSocket::bind("127.0.0.1:0").await?;
///     let (sent, _) = client.send_to("hello", server.local_addr()?).await;
///     assert_eq!(sent?, 5);
///     let (received, buffer) = server.recv_from(Vec::with_capacity(1500)).await;
///     assert_eq!(received?, (5, client.local_addr()?));
///     assert_eq!(buffer, b"hello");
///     # Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    pub(crate) socket: Socket,
}

impl UdpSocket {
    /// Binds the first of the addresses that can be had. Port 0 lets the system choose.
    ///
    /// # Cancellation
    ///
    /// Nothing is bound.
    ///
    /// # Errors
    ///
    /// That of the last address; [`InvalidInput`](io::ErrorKind::InvalidInput) if there is none.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        each(&address, async |address| {
            let domain = Domain::for_address(address);
            let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
            socket.options().bind(&address.into())?;
            Ok(Self { socket })
        })
        .await
    }

    /// Connects to the first of the addresses that can be reached: [`send`](Self::send) goes
    /// there, and [`recv`](Self::recv) takes from there only.
    ///
    /// # Cancellation
    ///
    /// The socket may be connected or not.
    ///
    /// # Errors
    ///
    /// That of the last address; [`InvalidInput`](io::ErrorKind::InvalidInput) if there is none.
    pub async fn connect(&self, address: impl ToSocketAddrs) -> io::Result<()> {
        each(&address, async |address| {
            self.socket.connect(address.into()).await
        })
        .await
    }

    /// Sends a datagram to the connected peer.
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

    /// Receives a datagram from the connected peer. What does not fit into the buffer's capacity
    /// is lost.
    ///
    /// # Cancellation
    ///
    /// See [`net`](crate::net).
    ///
    /// # Errors
    ///
    /// The system's, with the buffer.
    pub async fn recv<B: IoBufMut>(&self, buffer: B) -> BufResult<usize, B> {
        self.socket.recv(buffer).await
    }

    /// Sends a datagram to the first address that `target` stands for.
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
        target: impl ToSocketAddrs,
    ) -> BufResult<usize, B> {
        let address = match resolve(&target).await {
            Ok(addresses) => addresses.as_slice().first().copied(),
            Err(error) => return (Err(error), buffer),
        };
        match address {
            Some(address) => self.socket.send_to(buffer, address.into()).await,
            None => {
                let error = io::Error::new(io::ErrorKind::InvalidInput, "no addresses to send to");
                (Err(error), buffer)
            }
        }
    }

    /// Receives a datagram, and says who sent it. What does not fit into the buffer's capacity is
    /// lost.
    ///
    /// # Cancellation
    ///
    /// See [`net`](crate::net).
    ///
    /// # Errors
    ///
    /// The system's, with the buffer.
    pub async fn recv_from<B: IoBufMut>(&self, buffer: B) -> BufResult<(usize, SocketAddr), B> {
        let (received, buffer) = self.socket.recv_from(buffer).await;
        let received = received.and_then(|(len, address)| {
            let address = address.ok_or_else(|| io::Error::other("a datagram without a sender"))?;
            Ok((len, internet(address)?))
        });
        (received, buffer)
    }

    /// Where it is bound.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        internet(self.socket.options().local_addr()?)
    }

    /// The peer that it is connected to.
    ///
    /// # Errors
    ///
    /// The system's, if it is not connected.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        internet(self.socket.options().peer_addr()?)
    }

    /// Allows sending to broadcast addresses.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_broadcast(&self, allowed: bool) -> io::Result<()> {
        self.socket.options().set_broadcast(allowed)
    }

    /// Joins an IPv4 multicast group at the interface of this address.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn join_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.socket.options().join_multicast_v4(&group, &interface)
    }

    /// Joins an IPv6 multicast group at the interface of this index.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket.options().join_multicast_v6(group, interface)
    }

    /// Takes over a socket of std's, which may come from another thread.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<Self> {
        Self::adopt(socket.into())
    }

    /// Gives the socket to std, which can take it to another thread. It blocks.
    ///
    /// # Errors
    ///
    /// This socket, if there are operations under way.
    pub fn into_std(self) -> Result<std::net::UdpSocket, Self> {
        self.into_fd().map(Into::into)
    }
}

descriptor!(UdpSocket);
std_type!(UdpSocket, std::net::UdpSocket);
options!(UdpSocket);
internet_options!(UdpSocket);
