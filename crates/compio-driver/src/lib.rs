//! The kernel interface of compio.
//!
//! An operation ([`op`]) builds a plain [`request`], is in flight while the kernel executes it, and
//! converts the completion into its output. There are two ways to use a [`Driver`]:
//!
//! - [`Driver::submit`] makes a future of an operation. A runtime polls it, and calls
//!   [`Driver::turn`] when no task is ready.
//! - [`Poller::push`] and [`Poller::poll`] need no futures.
//!
//! The driver knows wakers, but no tasks.

// First, for its macros.
#[macro_use]
mod metrics;

mod accept;
pub mod ancillary;
mod arena;
mod backend;
mod buffer_queue;
mod buffers;
mod cancel;
mod credentials;
mod direct;
mod driver;
mod fd;
mod key;
#[cfg(all(test, loom))]
mod loom_tests;
mod multishot;
mod notify;
pub mod op;
mod operation;
mod orphan;
#[doc(hidden)]
pub mod os_calls;
mod oversubscription;
mod per_process;
mod recv;
pub mod request;
mod slice_io;
mod spin;
mod stream;
mod submit;
mod sync;
mod sys;
mod thread_bound;
mod thread_pool;
#[cfg(feature = "tracing")]
#[doc(hidden)]
pub mod trace;
#[cfg(not(feature = "tracing"))]
mod trace;
mod wait_list;
mod zero_copy;

pub use accept::{AcceptOne, Acceptor};
pub use backend::{Backend, BackendKind};
pub use buffers::{BufferPool, PooledBuffer};
pub use cancel::{CancelScope, CancelToken, Cancelled};
pub use credentials::UCred;
pub use driver::{Driver, DriverBuilder, Entry, Poller};
pub use fd::{HeldFd, OwnsFd, SharedFd};
pub use metrics::{BufferPoolStats, DriverMetrics, OpKind, OpRecord, OpStats, PoolStats};
pub use operation::{Operation, Owned};
pub use os_calls::socket::peer_credentials;
#[doc(hidden)]
pub use per_process::{PerProcess, Process};
pub use request::is_cancelled;
#[doc(hidden)]
pub use slice_io::{SliceRecv, SliceSend};
pub use socket2::SockAddr;
pub use spin::{SPIN_MAX, SpinPolicy};
pub use stream::{AcceptStream, RecvStream};
pub use submit::Submit;
#[doc(hidden)]
pub use sys::start_thread;
pub use sys::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd, os};
pub use thread_bound::StaysOnItsThread;
pub use thread_pool::ThreadPool;
/// The earlier name of [`ThreadPool`].
#[doc(hidden)]
pub use thread_pool::ThreadPool as Pool;
pub use zero_copy::{Loan, SendZeroCopyFuture};
