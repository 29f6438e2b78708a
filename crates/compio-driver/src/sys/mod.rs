//! The kernels, one folder each, and the only platform switch of this crate.
//!
//! # The contract of a backend
//!
//! A backend translates a [`Request`] into a call of its kernel, and completes it once. It knows keys,
//! not operations, and calls no wakers.
//!
//! - `launch(key, request)` either completes the request at once, or guarantees that a later `wait`
//!   reports a completion for `key`. It never waits for room: requests that do not fit are queued, and
//!   submitted first on the next occasion.
//! - **One request has one final completion**, also when it is cancelled, when it fails, and when the
//!   kernel posts several completions.
//! - `cancel(key)` is a request to cancel. It returns at once, and is never lost. The target's own
//!   completion still follows: `ECANCELED`, or its earlier result.
//! - The backend writes all results to the request's memory before it reports the completion.
//! - `wait(timeout, ..)` submits pending requests, sleeps for at most `timeout` if there is nothing to
//!   report, and reports every completion that is present. It makes a callback for each one, which runs
//!   no user code.
//! - A [`Notifier`](crate::notify::Notifier) on any thread ends the sleep.
//! - `prepare_to_sleep` is for a sleep elsewhere. Once it has returned true, the notifier's event
//!   becomes readable when there is something to report, or when the notifier is notified.
//! - Descriptors and memory of a request stay valid until its final completion has been reported: the
//!   arena guarantees that. This includes the [`OpState`] of a request: the backend's own memory in the
//!   cell of the operation, at a stable address until then.

use crate::request::{Answer, Request};

#[cfg(all(unix, not(target_os = "linux")))]
mod bsd;
#[cfg(all(test, not(loom), target_os = "linux"))]
mod faults;
#[cfg(windows)]
mod iocp;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(all(unix, not(target_os = "linux")))]
#[path = "platform/bsd/mod.rs"]
mod platform;
#[cfg(target_os = "linux")]
#[path = "platform/linux/mod.rs"]
mod platform;
#[cfg(unix)]
mod readiness;
#[cfg(target_os = "linux")]
#[path = "selector/epoll.rs"]
mod selector;
#[cfg(all(unix, not(target_os = "linux")))]
#[path = "selector/portable.rs"]
mod selector;
#[cfg(all(test, not(loom), target_os = "linux"))]
pub(crate) mod sim;
#[cfg(unix)]
mod unix;
#[cfg(target_os = "linux")]
mod uring;
#[cfg(windows)]
mod windows;

#[cfg(all(unix, not(target_os = "linux")))]
pub use bsd::RawEntry;
#[cfg(all(unix, not(target_os = "linux")))]
pub(crate) use bsd::{BACKENDS, Backend, Event, again, choose, repeat};
#[cfg(windows)]
pub use iocp::RawEntry;
#[cfg(windows)]
pub(crate) use iocp::{BACKENDS, Backend, Event, OpState, choose};
#[cfg(target_os = "linux")]
pub(crate) use linux::{BACKENDS, Event};
#[cfg(all(any(not(test), loom), target_os = "linux"))]
pub(crate) use linux::{Backend, choose};
#[cfg(unix)]
pub use platform::Stat;
#[cfg(unix)]
pub(crate) use platform::{peer_credentials, process_number, processors_of_this_thread};
#[cfg(unix)]
use selector::{Events, Poller};
#[cfg(all(test, not(loom), target_os = "linux"))]
pub(crate) use sim::{Backend, choose};
#[cfg(unix)]
pub use unix::{
    AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, Message, NativePath, OpenFlags, OwnedFd,
    PathUnit, PeerAddress, RawFd, RawSlice, start_thread,
};
#[cfg(unix)]
pub(crate) use unix::{
    CURRENT_DIR, EAGAIN, ECANCELED, ENOBUFS, FdGeneration, MSG_CTRUNC, MSG_DONTWAIT, MSG_PEEK,
    MSG_TRUNC, MSG_WAITALL, OpState, RECEIVE_FLAGS, SEND_FLAGS, SHUT_RD, SHUT_RDWR, SHUT_WR,
    SLICES_REFUSED, as_sock_ref, borrow_as_file, call_in_thread, close, cmsg, has_messages,
    own_file, own_socket, set_option,
};
#[cfg(target_os = "linux")]
pub use uring::RawEntry;
#[cfg(target_os = "linux")]
pub(crate) use uring::{again, repeat};
#[cfg(windows)]
pub use windows::{
    AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, Message, NativePath, OpenFlags, OwnedFd,
    PathUnit, PeerAddress, RawFd, RawSlice, Stat, start_thread,
};
#[cfg(windows)]
pub(crate) use windows::{
    CURRENT_DIR, EAGAIN, ECANCELED, ENOBUFS, FdGeneration, MSG_CTRUNC, MSG_DONTWAIT, MSG_PEEK,
    MSG_TRUNC, MSG_WAITALL, RECEIVE_FLAGS, SEND_FLAGS, SHUT_RD, SHUT_RDWR, SHUT_WR, SLICES_REFUSED,
    again, as_sock_ref, borrow_as_file, call as call_in_thread, close, cmsg, has_messages,
    own_file, own_socket, peer_credentials, process_number, processors_of_this_thread, repeat,
    set_option,
};

#[cfg(target_os = "linux")]
#[path = "../os_calls/linux.rs"]
mod linux_calls;
/// The parts of the [`Os` seam](crate::os_calls) that differ between systems, and the only modules here
/// that are above the backends.
#[cfg(unix)]
#[path = "../os_calls/unix/mod.rs"]
pub mod system_calls;
#[cfg(windows)]
#[path = "../os_calls/windows.rs"]
pub mod system_calls;

/// APIs of single systems.
pub mod os {
    /// Linux.
    #[cfg(target_os = "linux")]
    pub mod linux {
        // A `RawEntry` is built with this crate, in this version.
        pub use io_uring;

        pub use crate::sys::uring::RawEntry;
    }

    /// Windows.
    #[cfg(windows)]
    pub mod windows {
        pub use crate::sys::{
            iocp::{Begin, Begun, RawEntry},
            windows::{
                NamedPipeFlags, NamedPipeInfo, assume_overlapped, create_named_pipe,
                disconnect_named_pipe, named_pipe_info,
                op::{
                    Change, ChangeKind, Changes, ConnectNamedPipe, DeviceIoControl,
                    DirectoryChanges, DisconnectEx, ReadDirectoryChanges, open_directory,
                },
                set_named_pipe_mode, try_lock_file, unlock_file,
            },
        };
    }
}

/// A buffer ring: the kernel's side of a pool whose buffers the kernel picks.
pub(crate) trait BufferRing {
    /// The buffer group ID, which requests name.
    fn group(&self) -> u16;

    /// Offers a buffer to the kernel.
    ///
    /// # Safety
    ///
    /// There are `len` bytes at `start`. No other code uses them until the kernel has returned the buffer
    /// with this ID, or the ring has been dropped.
    unsafe fn put(&self, id: u16, start: *mut u8, len: u32);

    /// Whether the stream is at EOF, possibly behind unread bytes; true if the kernel does not report it.
    /// A multishot receive may miss the EOF and continue to wait.
    fn has_ended(&self, fd: RawFd) -> bool;
}

/// The outcome of a launch.
pub(crate) enum Submitted {
    /// A later wait reports the completion.
    InFlight,
    /// The request has completed with this result.
    Ready(Answer),
    /// The caller passes the request to the thread pool, whose threads may block.
    ThreadPool(Request),
}

/// How to repeat a request that the kernel has cancelled on its own.
pub(crate) enum Resubmit {
    /// By `repeat` on a thread of the pool: it blocks for a limited time only. The thread decides first
    /// whether the request may be executed twice.
    #[allow(dead_code, reason = "not every backend gives up")]
    Pool(Request),
    /// By another launch: it may wait for a peer, and then a thread could not be interrupted.
    #[allow(dead_code, reason = "not every backend gives up")]
    Kernel,
    /// Not at all: this was the request's own result, or may have been.
    Not,
}
