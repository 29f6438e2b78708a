//! Common code of all unix systems: the types that requests point to, and each request as a plain,
//! blocking system call.

pub(crate) mod cmsg;
mod fd_generation;
pub(crate) mod mode;
pub(crate) mod nonblocking;
mod query;
mod syscall;
mod thread;
mod transfer;
mod types;

pub(crate) use crate::sys::platform::{RECEIVE_FLAGS, SEND_FLAGS};
#[allow(unused_imports, reason = "for `nowait` of Linux")]
pub(crate) use fd_generation::with_cached_flags;
pub(crate) use fd_generation::{FdGeneration, generation_of, kind_in_life, private_in_life};
pub(crate) use libc::{
    AT_FDCWD as CURRENT_DIR, EAGAIN, ECANCELED, EMSGSIZE, ENOBUFS, MSG_CTRUNC, MSG_PEEK, MSG_TRUNC,
    MSG_WAITALL, SHUT_RD, SHUT_RDWR, SHUT_WR,
};
pub(crate) use mode::{mode_of, prepare_to_send, set_nonblocking};
pub(crate) use query::{
    SLICES_REFUSED, answer, as_sock_ref, backlog, has_messages, is_listening, is_writable,
    last_error, outcome_of_connect, ready_now, set_option, silence_unreachable,
};
#[allow(unused_imports, reason = "each has callers on some systems")]
pub(crate) use query::{get_option, set_option_of};
pub(crate) use syscall::{call, call_in_thread, close, splice};
pub use thread::start_thread;
pub use types::{
    AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, Message, NativePath, OpenFlags, OwnedFd,
    PathUnit, PeerAddress, RawFd, RawSlice,
};
// Files and sockets share the numbers of descriptors.
pub(crate) use types::{
    DirectAttributes, borrow_as_file, own as file_from_raw, own as socket_from_raw,
};

/// The flag of a non-blocking receive or send.
pub(crate) const MSG_DONTWAIT: Option<i32> = Some(libc::MSG_DONTWAIT);

/// The state of a unix backend per operation: none.
#[derive(Debug)]
pub(crate) struct OpState;

impl OpState {
    pub(crate) fn new() -> Self {
        Self
    }
}

/// Receives with one of these flags do not consume the bytes that other receives wait for.
pub(crate) const BESIDE_THE_BYTES: i32 = libc::MSG_OOB | crate::sys::platform::ERROR_QUEUE;
