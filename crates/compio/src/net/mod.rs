//! Sockets.
//!
//! Streams are read and written by the traits of [`io`](crate::io), through a reference, too: one
//! task can read while another writes. `shutdown` is the trait's, as with Tokio: it ends the writing
//! direction. They belong to their thread; `into_std` and `from_std` take them to another. Options that
//! have no method here can be set through `socket2::SockRef::from(&socket)`. Named pipes are in
//! [`windows`].
//!
//! # Cancellation
//!
//! A receive or an accept that is dropped before it completed takes nothing: the bytes stay in the
//! socket, the connection in the queue. If it completes all the same, between the drop and the
//! kernel's last word, its bytes are lost, and its connection is closed. A send that is dropped may
//! have sent nothing, a part, or all.

mod address;
mod message;
mod options;
pub(crate) mod socket;
mod split;
mod streams;
mod tcp;
mod tcp_socket;
mod udp;
mod unix;
mod unix_datagram;

pub use compio_driver::{
    Loan, PooledBuffer, UCred,
    ancillary::{AncillaryData, PacketInfo, SocketAncillary},
};
pub use socket2::TcpKeepalive;

pub use self::{
    address::{ToSocketAddrs, lookup_host},
    message::ReceivedMessage,
    split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf},
    streams::{Incoming, RecvStream},
    tcp::{TcpListener, TcpStream},
    tcp_socket::TcpSocket,
    udp::UdpSocket,
    unix::{UnixListener, UnixSocketAddr, UnixStream},
    unix_datagram::UnixDatagram,
};
pub use crate::{runtime::BufferPool, sys::windows};
