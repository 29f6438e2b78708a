//! The kernels, one folder each, and the only platform switch of this crate.
//!
//! # The contract of a backend
//!
//! A backend turns a [`Request`] into whatever its kernel understands and
//! answers it once. It knows keys, not operations, and wakes nobody.
//!
//! - `launch(key, request)` either answers at once or makes sure that an answer to `key` comes out
//!   of a later `wait`. It never waits for room: what does not fit is kept and goes out first on
//!   the next occasion.
//! - **One request, one final answer**, also when it is cancelled, when it fails, and when the
//!   kernel reports about it several times.
//! - `cancel(key)` is a wish. It returns at once, it is never lost, and the target's own answer
//!   still comes: `ECANCELED`, or whatever happened first.
//! - Before the answer, everything that the request asked to be filled in has been filled in.
//! - `wait(timeout, ..)` submits what is pending, sleeps at most that long if there is nothing to
//!   report, and reports every answer that is there. It calls back for each, with no user code
//!   behind the callback.
//! - While it sleeps, a [`Notifier`](crate::notify::Notifier) on any thread ends the sleep.
//! - `prepare_to_sleep` is for a sleep elsewhere: once it has said yes, the notifier's event becomes
//!   readable when there is something to report, or when the notifier is notified.
//! - Descriptors and memory of a request stay valid until its final answer was reported: the
//!   arena of arena sees to it. So does the [`OpState`] that comes with it: a backend's own
//!   memory in the cell of the flight, at the same place until then.

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

/// What only one system has.
pub mod os {
    /// Linux.
    #[cfg(target_os = "linux")]
    pub mod linux {
        // What a `RawEntry` is made with: it has to be of this version.
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

/// What became of a request at its launch.
pub(crate) enum Submitted {
    /// The answer comes out of a later wait.
    InFlight,
    /// Here it is.
    Ready(Answer),
    /// The caller gives this to the thread pool, whose threads may block.
    ThreadPool(Request),
}

/// How a request is done once more that the kernel has given up of its own accord.
pub(crate) enum Resubmit {
    /// By the pool, with `repeat`: this blocks only for a while. The thread decides first whether the
    /// request may be executed twice.
    #[allow(dead_code, reason = "not every backend gives up")]
    Pool(Request),
    /// As before: it may wait for somebody else, and a thread that does could not be called back.
    #[allow(dead_code, reason = "not every backend gives up")]
    Kernel,
    /// Not at all: that was its answer, or may have been.
    Not,
}
