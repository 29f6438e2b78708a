//! UDP.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use compio_driver::{
    AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd,
    ancillary::{self, SocketAncillary},
};
use compio_io::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};
use socket2::{Domain, Protocol, Type};

use super::{
    ReceivedMessage, ToSocketAddrs,
    address::{each, first},
    options::{internet_options, options, service_options},
    socket::{
        Adopt, Socket, descriptor, from_internet, internet, internet_sender, message, settle,
        std_type,
    },
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
    /// Nothing is lost: see [`net`](crate::net).
    ///
    /// # Errors
    ///
    /// The system's, with the buffer.
    pub async fn recv<B: IoBufMut>(&self, buffer: B) -> BufResult<usize, B> {
        self.socket.recv(buffer).await
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

    /// Receives a datagram from the connected peer into several buffers, one after the other. What
    /// does not fit is lost.
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

    /// Looks at the next datagram from the connected peer, or as much of it as fits: the next
    /// receive gets the same.
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
        match first(&target).await {
            Ok(address) => self.socket.send_to(buffer, address.into()).await,
            Err(error) => (Err(error), buffer),
        }
    }

    /// Sends several buffers as one datagram to the first address that `target` stands for.
    ///
    /// # Cancellation
    ///
    /// The datagram may have been sent or not.
    ///
    /// # Errors
    ///
    /// The system's, with the buffers.
    pub async fn send_to_vectored<V: IoVectoredBuf>(
        &self,
        buffers: V,
        target: impl ToSocketAddrs,
    ) -> BufResult<usize, V> {
        match first(&target).await {
            Ok(address) => self.socket.send_to_vectored(buffers, address.into()).await,
            Err(error) => (Err(error), buffers),
        }
    }

    /// Receives a datagram, and says who sent it. What does not fit into the buffer's capacity is
    /// lost.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: see [`net`](crate::net).
    ///
    /// # Errors
    ///
    /// The system's, with the buffer.
    pub async fn recv_from<B: IoBufMut>(&self, buffer: B) -> BufResult<(usize, SocketAddr), B> {
        let (received, buffer) = self.socket.recv_from(buffer).await;
        (received.and_then(from_internet), buffer)
    }

    /// Receives a datagram into several buffers, one after the other, and says who sent it. What
    /// does not fit is lost.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: see [`net`](crate::net).
    ///
    /// # Errors
    ///
    /// The system's, with the buffers.
    pub async fn recv_from_vectored<V: IoVectoredBufMut>(
        &self,
        buffers: V,
    ) -> BufResult<(usize, SocketAddr), V> {
        let (received, buffers) = self.socket.recv_from_vectored(buffers).await;
        (received.and_then(from_internet), buffers)
    }

    /// Looks at the next datagram, or as much of it as fits, and at who sent it: the next receive
    /// gets the same.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// The system's, with the buffer.
    pub async fn peek_from<B: IoBufMut>(&self, buffer: B) -> BufResult<(usize, SocketAddr), B> {
        let (received, buffer) = self.socket.peek_from(buffer).await;
        (received.and_then(from_internet), buffer)
    }

    /// Sends several buffers as one datagram to the connected peer, with ancillary data. With a
    /// [`SegmentSize`](super::AncillaryData::SegmentSize) in it, as several of that size.
    ///
    /// ```
    /// use compio::net::{AncillaryData, SocketAncillary, UdpSocket};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// compio::task::block_on(async {
    ///     let server = UdpSocket::bind("127.0.0.1:0").await?;
    ///     let client = UdpSocket::bind("127.0.0.1:0").await?;
    ///     # if cfg!(windows) { return Ok(()); }
    ///     server.set_recv_packet_info(true)?;
    ///     client.connect(server.local_addr()?).await?;
    ///     let (sent, _) = client.send_msg(["hello"], SocketAncillary::new()).await;
    ///     assert_eq!(sent?, 5);
    ///
    ///     let room = SocketAncillary::with_capacity(SocketAncillary::space(20));
    ///     let (received, (_, ancillary)) = server.recv_msg([[0; 100]], room).await;
    ///     println!("from {}", received?.address);
    ///     for data in ancillary.messages() {
    ///         if let AncillaryData::PacketInfo(info) = data {
    ///             println!("to {}", info.address);
    ///         }
    ///     }
    ///     # Ok(())
    /// })
    /// # }
    /// ```
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

    /// Sends several buffers as one datagram, with ancillary data, to the first address that `target`
    /// stands for: see [`send_msg`](Self::send_msg).
    ///
    /// # Cancellation
    ///
    /// The datagram may have been sent or not.
    ///
    /// # Errors
    ///
    /// The system's, with the buffers.
    pub async fn send_msg_to<V: IoVectoredBuf>(
        &self,
        buffers: V,
        ancillary: SocketAncillary,
        target: impl ToSocketAddrs,
    ) -> BufResult<usize, (V, SocketAncillary)> {
        match first(&target).await {
            Ok(address) => {
                let address = Some(address.into());
                self.socket.send_msg(buffers, ancillary, address).await
            }
            Err(error) => (Err(error), (buffers, ancillary)),
        }
    }

    /// Receives a datagram into several buffers, one after the other, with ancillary data, for which
    /// `ancillary` has the room. What was in it is dropped. What does not fit is lost, and said to
    /// be.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: see [`net`](crate::net).
    ///
    /// # Errors
    ///
    /// The system's, with the buffers.
    pub async fn recv_msg<V: IoVectoredBufMut>(
        &self,
        buffers: V,
        ancillary: SocketAncillary,
    ) -> BufResult<ReceivedMessage<SocketAddr>, (V, SocketAncillary)> {
        let (received, back) = self.socket.recv_msg(buffers, ancillary).await;
        (
            received.and_then(|received| message(received, internet_sender)),
            back,
        )
    }

    /// Asks for what datagrams came to, beside them: see
    /// [`AncillaryData::PacketInfo`](super::AncillaryData::PacketInfo).
    ///
    /// # Errors
    ///
    /// The system's; [`Unsupported`](io::ErrorKind::Unsupported) for IPv4 on macOS and FreeBSD.
    pub fn set_recv_packet_info(&self, on: bool) -> io::Result<()> {
        ancillary::set_recv_packet_info(self, self.local_addr()?.is_ipv6(), on)
    }

    /// Asks for the type of service of IPv4 datagrams, beside them: see [`AncillaryData::Tos`](super::AncillaryData::Tos).
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_recv_tos_v4(&self, on: bool) -> io::Result<()> {
        self.socket.options().set_recv_tos_v4(on)
    }

    /// Asks for the traffic class of IPv6 datagrams, beside them: see
    /// [`AncillaryData::TrafficClass`](super::AncillaryData::TrafficClass).
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_recv_tclass_v6(&self, on: bool) -> io::Result<()> {
        self.socket.options().set_recv_tclass_v6(on)
    }

    /// Lets the system hand out several datagrams of the same sender as one buffer, with their
    /// length beside it: see [`AncillaryData::SegmentSize`](super::AncillaryData::SegmentSize). The buffer should have room for 64 KiB.
    ///
    /// # Errors
    ///
    /// The system's; [`Unsupported`](io::ErrorKind::Unsupported) on macOS and FreeBSD.
    pub fn set_gro(&self, on: bool) -> io::Result<()> {
        ancillary::set_gro(self, on)
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

    /// Whether it may send to broadcast addresses.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.socket.options().broadcast()
    }

    /// Allows sending to broadcast addresses.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_broadcast(&self, allowed: bool) -> io::Result<()> {
        self.socket.options().set_broadcast(allowed)
    }

    /// Whether this machine gets the IPv4 multicasts that it sends itself.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.socket.options().multicast_loop_v4()
    }

    /// Chooses whether this machine gets the IPv4 multicasts that it sends itself.
    ///
    /// # Platform differences
    ///
    /// The choice is the sender's; on Windows it is the receiver's.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_multicast_loop_v4(&self, on: bool) -> io::Result<()> {
        self.socket.options().set_multicast_loop_v4(on)
    }

    /// Whether this machine gets the IPv6 multicasts that it sends itself.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.socket.options().multicast_loop_v6()
    }

    /// Chooses whether this machine gets the IPv6 multicasts that it sends itself.
    ///
    /// # Platform differences
    ///
    /// As for [`set_multicast_loop_v4`](Self::set_multicast_loop_v4).
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_multicast_loop_v6(&self, on: bool) -> io::Result<()> {
        self.socket.options().set_multicast_loop_v6(on)
    }

    /// Over how many routers its IPv4 multicasts may go.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.socket.options().multicast_ttl_v4()
    }

    /// Chooses over how many routers its IPv4 multicasts may go: 1 by default, which is none.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()> {
        self.socket.options().set_multicast_ttl_v4(ttl)
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

    /// Leaves an IPv4 multicast group at the interface of this address.
    ///
    /// # Errors
    ///
    /// The system's, if it has not joined.
    pub fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.socket.options().leave_multicast_v4(&group, &interface)
    }

    /// Leaves an IPv6 multicast group at the interface of this index.
    ///
    /// # Errors
    ///
    /// The system's, if it has not joined.
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket.options().leave_multicast_v6(group, interface)
    }

    /// Takes over a socket of std's, which may come from another thread. Either mode will do, and stays:
    /// the open file description may have other users.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<Self> {
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
    pub fn into_std(self) -> Result<std::net::UdpSocket, Self> {
        self.into_fd().map(Into::into)
    }
}

descriptor!(UdpSocket);
settle!(UdpSocket, "receive");
std_type!(UdpSocket, std::net::UdpSocket);
options!(UdpSocket);
internet_options!(UdpSocket);
service_options!(UdpSocket);
