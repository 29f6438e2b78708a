//! Sockets.
//!
//! Streams are read and written by the traits of [`io`](crate::io), through a reference, too: one
//! task can read while another writes. Several writes at once do not mix: the bytes of each stay
//! together, as many as it says to have written. In which order they come is not said, so that
//! `write_all`, which is several writes, is for one task at a time. `shutdown` is the trait's, as with
//! Tokio: it ends the writing direction.
//!
//! They belong to their thread; `into_std` and `from_std` take them to another. Options that have no
//! method here can be set through `socket2::SockRef::from(&socket)`. Named pipes are in [`windows`].
//!
//! # Cancellation
//!
//! A receive that is dropped before it completed takes nothing: the bytes stay in the socket. If it
//! has completed and was not polled since, or completes between the drop and the kernel's last word,
//! its bytes or its datagram are lost with its buffer. That is what a `select` does to the branches that
//! it drops: give it a future that it only borrows, an [`io::PollReader`](crate::io::PollReader) or
//! frames, or stop waiting by [`cancel_after`](crate::time::cancel_after) or a
//! [`CancelToken`](crate::runtime::CancelToken), which lose nothing. An accept that is dropped loses no
//! connection. A send that is dropped may have sent nothing, a part, or all.
//!
//! Of a stream's dropped write, some first part of the buffer is sent once and in one piece, or nothing.
//! It may still be under way when the next one begins, and come behind it. Whoever wants to go on writing
//! cancels it instead: its result says how much was sent.
//!
//! # Peers that are silent, slow, or too many
//!
//! Nothing gives up by itself: whoever waits for a peer that may be gone does so within a
//! [`timeout`](crate::time::timeout) or [`cancel_after`](crate::time::cancel_after), or has the system
//! ask the peer ([`TcpStream::set_tcp_keepalive`]). What they can cost is bounded:
//!
//! - A connection that waits costs its buffer and about a kilobyte for its task, socket and operation;
//!   one that receives by a [`BufferPool`] has no buffer while it waits.
//! - When a peer does not read, the system's buffers fill up, and then a write waits, with no memory
//!   but its buffer. What [`send_zero_copy`](TcpStream::send_zero_copy) has on loan is no more than
//!   the system's buffers hold.
//! - What is received before it is asked for is in the buffers of a pool: see [`RecvStream`].
//! - Connections that nobody accepts are in the system's queue, which has a limit; about those that
//!   are accepted before they are asked for see [`Incoming`] and [`TcpListener::accept`].

mod address;
mod message;
mod options;
mod scarcity;
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
