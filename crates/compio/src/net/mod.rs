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
pub(crate) mod socket;
mod split;
mod tcp;
mod udp;
mod unix;

pub use self::{
    address::ToSocketAddrs,
    split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf},
    tcp::{TcpListener, TcpStream},
    udp::UdpSocket,
    unix::{UnixListener, UnixSocketAddr, UnixStream},
};
pub use crate::sys::windows;
