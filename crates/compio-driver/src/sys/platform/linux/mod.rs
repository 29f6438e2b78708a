//! System calls and constants of Linux.

mod advice;
mod allocate;
pub(crate) mod cmsg;
mod direct;
mod event;
pub(crate) mod kind;
pub(crate) mod kinds;
pub(crate) mod nowait;
mod process;
pub(crate) mod splices;
mod stat;

use std::{
    ffi::{c_char, c_int},
    io, mem,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
    ptr,
};

pub(crate) use self::{
    advice::with_advice,
    allocate::{allocate, fallocate_flags},
    direct::direct_attributes,
    event::EventFd,
    nowait::{rwf, write_with},
    process::process_number,
};
pub use self::{direct::DIRECT, stat::Stat};
use crate::{
    credentials::UCred,
    oversubscription::CpuSet,
    request::{Position, RawResult},
    sys::unix::{answer, last_error},
};

/// The CPUs on which this thread may run, if the system reports them.
pub(crate) fn processors_of_this_thread() -> Option<CpuSet> {
    let mut processors = CpuSet::default();
    // SAFETY: as many bytes as that are written to the set, which is made of whole `c_ulong`s.
    let result =
        unsafe { libc::sched_getaffinity(0, size_of::<CpuSet>(), (&raw mut processors).cast()) };
    (result == 0).then_some(processors)
}

/// Confines this thread to a set of CPUs.
pub(crate) fn confine_this_thread(processors: &CpuSet) -> RawResult {
    // SAFETY: as many bytes as that are read from the set.
    let result = unsafe {
        libc::sched_setaffinity(0, size_of::<CpuSet>(), ptr::from_ref(processors).cast())
    };
    answer(result)
}

/// The number of this thread, if the system has a directory of threads by number.
pub(crate) fn thread_number() -> Option<u32> {
    // SAFETY: it has no conditions.
    u32::try_from(unsafe { libc::gettid() }).ok()
}

/// The flag that turns the signal for a closed peer into an error.
pub(crate) const SEND: c_int = libc::MSG_NOSIGNAL;

/// Does nothing: [`SEND`] is a flag of each send.
pub(crate) fn silence_closed_peer(_: RawFd) {}

/// Whether no event reports that the last writer of a named pipe has closed it.
pub(crate) const FIFO_EVENTS_LACK_EOF: bool = false;

/// Whether `MSG_DONTWAIT` has no effect on a send.
pub(crate) const SENDS_IGNORE_DONTWAIT: bool = false;

/// Whether a second connect(2) reports the result of the first one.
pub(crate) const SECOND_CONNECT_REPORTS_FIRST: bool = true;

/// The flag that closes received descriptors on exec.
pub(crate) const RECEIVE: c_int = libc::MSG_CMSG_CLOEXEC;

/// The permitted flags of a send: the list of send(2).
pub(crate) const SEND_FLAGS: c_int = libc::MSG_CONFIRM
    | libc::MSG_DONTROUTE
    | libc::MSG_DONTWAIT
    | libc::MSG_EOR
    | libc::MSG_FASTOPEN
    | libc::MSG_MORE
    | libc::MSG_NOSIGNAL
    | libc::MSG_OOB;

/// The permitted flags of a receive: the list of recv(2).
pub(crate) const RECEIVE_FLAGS: c_int = libc::MSG_CMSG_CLOEXEC
    | libc::MSG_DONTWAIT
    | libc::MSG_ERRQUEUE
    | libc::MSG_OOB
    | libc::MSG_PEEK
    | libc::MSG_TRUNC
    | libc::MSG_WAITALL;

/// The flag that receives errors instead of bytes.
pub(crate) const ERROR_QUEUE: c_int = libc::MSG_ERRQUEUE;

/// The event of poll(2) for a socket that receives no more. recv(2) returns EAGAIN from an empty socket of
/// datagrams nevertheless, if it does not wait.
pub(crate) const RECEIVES_NO_MORE: u32 = libc::POLLRDHUP as u32;

/// The flag that opens a path without opening its file.
pub(crate) const PATH_ONLY: c_int = libc::O_PATH;

pub(crate) fn socket(domain: c_int, kind: c_int, protocol: c_int) -> RawResult {
    // SAFETY: no pointers are passed.
    answer(unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol) })
}

/// # Safety
///
/// `address` has room for `len` bytes.
pub(crate) unsafe fn accept(
    fd: RawFd,
    address: *mut libc::sockaddr,
    len: *mut libc::socklen_t,
) -> RawResult {
    // SAFETY: by this function's contract.
    answer(unsafe { libc::accept4(fd, address, len, libc::SOCK_CLOEXEC) })
}

pub(crate) fn sync_all(fd: RawFd) -> RawResult {
    // SAFETY: no pointers are passed.
    answer(unsafe { libc::fsync(fd) })
}

pub(crate) fn sync_data(fd: RawFd) -> RawResult {
    // SAFETY: no pointers are passed.
    answer(unsafe { libc::fdatasync(fd) })
}

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
    // SAFETY: by this function's contract.
    unsafe { statx(dir, path, flags, into) }
}

/// # Safety
///
/// `into` is valid for writes.
pub(crate) unsafe fn stat_fd(fd: RawFd, into: *mut Stat) -> RawResult {
    // SAFETY: by this function's contract.
    unsafe { statx(fd, c"".as_ptr(), libc::AT_EMPTY_PATH, into) }
}

/// Calls statx(2), or the older call if the kernel (before 4.11) lacks statx or a filter of system
/// calls refuses it: filters that are older than statx return EPERM as often as ENOSYS. If the file
/// system itself returned EPERM, the older call does so, too.
///
/// # Safety
///
/// `path` is a C string, `into` is valid for writes.
unsafe fn statx(dir: RawFd, path: *const c_char, flags: c_int, into: *mut Stat) -> RawResult {
    // SAFETY: by this function's contract; `Stat` is a `statx`.
    match answer(unsafe { libc::statx(dir, path, flags, Stat::MASK, into.cast()) }) {
        Err(libc::ENOSYS | libc::EPERM) => {}
        asked => return asked,
    }
    // SAFETY: a plain C struct, which the call fills in; the path and `into` by this function's
    // contract.
    unsafe {
        let mut stat: libc::stat = mem::zeroed();
        let asked = answer(libc::fstatat(dir, path, &raw mut stat, flags))?;
        into.write(Stat::from_older(&stat, None));
        Ok(asked)
    }
}

/// Moves the bytes that are available, or returns EAGAIN, as far as both ends support that: see
/// [`splices`].
pub(crate) fn splice(
    from: RawFd,
    from_position: Position,
    to: RawFd,
    to_position: Position,
    len: u32,
) -> RawResult {
    let (mut from_at, mut to_at) = (0_i64, 0_i64);
    let place = |position, at: &mut i64| match position {
        Position::Cursor => ptr::null_mut(),
        Position::At(offset) => {
            *at = offset as i64;
            &raw mut *at
        }
    };
    let from_at = place(from_position, &mut from_at);
    let to_at = place(to_position, &mut to_at);
    let flags = libc::SPLICE_F_NONBLOCK;
    // SAFETY: the offsets are null or locals that outlive the call.
    let moved = unsafe { libc::splice(from, from_at, to, to_at, len as usize, flags) };
    u32::try_from(moved).map_err(|_| last_error())
}

/// The descriptors are closed on exec already: see [`RECEIVE`].
pub(crate) fn close_received_on_exec(_: &OwnedFd) {}

pub(crate) fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<UCred> {
    // SAFETY: a plain C struct of numbers.
    let mut credentials: libc::ucred = unsafe { mem::zeroed() };
    let mut len = size_of_val(&credentials) as libc::socklen_t;
    // SAFETY: the option's value is at most `len` bytes long, and both outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut len,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(UCred {
        uid: credentials.uid,
        gid: credentials.gid,
        // The id is 0 if the peer belongs to another pid namespace.
        pid: (credentials.pid > 0).then_some(credentials.pid),
    })
}
