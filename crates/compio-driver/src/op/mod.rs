//! The operations: each a struct that owns its buffer and a handle of its descriptor, says what it
//! asks, and what the answer means. How it is asked is not in here.
//!
//! An operation on a [`SharedFd`](crate::SharedFd) or another [`OwnsFd`](crate::OwnsFd) can be
//! submitted as a future; one on a bare [`RawFd`](crate::RawFd) can be pushed.

mod blocking;
mod buffer;
mod fs;
pub(crate) mod multi;
mod net;
mod nop;
mod pipe;
mod poll;

pub use blocking::Blocking;
pub use buffer::Filled;
pub use fs::{Close, Open, ReadAt, ReadVectoredAt, Stat, StatFd, Sync, WriteAt, WriteVectoredAt};
pub use net::{
    Accept, Connect, Received, Recv, RecvAncillary, RecvFrom, RecvMsg, Send, SendMsg, SendTo,
    Shutdown, Socket,
};
pub use nop::Nop;
pub use pipe::Splice;
pub use poll::{PollOnce, Readiness};

pub use crate::request::{Position, Stat as Attributes};
