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
