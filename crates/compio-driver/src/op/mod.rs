//! The operations: each is a struct that owns its buffer and a handle of its descriptor, builds the
//! request, and converts the result. The backends submit the requests.
//!
//! An operation on a [`SharedFd`](crate::SharedFd) or another [`OwnsFd`](crate::OwnsFd) can be
//! submitted as a future; one on a bare [`RawFd`](crate::RawFd) can be pushed.
//!
//! # Operations of your own
//!
//! Further operations can be defined elsewhere: a type that owns the memory and descriptors of the request,
//! implements [`Operation`](crate::Operation), and returns an existing [`Request`](crate::request::Request),
//! or a [`Request::Raw`](crate::request::Request::Raw) in the format of one backend. It is submitted,
//! completed, cancelled and, if its future is dropped, kept until its completion, like the operations
//! here. A backend with another format fails it with the kind
//! [`Unsupported`](std::io::ErrorKind::Unsupported).
//!
//! On Linux, a raw request is a submission queue entry (SQE) of the `io-uring` crate, which
//! [`os::linux`](crate::os::linux) re-exports:
//!
#![cfg_attr(target_os = "linux", doc = "```")]
#![cfg_attr(not(target_os = "linux"), doc = "```ignore")]
//! use std::{io, pin::pin, task::{Context, Poll}};
//!
//! use compio::driver::{
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
//! // SAFETY: the request points to the entry, which is in the operation. The entry has one
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
//! // SAFETY: the operation shares the ownership of the descriptor.
//! unsafe impl Owned for Reserve {}
//!
//! fn main() -> io::Result<()> {
//!     let file = tempfile::tempfile()?;
//!     let driver = Driver::new()?;
//!     let fd = SharedFd::from(std::os::fd::OwnedFd::from(file.try_clone()?));
//!     let mut reserve = pin!(driver.submit(Reserve { fd, len: 4096, entry: None }));
//!     // A runtime does this for `reserve.await`.
//!     let waker = driver.waker();
//!     let reserved = loop {
//!         match reserve.as_mut().poll(&mut Context::from_waker(&waker)) {
//!             Poll::Ready(reserved) => break reserved,
//!             Poll::Pending => driver.turn(None)?,
//!         }
//!     };
//!     match driver.backend().kind() {
//!         BackendKind::IoUring => assert_eq!(file.metadata()?.len(), 4096),
//!         _ => assert_eq!(reserved.unwrap_err().kind(), io::ErrorKind::Unsupported),
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Do not cancel requests with a raw entry (by descriptor, or all of them): the driver does not know of
//! such a cancel, and may repeat the cancelled request, as it repeats a request that the kernel has
//! dropped. Use [`Submit::cancel`](crate::Submit) or [`CancelToken`](crate::CancelToken).
//!
//! On Windows a raw request is an overlapped call: see `os::windows::RawEntry`.

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
mod socket;

pub use blocking::{Blocking, BlockingOn};
pub use buffer::{Filled, FilledVectored};
pub use fs::{
    Allocate, Close, CurrentDir, Open, ReadAt, ReadVectoredAt, Stat, StatFd, Sync, Truncate,
    WriteAt, WriteVectoredAt, WriteWith,
};
pub use net::{
    Accept, Connect, OwnsDescriptors, Received, Recv, RecvAncillary, RecvFrom, RecvMsg, Send,
    SendMsg, SendTo,
};
pub use nop::Nop;
pub use path::{Link, MakeDir, Remove, Rename};
pub use pipe::{Pipe, Splice};
pub use poll::{PollOnce, Readiness};
pub use socket::{Bind, Listen, Shutdown, Socket};

pub use crate::request::{Allocation, Position, Stat as Attributes, WriteFlags};
