//! The part of compio that talks to the kernel.
//!
//! An operation ([`op`]) says what it asks as a plain [`request`], flies while the kernel has it,
//! and says at its end what the answer means. There are two ways to use a [`Driver`]:
//!
//! - [`Driver::submit`] makes a future of an operation. A runtime polls it, and calls
//!   [`Driver::turn`] when there is nothing else to do.
//! - [`Poller::push`] and [`Poller::poll`] need no futures at all.
//!
//! The driver knows wakers, but no tasks.

mod accept;
pub mod ancillary;
mod arena;
mod buffers;
mod cancel;
mod credentials;
mod driver;
mod fd;
#[cfg(all(test, loom))]
mod loom_tests;
mod multishot;
mod notify;
pub mod op;
mod operation;
mod oversubscription;
mod per_process;
mod recv;
pub mod request;
mod spin;
mod stream;
mod submit;
mod sync;
mod sys;
mod thread_bound;
mod thread_pool;
mod wait_list;

pub use accept::{AcceptOne, Acceptor};
pub use buffers::{BufferPool, PooledBuffer};
pub use cancel::{CancelScope, CancelToken, Cancelled};
pub use credentials::{UCred, peer_credentials};
pub use driver::{Backend, BackendKind, Driver, DriverBuilder, Entry, Poller};
pub use fd::{HeldFd, OwnsFd, SharedFd};
pub use operation::{Operation, Owned};
#[doc(hidden)]
pub use per_process::{PerProcess, Process};
pub use request::is_cancelled;
pub use socket2::SockAddr;
pub use spin::{SPIN_MAX, SpinPolicy};
pub use stream::{AcceptStream, Loan, RecvStream, SendZeroCopyFuture};
pub use submit::Submit;
#[doc(hidden)]
pub use sys::start_thread;
pub use sys::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd, os};
pub use thread_bound::StaysOnItsThread;
pub use thread_pool::Pool;
