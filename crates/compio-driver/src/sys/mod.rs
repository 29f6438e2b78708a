//! The kernels, one folder each, and the only platform switch of this crate.
//!
//! `backend.rs` is the contract that they implement.
//!
//! `--cfg compio_portable` builds the backend and the system calls of macOS and the BSDs on Linux, so that
//! their code runs in CI. It is for tests of this crate: see `platform/bsd/linux.rs`.

mod backend;
#[cfg(all(unix, any(not(target_os = "linux"), compio_portable)))]
mod bsd;
#[cfg(any(test, not(compio_portable)))]
#[cfg(target_os = "linux")]
mod either;
#[cfg(all(test, not(loom), target_os = "linux"))]
mod faults;
#[cfg(windows)]
mod iocp;
#[cfg(all(target_os = "linux", not(compio_portable)))]
mod linux;
#[cfg(all(
    any(test, all(feature = "sim", not(compio_portable))),
    not(loom),
    target_os = "linux"
))]
mod parts;
#[cfg(all(unix, any(not(target_os = "linux"), compio_portable)))]
#[path = "platform/bsd/mod.rs"]
mod platform;
#[cfg(all(target_os = "linux", not(compio_portable)))]
#[path = "platform/linux/mod.rs"]
mod platform;
#[cfg(all(test, not(loom), target_os = "linux"))]
mod programs;
#[cfg(unix)]
mod readiness;
#[cfg(unix)]
mod ready_event;
mod retries;
#[cfg(all(
    any(test, all(feature = "sim", not(compio_portable))),
    not(loom),
    target_os = "linux"
))]
mod rng;
#[cfg(all(target_os = "linux", not(compio_portable)))]
#[path = "selector/epoll.rs"]
mod selector;
#[cfg(all(unix, any(not(target_os = "linux"), compio_portable)))]
#[path = "selector/portable.rs"]
mod selector;
#[cfg(all(test, not(loom), target_os = "linux"))]
pub(crate) mod sim;
#[cfg(all(feature = "sim", not(loom), target_os = "linux", not(compio_portable)))]
pub(crate) mod simulated;
#[cfg(unix)]
mod unix;
#[cfg(all(target_os = "linux", not(compio_portable)))]
mod uring;
#[cfg(windows)]
mod windows;

#[cfg(all(
    test,
    not(loom),
    target_os = "linux",
    any(not(feature = "sim"), compio_portable)
))]
use self::{RealBackend as BelowTests, choose_real as choose_below_tests};
pub(crate) use backend::{
    Backend, BufferRing, Capabilities, PickBuffer, Report, Resubmit, Submitted,
};
#[cfg(all(unix, any(not(target_os = "linux"), compio_portable)))]
pub use bsd::RawEntry;
#[cfg(all(unix, any(not(target_os = "linux"), compio_portable)))]
pub(crate) use bsd::{BACKENDS, Event};
#[cfg(any(
    all(unix, not(target_os = "linux")),
    all(any(not(test), loom), compio_portable)
))]
pub(crate) use bsd::{RealBackend as SystemBackend, choose};
#[cfg(all(test, not(loom), compio_portable))]
use bsd::{RealBackend, choose as choose_real, resubmit};
#[cfg(windows)]
pub use iocp::RawEntry;
#[cfg(windows)]
pub(crate) use iocp::{BACKENDS, Event, Iocp as SystemBackend, OpState, choose};
#[cfg(all(target_os = "linux", not(compio_portable)))]
pub(crate) use linux::{BACKENDS, Event};
#[cfg(all(
    any(all(not(test), not(feature = "sim")), loom),
    target_os = "linux",
    not(compio_portable)
))]
pub(crate) use linux::{RealBackend as SystemBackend, choose};
#[cfg(all(
    any(test, feature = "sim"),
    not(loom),
    target_os = "linux",
    not(compio_portable)
))]
use linux::{RealBackend, choose as choose_real};
#[cfg(unix)]
pub use platform::DIRECT;
#[cfg(unix)]
pub use platform::Stat;
#[cfg(unix)]
pub(crate) use platform::{
    confine_this_thread, direct_attributes, peer_credentials, process_number,
    processors_of_this_thread, thread_number,
};
#[cfg(unix)]
use selector::{Events, Poller, is_refusal};
#[cfg(all(test, not(loom), target_os = "linux"))]
pub(crate) use sim::{TestBackend as SystemBackend, choose};
#[cfg(all(
    feature = "sim",
    test,
    not(loom),
    target_os = "linux",
    not(compio_portable)
))]
use simulated::{Backend as BelowTests, choose as choose_below_tests};
#[cfg(all(
    feature = "sim",
    not(test),
    not(loom),
    target_os = "linux",
    not(compio_portable)
))]
pub(crate) use simulated::{Backend as SystemBackend, choose};
#[cfg(all(unix, any(not(target_os = "linux"), compio_portable)))]
pub(crate) use unix::call_in_thread as repeat;
#[cfg(unix)]
pub use unix::{
    AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, Message, NativePath, OpenFlags, OwnedFd,
    PathUnit, PeerAddress, RawFd, RawSlice, start_thread,
};
#[cfg(unix)]
pub(crate) use unix::{
    BESIDE_THE_BYTES, CURRENT_DIR, EAGAIN, ECANCELED, EMSGSIZE, ENOBUFS, FdGeneration, MSG_CTRUNC,
    MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC, MSG_WAITALL, OpState, RECEIVE_FLAGS, SEND_FLAGS, SHUT_RD,
    SHUT_RDWR, SHUT_WR, SLICES_REFUSED, as_sock_ref, backlog, borrow_as_file, call_in_thread,
    close, cmsg, file_from_raw, has_messages, is_listening, nonblocking, ready_now, set_option,
    silence_unreachable, socket_from_raw,
};
#[cfg(all(target_os = "linux", not(compio_portable)))]
pub use uring::RawEntry;
#[cfg(all(target_os = "linux", not(compio_portable)))]
pub(crate) use uring::repeat;
#[cfg(all(test, not(loom), target_os = "linux", not(compio_portable)))]
use uring::resubmit;
#[cfg(windows)]
pub use windows::{
    AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, Message, NativePath, OpenFlags, OwnedFd,
    PathUnit, PeerAddress, RawFd, RawSlice, Stat, start_thread,
};
#[cfg(windows)]
pub(crate) use windows::{
    BESIDE_THE_BYTES, CURRENT_DIR, EAGAIN, ECANCELED, EMSGSIZE, ENOBUFS, FdGeneration, MSG_CTRUNC,
    MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC, MSG_WAITALL, RECEIVE_FLAGS, SEND_FLAGS, SHUT_RD, SHUT_RDWR,
    SHUT_WR, SLICES_REFUSED, as_sock_ref, backlog, borrow_as_file, call as call_in_thread,
    call as repeat, close, cmsg, confine_this_thread, file_from_raw, has_messages, nonblocking,
    peer_credentials, process_number, processors_of_this_thread, ready_now, set_option,
    silence_unreachable, socket_from_raw, thread_number,
};

#[cfg(all(target_os = "linux", not(compio_portable)))]
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

/// Returns the result of a call from the function, if a simulated host executes it: a function of
/// `simulated/calls.rs` or `socket_calls.rs`. Without the feature `sim` it is empty.
#[cfg(all(feature = "sim", not(loom), target_os = "linux", not(compio_portable)))]
macro_rules! in_simulation {
    ($function:ident($($argument:expr),* $(,)?)) => {
        if let Some(result) = $crate::sys::simulated::calls::$function($($argument),*) {
            return result;
        }
    };
    ($fd:expr => $method:ident($($argument:expr),* $(,)?)) => {
        if let Some(socket) = $crate::sys::simulated::socket_calls::socket($fd) {
            return socket.$method($($argument),*);
        }
    };
}
#[cfg(not(all(feature = "sim", not(loom), target_os = "linux", not(compio_portable))))]
macro_rules! in_simulation {
    ($($call:tt)*) => {};
}
pub(crate) use in_simulation;

/// APIs of single systems.
pub mod os {
    /// Linux.
    #[cfg(all(target_os = "linux", not(compio_portable)))]
    pub mod linux {
        // A `RawEntry` is built with this crate, in this version.
        pub use io_uring;

        pub use crate::sys::uring::RawEntry;
    }

    /// The simulated system, for `compio::sim`.
    #[cfg(all(feature = "sim", not(loom), target_os = "linux", not(compio_portable)))]
    #[doc(hidden)]
    pub mod simulated {
        pub use crate::sys::simulated::{
            AddHostError, Advanced, ClockFaults, CompletionCounts, CompletionFaults, DiskCounts,
            DiskFaults, EnteredHost, Fault, FaultRecord, HostId, LinkState, NetworkCounts,
            NetworkFaults, Settings, Unsynced, World, current, symbols,
        };
    }

    /// Windows.
    #[cfg(windows)]
    pub mod windows {
        pub use crate::sys::{
            iocp::{Begin, Begun, RawEntry},
            windows::{
                NamedPipeFlags, NamedPipeInfo, assume_append_only, assume_overlapped,
                assume_synchronous, create_named_pipe, disconnect_named_pipe, named_pipe_info,
                op::{
                    Change, ChangeKind, Changes, ConnectNamedPipe, DeviceIoControl,
                    DirectoryChanges, DisconnectEx, ReadDirectoryChanges, open_directory,
                },
                set_named_pipe_mode, try_lock_file, unlock_file,
            },
        };
    }
}
