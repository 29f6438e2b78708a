//! Features of macOS and the BSDs that differ from Linux, and stubs of missing ones.
//!
//! `native.rs` has the calls and constants of these systems that Linux lacks; `linux.rs` replaces them in
//! builds for Linux with `--cfg compio_portable`.

pub(crate) mod cmsg;
pub(crate) mod kinds;
#[cfg(compio_portable)]
#[path = "linux.rs"]
mod native;
#[cfg(not(compio_portable))]
mod native;
pub(crate) mod nowait;
#[cfg(any(target_vendor = "apple", compio_portable))]
mod prepare;
mod process;
pub(crate) mod splices;
mod stat;
#[cfg(any(target_vendor = "apple", compio_portable))]
mod sync;

use std::{
    ffi::{c_char, c_int},
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

pub use self::{native::DIRECT, stat::Stat};
pub(crate) use self::{
    native::{
        FIFO_EVENTS_LACK_EOF, RECEIVE, RECEIVES_NO_MORE, SECOND_CONNECT_REPORTS_FIRST, SEND,
        SENDS_IGNORE_DONTWAIT, accept, direct_attributes, socket, sync_all, sync_data,
    },
    process::process_number,
};
use crate::{
    credentials::UCred,
    oversubscription::CpuSet,
    request::{Allocation, Position, RawResult, Span, WriteFlags},
    sys::unix::answer,
};

/// The number of this thread, if the system has a directory of threads by number.
pub(crate) fn thread_number() -> Option<u32> {
    None
}

/// The CPUs on which this thread may run, if the system reports them.
pub(crate) fn processors_of_this_thread() -> Option<CpuSet> {
    None
}

/// These systems have no common call for this.
pub(crate) fn confine_this_thread(_: &CpuSet) -> RawResult {
    Err(libc::ENOTSUP)
}

/// The permitted flags of a send: those of send(2) that all of these systems have.
pub(crate) const SEND_FLAGS: c_int =
    libc::MSG_DONTROUTE | libc::MSG_DONTWAIT | libc::MSG_EOR | libc::MSG_OOB;

/// The permitted flags of a receive: likewise of recv(2).
pub(crate) const RECEIVE_FLAGS: c_int =
    libc::MSG_DONTWAIT | libc::MSG_OOB | libc::MSG_PEEK | libc::MSG_TRUNC | libc::MSG_WAITALL;

/// The flag that receives errors instead of bytes.
pub(crate) const ERROR_QUEUE: c_int = 0;

/// The flag that opens a path without opening its file.
pub(crate) const PATH_ONLY: c_int = 0;

/// # Safety
///
/// `path` is a C string, `into` is valid for writes.
pub(crate) unsafe fn stat(
    dir: RawFd,
    path: *const c_char,
    follow: bool,
    into: *mut Stat,
) -> RawResult {
    let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    // SAFETY: by this function's contract; `Stat` is a `stat`.
    answer(unsafe { libc::fstatat(dir, path, into.cast(), flags) })
}

/// # Safety
///
/// `into` is valid for writes.
pub(crate) unsafe fn stat_fd(fd: RawFd, into: *mut Stat) -> RawResult {
    // SAFETY: by this function's contract; `Stat` is a `stat`.
    answer(unsafe { libc::fstat(fd, into.cast()) })
}

/// These systems have no common call for this.
///
/// # Safety
///
/// None.
pub(crate) unsafe fn allocate(_: RawFd, _: Allocation, _: u64, _: u64) -> RawResult {
    Err(libc::EOPNOTSUPP)
}

/// These systems have no flags of a single write.
///
/// # Safety
///
/// None.
pub(crate) unsafe fn write_with(_: RawFd, _: Span, _: u64, _: WriteFlags) -> RawResult {
    Err(libc::EOPNOTSUPP)
}

/// Only Linux has this call.
pub(crate) fn splice(_: RawFd, _: Position, _: RawFd, _: Position, _: u32) -> RawResult {
    Err(libc::EOPNOTSUPP)
}

/// Sends to a closed peer fail, instead of raising a signal. Once for each life of a socket, also of one that
/// other code has made: with its kind.
pub(crate) fn silence_closed_peer(fd: RawFd) {
    kinds::kind_of(fd);
}

/// A process that starts between the receive and this call inherits the descriptor nevertheless. On systems
/// with a flag for it the call changes nothing.
pub(crate) fn close_received_on_exec(fd: &OwnedFd) {
    // SAFETY: no pointers are passed.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
}

pub(crate) fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<UCred> {
    let (uid, gid) = native::peer_ids(socket)?;
    Ok(UCred {
        uid,
        gid,
        pid: None,
    })
}
