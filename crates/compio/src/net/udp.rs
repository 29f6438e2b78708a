//! UDP sockets.

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
/// fn main() -> std::io::Result<()> {
///     compio::task::block_on(async {
///         let server = UdpSocket::bind("127.0.0.1:0").await?;
///         let client = UdpSocket::bind("127.0.0.1:0").await?;
///         let (sent, _) = client.send_to("hello", server.local_addr()?).await;
///         assert_eq!(sent?, 5);
///         let (received, buffer) = server.recv_from(Vec::with_capacity(1500)).await;
///         assert_eq!(received?, (5, client.local_addr()?));
///         assert_eq!(buffer, b"hello");
///         Ok(())
///     })
/// }
/// ```
///
/// # Platform differences
///
/// On unix, a receive of a socket without a peer does not fail because an earlier send could not be
/// delivered. Windows fails one receive for each ICMP message "port unreachable", with
/// `ConnectionReset`. Here, [`bind`](Self::bind) and the conversions of a socket without a peer turn that off
/// (`SIO_UDP_CONNRESET` and `SIO_UDP_NETRESET`), and [`connect`](Self::connect) turns it on. So a connected
/// socket reports `ConnectionReset` on Windows, and `ConnectionRefused` elsewhere. The setting stays with the
/// socket when [`into_std`](Self::into_std) returns it.
#[derive(Debug)]
pub struct UdpSocket {
    pub(crate) socket: Socket,
}

impl UdpSocket {
    /// Binds the first of the addresses that can be bound. Port 0 lets the OS choose.
    ///
    /// # Cancellation
    ///
    /// Nothing is bound.
    ///
    /// # Errors
    ///
    /// The error of the last address, for instance `AddrInUse`;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if there is no address.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        each(&address, async |address| {
            let domain = Domain::for_address(address);
            let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
            socket.options().bind(&address.into())?;
            Ok(Self { socket })
        })
        .await
    }

    /// Connects to the first of the addresses that can be reached: [`send`](Self::send) sends
    /// there, and [`recv`](Self::recv) receives only from there.
    ///
    /// # Cancellation
    ///
    /// The socket may be connected or not.
    ///
    /// # Errors
    ///
    /// The error of the last address, for instance `NetworkUnreachable`;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if there is no address.
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
    /// The OS error of send(2), for instance `ConnectionRefused` or EMSGSIZE, with the buffer.
    pub async fn send<B: IoBuf>(&self, buffer: B) -> BufResult<usize, B> {
        self.socket.send(buffer).await
    }

    /// Receives a datagram from the connected peer. Bytes beyond the buffer's capacity are lost.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: see [`net`](crate::net).
    ///
    /// # Errors
    ///
    /// The OS error of recv(2), for instance `ConnectionRefused`, with the buffer.
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
    /// The OS error of send(2), for instance `ConnectionRefused` or EMSGSIZE, with the buffers.
    pub async fn send_vectored<V: IoVectoredBuf>(&self, buffers: V) -> BufResult<usize, V> {
        self.socket.send_vectored(buffers).await
    }

    /// Receives a datagram from the connected peer into several buffers, one after the other. Bytes
    /// beyond their capacity are lost.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: see [`net`](crate::net).
    ///
    /// # Errors
    ///
    /// The OS error of recv(2), for instance `ConnectionRefused`, with the buffers.
    pub async fn recv_vectored<V: IoVectoredBufMut>(&self, buffers: V) -> BufResult<usize, V> {
        self.socket.recv_vectored(buffers).await
    }

    /// Peeks at the next datagram from the connected peer, or as much of it as fits: the next
    /// receive returns it again.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// The OS error of recv(2), for instance `ConnectionRefused`, with the buffer.
    pub async fn peek<B: IoBufMut>(&self, buffer: B) -> BufResult<usize, B> {
        self.socket.peek(buffer).await
    }

    /// Sends a datagram to the first address of `target`.
    ///
    /// # Cancellation
    ///
    /// The datagram may have been sent or not.
    ///
    /// # Errors
    ///
    /// The OS error of send(2), for instance `ConnectionRefused` or EMSGSIZE, with the buffer.
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

    /// Sends several buffers as one datagram to the first address of `target`.
    ///
    /// # Cancellation
    ///
    /// The datagram may have been sent or not.
    ///
    /// # Errors
    ///
    /// The OS error of send(2), for instance `ConnectionRefused` or EMSGSIZE, with the buffers.
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

    /// Receives a datagram, and returns the sender's address. Bytes beyond the buffer's capacity
    /// are lost.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: see [`net`](crate::net).
    ///
    /// # Errors
    ///
    /// The OS error of recv(2), for instance `ConnectionRefused`, with the buffer.
    pub async fn recv_from<B: IoBufMut>(&self, buffer: B) -> BufResult<(usize, SocketAddr), B> {
        let (received, buffer) = self.socket.recv_from(buffer).await;
        (received.and_then(from_internet), buffer)
    }

    /// Receives a datagram into several buffers, one after the other, and returns the sender's
    /// address. Bytes beyond their capacity are lost.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: see [`net`](crate::net).
    ///
    /// # Errors
    ///
    /// The OS error of recv(2), for instance `ConnectionRefused`, with the buffers.
    pub async fn recv_from_vectored<V: IoVectoredBufMut>(
        &self,
        buffers: V,
    ) -> BufResult<(usize, SocketAddr), V> {
        let (received, buffers) = self.socket.recv_from_vectored(buffers).await;
        (received.and_then(from_internet), buffers)
    }

    /// Peeks at the next datagram, or as much of it as fits, and at the sender's address: the next
    /// receive returns it again.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Errors
    ///
    /// The OS error of recv(2), for instance `ConnectionRefused`, with the buffer.
    pub async fn peek_from<B: IoBufMut>(&self, buffer: B) -> BufResult<(usize, SocketAddr), B> {
        let (received, buffer) = self.socket.peek_from(buffer).await;
        (received.and_then(from_internet), buffer)
    }

    /// Sends several buffers as one datagram to the connected peer, with ancillary data. With a
    /// [`SegmentSize`](super::AncillaryData::SegmentSize) in it, the bytes are sent as several
    /// datagrams of that size.
    ///
    /// ```
    /// use compio::net::{AncillaryData, SocketAncillary, UdpSocket};
    ///
    /// fn main() -> std::io::Result<()> {
    ///     compio::task::block_on(async {
    ///         let server = UdpSocket::bind("127.0.0.1:0").await?;
    ///         let client = UdpSocket::bind("127.0.0.1:0").await?;
    ///     # if cfg!(windows) { return Ok(()); }
    ///         server.set_recv_packet_info(true)?;
    ///         client.connect(server.local_addr()?).await?;
    ///         let (sent, _) = client.send_msg(["hello"], SocketAncillary::new()).await;
    ///         assert_eq!(sent?, 5);
    ///
    ///         let room = SocketAncillary::with_capacity(SocketAncillary::space(20));
    ///         let (received, (_, ancillary)) = server.recv_msg([[0; 100]], room).await;
    ///         println!("from {}", received?.address);
    ///         for data in ancillary.messages() {
    ///             if let AncillaryData::PacketInfo(info) = data {
    ///                 println!("to {}", info.address);
    ///             }
    ///         }
    ///         Ok(())
    ///     })
    /// }
    /// ```
    ///
    /// # Cancellation
    ///
    /// The datagram may have been sent or not.
    ///
    /// # Errors
    ///
    /// The OS error of send(2), for instance `ConnectionRefused` or EMSGSIZE, with the buffers.
    pub async fn send_msg<V: IoVectoredBuf>(
        &self,
        buffers: V,
        ancillary: SocketAncillary,
    ) -> BufResult<usize, (V, SocketAncillary)> {
        self.socket.send_msg(buffers, ancillary, None).await
    }

    /// Sends several buffers as one datagram, with ancillary data, to the first address of `target`:
    /// see [`send_msg`](Self::send_msg).
    ///
    /// # Cancellation
    ///
    /// The datagram may have been sent or not.
    ///
    /// # Errors
    ///
    /// The OS error of send(2), for instance `ConnectionRefused` or EMSGSIZE, with the buffers.
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

    /// Receives a datagram into several buffers, one after the other, with ancillary data, as far as
    /// `ancillary` has room. The previous content of `ancillary` is dropped. Data that does not fit
    /// is lost, and reported as truncated.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: see [`net`](crate::net).
    ///
    /// # Errors
    ///
    /// The OS error of recv(2), for instance `ConnectionRefused`, with the buffers.
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

    /// Requests the destination address and interface of received datagrams as ancillary data: see
    /// [`AncillaryData::PacketInfo`](super::AncillaryData::PacketInfo).
    ///
    /// # Errors
    ///
    /// The OS error of setsockopt(2); [`Unsupported`](io::ErrorKind::Unsupported) for IPv4 on macOS
    /// and FreeBSD.
    pub fn set_recv_packet_info(&self, on: bool) -> io::Result<()> {
        ancillary::set_recv_packet_info(&self.socket, self.local_addr()?.is_ipv6(), on)
    }

    /// Requests the type of service of IPv4 datagrams as ancillary data: see
    /// [`AncillaryData::Tos`](super::AncillaryData::Tos).
    ///
    /// # Errors
    ///
    /// The OS error of setsockopt(2).
    pub fn set_recv_tos_v4(&self, on: bool) -> io::Result<()> {
        self.socket.options().set_recv_tos_v4(on)
    }

    /// Requests the traffic class of IPv6 datagrams as ancillary data: see
    /// [`AncillaryData::TrafficClass`](super::AncillaryData::TrafficClass).
    ///
    /// # Errors
    ///
    /// The OS error of setsockopt(2).
    pub fn set_recv_tclass_v6(&self, on: bool) -> io::Result<()> {
        self.socket.options().set_recv_tclass_v6(on)
    }

    /// Lets the OS return several datagrams of the same sender in one buffer, with their length as ancillary
    /// data: see [`AncillaryData::SegmentSize`](super::AncillaryData::SegmentSize). The buffer should have
    /// room for 64 KiB.
    ///
    /// **Receive by [`recv_msg`](Self::recv_msg) from then on**, with room for the ancillary data. All other
    /// receives, also [`recv_stream`](Self::recv_stream), return the same bytes without the length: the
    /// boundaries between the datagrams are lost.
    ///
    /// ```
    /// use std::io;
    ///
    /// use compio::net::{AncillaryData, SocketAncillary, UdpSocket};
    ///
    /// async fn receive(socket: &UdpSocket) -> io::Result<Vec<Vec<u8>>> {
    ///     socket.set_gro(true)?;
    ///     let buffer = [Vec::with_capacity(65536)];
    ///     let ancillary = SocketAncillary::with_capacity(64);
    ///     let (received, ([buffer], ancillary)) = socket.recv_msg(buffer, ancillary).await;
    ///     received?;
    ///     let sizes = ancillary.messages().filter_map(|data| match data {
    ///         AncillaryData::SegmentSize(size) => Some(usize::from(size)),
    ///         _ => None,
    ///     });
    ///     // Without a size, the buffer holds one datagram.
    ///     let size = sizes.max().unwrap_or(buffer.len()).max(1);
    ///     Ok(buffer.chunks(size).map(<[u8]>::to_vec).collect())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The OS error of setsockopt(2); [`Unsupported`](io::ErrorKind::Unsupported) on macOS and
    /// FreeBSD.
    pub fn set_gro(&self, on: bool) -> io::Result<()> {
        ancillary::set_gro(&self.socket, on)
    }

    /// Its local address.
    ///
    /// # Errors
    ///
    /// The OS error of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        internet(self.socket.options().local_addr()?)
    }

    /// The address of the connected peer.
    ///
    /// # Errors
    ///
    /// `NotConnected` if it is not connected; other OS errors of getpeername(2).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        internet(self.socket.options().peer_addr()?)
    }

    /// Whether it may send to broadcast addresses.
    ///
    /// # Errors
    ///
    /// The OS error of getsockopt(2).
    pub fn broadcast(&self) -> io::Result<bool> {
        self.socket.options().broadcast()
    }

    /// Allows sending to broadcast addresses.
    ///
    /// # Errors
    ///
    /// The OS error of setsockopt(2).
    pub fn set_broadcast(&self, allowed: bool) -> io::Result<()> {
        self.socket.options().set_broadcast(allowed)
    }

    /// Whether this machine receives the IPv4 multicasts that it sends itself.
    ///
    /// # Errors
    ///
    /// The OS error of getsockopt(2).
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.socket.options().multicast_loop_v4()
    }

    /// Chooses whether this machine receives the IPv4 multicasts that it sends itself.
    ///
    /// # Platform differences
    ///
    /// The option of the sender counts; on Windows, the option of the receiver counts.
    ///
    /// # Errors
    ///
    /// The OS error of setsockopt(2).
    pub fn set_multicast_loop_v4(&self, on: bool) -> io::Result<()> {
        self.socket.options().set_multicast_loop_v4(on)
    }

    /// Whether this machine receives the IPv6 multicasts that it sends itself.
    ///
    /// # Errors
    ///
    /// The OS error of getsockopt(2).
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.socket.options().multicast_loop_v6()
    }

    /// Chooses whether this machine receives the IPv6 multicasts that it sends itself.
    ///
    /// # Platform differences
    ///
    /// As for [`set_multicast_loop_v4`](Self::set_multicast_loop_v4).
    ///
    /// # Errors
    ///
    /// The OS error of setsockopt(2).
    pub fn set_multicast_loop_v6(&self, on: bool) -> io::Result<()> {
        self.socket.options().set_multicast_loop_v6(on)
    }

    /// The maximum number of routers that its IPv4 multicasts may pass.
    ///
    /// # Errors
    ///
    /// The OS error of getsockopt(2).
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.socket.options().multicast_ttl_v4()
    }

    /// Sets the maximum number of hops of its IPv4 multicasts: 1 by default, which passes no
    /// router.
    ///
    /// # Errors
    ///
    /// The OS error of setsockopt(2), for instance `InvalidInput` for a value above 255.
    pub fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()> {
        self.socket.options().set_multicast_ttl_v4(ttl)
    }

    /// Joins an IPv4 multicast group at the interface of this address.
    ///
    /// # Errors
    ///
    /// The OS error of setsockopt(2), for instance `InvalidInput` if it is no multicast address.
    pub fn join_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.socket.options().join_multicast_v4(&group, &interface)
    }

    /// Joins an IPv6 multicast group at the interface of this index.
    ///
    /// # Errors
    ///
    /// The OS error of setsockopt(2), for instance `InvalidInput` if it is no multicast address.
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket.options().join_multicast_v6(group, interface)
    }

    /// Leaves an IPv4 multicast group at the interface of this address.
    ///
    /// # Errors
    ///
    /// `AddrNotAvailable` if it has not joined; other OS errors of setsockopt(2).
    pub fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.socket.options().leave_multicast_v4(&group, &interface)
    }

    /// Leaves an IPv6 multicast group at the interface of this index.
    ///
    /// # Errors
    ///
    /// `AddrNotAvailable` if it has not joined; other OS errors of setsockopt(2).
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket.options().leave_multicast_v6(group, interface)
    }

    /// Takes over a socket of std, which may come from another thread. It may be in either mode, and
    /// stays in it: the open file description may have other users.
    ///
    /// # Errors
    ///
    /// The OS error, for instance ENOTSOCK if it is no socket.
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<Self> {
        Self::adopt(socket.into())
    }

    /// Gives the socket to std, which can take it to another thread.
    ///
    /// Its mode stays: it blocks, unless it was made non-blocking by other means.
    ///
    /// # Errors
    ///
    /// This socket, if there are operations in flight, or if a datagram arrived for a dropped receive
    /// and is kept for the next receive. [`settle`](Self::settle) returns whether one is kept.
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
