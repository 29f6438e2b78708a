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
//! # Non-blocking mode
//!
//! `O_NONBLOCK` belongs to the open file description, which duplicates, other processes and other event
//! loops share. Sockets and pipes work in either mode, and keep the mode that they have, with two
//! exceptions, both on the readiness backend:
//!
//! - An accept makes its listener non-blocking for good, since accept(2) has no flag for one call.
//! - A connect makes its socket non-blocking for the call of connect(2), and then blocking again if it was.
//!
//! # Cancellation
//!
//! Dropping a future, as a `select` or a [`timeout`](crate::time::timeout) does, loses its buffer, and
//! of what came from the peer nothing:
//!
//! - **Receives.** Bytes that have come for a receive which was dropped are kept beside the socket, and
//!   are the next ones that it receives, in order; of datagrams, whole ones with their senders; with the
//!   descriptors and other ancillary data that came with them, if the next receive asks for such. So is
//!   an error that the system says once, such as a reset. All handles of the socket share them: halves,
//!   peeks, a [`RecvStream`]. While the kernel has not yet answered for a receive that was dropped, the
//!   next one waits for that, which is a turn of the loop.
//! - **Accepts.** A connection that was accepted is the next one that is handed out.
//! - **Sends.** Nothing, a part, or all may have been sent; never anything twice, and nothing of a later
//!   send before it, if that is begun when the kernel has given this one up. A datagram is sent or not.
//!   Nobody can say how much it was, since the result is dropped: a stream on which a write was dropped in
//!   the middle of a message is good for nothing more.
//!
//! What is in the buffers of a caller, such as the first half of a
//! [`read_exact`](crate::io::AsyncReadExt::read_exact), is lost with them; and so is the result of a
//! send. To get back result *and* buffer, stop waiting by a
//! [`CancelToken`](crate::runtime::CancelToken) or [`cancel_after`](crate::time::cancel_after)
//! instead of dropping.
//!
//! What is kept has limits. A datagram is cut to the buffer of the receive that was dropped, and its
//! sender is known if that asked for it, or the socket is connected; if not, only a `recv` gets it. A
//! receive that waits already, while another one of the same socket is dropped, goes on waiting for
//! what comes from outside. The descriptor itself, used by other means ([`AsFd`](crate::driver::AsFd),
//! a duplicate, a splice), does not have what is kept; `into_std` fails as long as there is any, and
//! `settle` tells whether there is. What is kept when the last handle goes is dropped.
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

mod accept_backoff;
mod address;
mod incoming;
mod message;
mod options;
pub(crate) mod socket;
mod split;
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
    incoming::{Incoming, RecvStream},
    message::ReceivedMessage,
    split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf},
    tcp::{TcpListener, TcpStream},
    tcp_socket::TcpSocket,
    udp::UdpSocket,
    unix::{UnixListener, UnixSocketAddr, UnixStream},
    unix_datagram::UnixDatagram,
};
pub use crate::{runtime::BufferPool, sys::windows};
