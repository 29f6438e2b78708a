//! Sockets.
//!
//! Streams are read and written with the traits of [`io`](crate::io), also through a reference: one
//! task can read while another writes. Concurrent writes do not mix: the bytes of each stay together,
//! as many as it returns. Their order is unspecified, so `write_all`, which is several writes, is for
//! one task at a time. `shutdown` is a method of the trait, as in Tokio: it ends the writing
//! direction.
//!
//! Sockets belong to their thread; `into_std` and `from_std` move them to another. Options without a
//! method here can be set through `socket2::SockRef::from(&socket)`. Named pipes are in [`windows`].
//!
//! # Platform differences
//!
//! **Unix sockets are not supported on Windows.** [`UnixStream`], [`UnixListener`], [`UnixDatagram`] and
//! [`UnixSocket`] exist there, so that programs compile, but each constructor fails with
//! [`Unsupported`](std::io::ErrorKind::Unsupported). Use [named pipes](windows) or TCP on the loopback.
//! Windows 10 1803 and later have such streams, but compio does not use them.
//!
//! On Windows, a socket of other code must support overlapped calls: `TryFrom<OwnedSocket>` and
//! [`AsyncFd`](crate::runtime::AsyncFd) rely on it. Sockets of std, of `socket2`, and of the C function
//! `socket` do. One that `WSASocket` has made without `WSA_FLAG_OVERLAPPED` does not, and the system does not
//! report that: **each receive then blocks the whole thread** until data arrives, and may return 0 bytes,
//! which looks like EOF.
//!
//! Also on Windows, `peek` and `peek_from` use `MSG_PEEK` in overlapped calls, as other runtimes do. Microsoft's
//! documentation describes the flag only for other calls.
//!
//! On macOS and FreeBSD:
//!
//! - A send fails with `ENOBUFS` if the queue of the network interface is full. It does not wait, because no
//!   event reports new room.
//! - A connect to a Unix listener whose queue is full fails with `ConnectionRefused`. On Linux it waits.
//! - On macOS, the peer of an accepted connection that it has reset already is the unspecified address with port
//!   0: the system does not report it.
//!
//! A socket that is bound to the IPv6 address `::` also serves IPv4 on Linux and macOS. On Windows and FreeBSD
//! it serves IPv6 alone, as in std.
//!
//! A [`UnixListener`] leaves the path of its socket behind when it is dropped, as in std: remove it before
//! the next `bind`, which otherwise fails with `AddrInUse`.
//!
//! On io_uring, the kernel closes the sockets of a killed process a moment after its end: milliseconds, or longer on a
//! busy machine. A service that is restarted at once finds its address in use. Repeat the `bind` for some seconds then.
//!
//! # Non-blocking mode
//!
//! `O_NONBLOCK` belongs to the open file description, which duplicates, other processes and other event
//! loops share. Sockets and pipes work in either mode, and keep the mode that they have, with three
//! exceptions, all on the readiness backend:
//!
//! - An accept makes its listener non-blocking for good, since accept(2) has no flag for one call.
//! - A connect makes its socket non-blocking for the call of connect(2), and then blocking again if it was.
//! - On macOS, a send makes its socket non-blocking for good, since the system ignores `MSG_DONTWAIT` there.
//!
//! # Cancellation
//!
//! Dropping a future, as a `select` or a [`timeout`](crate::time::timeout) does, loses its buffer, but
//! no data of the peer:
//!
//! - **Receives.** Data that arrives for a dropped receive is kept beside the socket, and the next
//!   receives return it in order: bytes; whole datagrams with their senders; descriptors and other
//!   ancillary data, if the next receive requests ancillary data. An error that the OS reports only once,
//!   such as a reset, is kept as well. All handles of the socket share this data: halves, peeks, a
//!   [`RecvStream`]. While a dropped receive is not yet completed by the kernel, the next one waits for
//!   that, which takes a turn of the loop.
//! - **Accepts.** A connection that was accepted for a dropped future is returned by the next accept.
//! - **Sends.** Nothing, a part, or all may have been sent, but never twice. Nothing of a later send
//!   precedes it, if the later send starts after the kernel has completed the cancelled one. A datagram is
//!   sent or not. The number of sent bytes is lost with the result: after a write was dropped in the
//!   middle of a message, the stream can no longer be used.
//!
//! Data in the buffers of a caller, such as the first half of a
//! [`read_exact`](crate::io::AsyncReadExt::read_exact), is lost with them, and so is the result of a
//! send. To get back result *and* buffer, cancel with a [`CancelToken`](crate::runtime::CancelToken)
//! or [`cancel_after`](crate::time::cancel_after) instead of dropping.
//!
//! Kept data has limits. A datagram is cut to the buffer of the dropped receive. Its sender is known
//! if that receive requested it, or if the socket is connected; otherwise only a `recv` returns the
//! datagram. A receive that waits already, while another one of the same socket is dropped, continues
//! to wait for new data. Other uses of the descriptor ([`AsFd`](crate::driver::AsFd), a duplicate, a
//! splice) do not see kept data. `into_std` fails while there is any; `settle` returns whether there
//! is. Data that is still kept when the last handle is dropped is lost.
//!
//! # Peers that are silent, slow, or too many
//!
//! No operation times out by itself: to wait for a peer that may be gone, use a
//! [`timeout`](crate::time::timeout), [`cancel_after`](crate::time::cancel_after) or keepalive probes
//! ([`TcpStream::set_tcp_keepalive`]). The cost of peers is bounded:
//!
//! - A waiting connection costs its buffer and about a kilobyte for its task, socket and operation;
//!   one that receives from a [`BufferPool`] has no buffer while it waits.
//! - When a peer does not read, the socket buffers of the OS fill up. Then a write waits, with no
//!   memory but its buffer. [`send_zero_copy`](TcpStream::send_zero_copy) has no more memory on loan
//!   than these socket buffers hold.
//! - Data that is received ahead of the reader is in the buffers of a pool: see [`RecvStream`].
//! - Connections that are not accepted are in the listen queue of the OS, which has a limit. For
//!   connections that are accepted ahead of the caller see [`Incoming`] and [`TcpListener::accept`].

mod accept_backoff;
mod address;
mod connector;
mod datagram_pool;
mod incoming;
mod message;
mod options;
mod poll_stream;
pub(crate) mod socket;
mod split;
mod tcp;
mod tcp_socket;
mod try_clone;
mod udp;
mod unix;
mod unix_datagram;
mod unix_socket;
pub mod windows;

pub use compio_driver::{
    Loan, PooledBuffer, UCred,
    ancillary::{AncillaryData, PacketInfo, SocketAncillary},
};
pub use socket2::TcpKeepalive;

pub use self::{
    address::{ToSocketAddrs, lookup_host},
    connector::{Connector, Resolve, SystemResolver},
    incoming::{Incoming, RecvStream},
    message::ReceivedMessage,
    poll_stream::{PollReadHalf, PollStream, PollWriteHalf, StreamSocket},
    split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf},
    tcp::{TcpListener, TcpStream},
    tcp_socket::TcpSocket,
    udp::UdpSocket,
    unix::{UnixListener, UnixSocketAddr, UnixStream},
    unix_datagram::UnixDatagram,
    unix_socket::UnixSocket,
};
pub use crate::runtime::BufferPool;
