//! The operations: each a struct that owns its buffer and a handle of its descriptor, says what it
//! asks, and what the answer means. How it is asked is not in here.
//!
//! An operation on a [`SharedFd`](crate::SharedFd) or another [`OwnsFd`](crate::OwnsFd) can be
//! submitted as a future; one on a bare [`RawFd`](crate::RawFd) can be pushed.
//!
//! # Operations of your own
//!
//! What is missing here can be defined elsewhere: a type that owns what the kernel needs, implements
//! [`Operation`](crate::Operation), and asks by an existing [`Request`](crate::request::Request), or
//! by [`Request::Raw`](crate::request::Request::Raw) in the words of one system. It is submitted,
//! completed, cancelled and, if its future is dropped, kept until the kernel has answered, as those
//! here are. A backend that does not know the words says that this is not supported.
//!
//! On Linux, a request in io_uring's words is a submission queue entry of the `io-uring` crate, which
//! [`os::linux`](crate::os::linux) hands on:
//!
#![cfg_attr(target_os = "linux", doc = "```")]
#![cfg_attr(not(target_os = "linux"), doc = "```ignore")]
//! use std::io;
//!
//! use compio_driver::{
//!     AsRawFd, BackendKind, Driver, Operation, Owned, SharedFd,
//!     os::linux::{RawEntry, io_uring::{opcode, types::Fd}},
//!     request::Request,
//! };
//!
//! /// Reserves room on the disk for the beginning of a file.
//! struct Reserve {
//!     fd: SharedFd,
//!     len: u64,
//!     entry: Option<RawEntry>,
//! }
//!
//! // SAFETY: the request points to the entry, which lies in the operation. The entry asks for one
//! // completion, and points to nothing.
//! unsafe impl Operation for Reserve {
//!     type Output = io::Result<()>;
//!
//!     fn request(&mut self) -> Request {
//!         let fd = Fd(self.fd.as_raw_fd());
//!         let entry = opcode::Fallocate::new(fd, self.len).build();
//!         Request::Raw(self.entry.insert(entry))
//!     }
//!
//!     unsafe fn finish(self, answer: io::Result<usize>) -> io::Result<()> {
//!         answer.map(drop)
//!     }
//! }
//!
//! // SAFETY: the operation shares in the ownership of the descriptor.
//! unsafe impl Owned for Reserve {}
//!
//! # fn main() -> io::Result<()> {
//! # let file = tempfile::tempfile()?;
//! let driver = Driver::new()?;
//! let fd = SharedFd::from(std::os::fd::OwnedFd::from(file.try_clone()?));
//! let mut reserve = driver.submit(Reserve { fd, len: 4096, entry: None });
//! # use std::{future::Future, pin::Pin, task::{Context, Poll}};
//! # let waker = driver.waker();
//! # let reserved = loop {
//! #     match Pin::new(&mut reserve).poll(&mut Context::from_waker(&waker)) {
//! #         Poll::Ready(reserved) => break reserved,
//! #         Poll::Pending => driver.turn(None)?,
//! #     }
//! # };
//! # /*
//! let reserved = reserve.await;
//! # */
//! match driver.backend().kind() {
//!     BackendKind::IoUring => assert_eq!(file.metadata()?.len(), 4096),
//!     _ => assert_eq!(reserved.unwrap_err().kind(), io::ErrorKind::Unsupported),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! An entry that cancels others by descriptor, or all of them, is not heard of here. A request that it ends
//! may be executed again, as one that the kernel has dropped unasked. [`Submit::cancel`](crate::Submit)
//! and [`CancelToken`](crate::CancelToken) are the ways to cancel.
//!
//! On Windows the words are an overlapped call: see `os::windows::RawEntry`.

mod blocking;
mod buffer;
mod flags;
mod fs;
pub(crate) mod multishot;
mod net;
mod nop;
mod path;
mod pipe;
mod poll;

pub use blocking::{Blocking, BlockingOn};
pub use buffer::Filled;
pub use fs::{
    Close, CurrentDir, Open, ReadAt, ReadVectoredAt, Stat, StatFd, Sync, WriteAt, WriteVectoredAt,
};
pub use net::{
    Accept, Connect, OwnsDescriptors, Received, Recv, RecvAncillary, RecvFrom, RecvMsg, Send,
    SendMsg, SendTo, Shutdown, Socket,
};
pub use nop::Nop;
pub use path::{Link, MakeDir, Remove, Rename};
pub use pipe::Splice;
pub use poll::{PollOnce, Readiness};

pub use crate::request::{Position, Stat as Attributes};
