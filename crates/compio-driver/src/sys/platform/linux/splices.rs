//! Splices that never wait while they hold a pipe's lock.
//!
//! A splice holds the lock of its pipe from beginning to end. A thread that uses or closes the other
//! end of the pipe waits for that lock, uninterruptibly. `SPLICE_F_NONBLOCK` applies to the pipe only.
//! A socket (`tcp_splice_read`, `splice_to_socket`) and a device obey their own `O_NONBLOCK` only, up
//! to Linux 6.18. So a splice starts when both ends are ready, for no more bytes than they have room
//! for.

use std::mem;

use super::kinds::{Kind, kind_of, private_of};
use crate::{
    request::{RawFd, Splice, ready},
    sys::unix::{get_option, ready_now},
};

/// The next step of a splice.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Next {
    /// This descriptor has to become ready for these `poll(2)` bits first.
    Wait(RawFd, u32),
    /// No event reports when the call can succeed: it is tried again after a pause.
    Later,
    /// The call can be made on this thread: it does not block.
    Call(Splice),
    /// The poll of an end failed with this code, which is the result.
    Refused(i32),
    /// Another thread has to make the call: it may wait for a disk.
    Thread(Splice),
}

/// The largest transfer to a socket in blocking mode.
const ROOM_MAX: u32 = 64 * 1024;

pub(crate) fn next(splice: &Splice) -> Next {
    let Splice { from, to, len, .. } = *splice;
    let (source, target) = (kind_of(from), kind_of(to));
    // The call returns 0 for an empty transfer, and an error without a pipe.
    if len == 0 || source != Kind::Pipe && target != Kind::Pipe {
        return Next::Call(*splice);
    }
    for (fd, kind, events) in [(from, source, ready::IN), (to, target, ready::OUT)] {
        // A poll of a FUSE file queries its program, which may take its time.
        if matches!(kind, Kind::File | Kind::Fuse) {
            continue;
        }
        if let Some(next) = unready(fd, kind, events) {
            return next;
        }
    }
    let own = |fd, kind| match kind {
        Kind::Terminal => private_of(fd, kind).unwrap_or(fd),
        Kind::File
        | Kind::Fuse
        | Kind::Pipe
        | Kind::Socket
        | Kind::Memory
        | Kind::Anonymous
        | Kind::Device => fd,
    };
    let (from, to) = (own(from, source), own(to, target));
    let may_wait = [(from, source), (to, target)].map(|(fd, kind)| may_wait(fd, kind));
    let splice = Splice {
        from,
        to,
        len: if may_wait[1] {
            len.min(room_of(to, target))
        } else {
            len
        },
        ..*splice
    };
    if may_wait == [false; 2] {
        Next::Call(splice)
    } else {
        Next::Thread(splice)
    }
}

/// As [`next`], for a thread that makes the call later. None if both ends are still ready.
pub(crate) fn recheck(splice: &Splice) -> Option<Next> {
    [(splice.from, ready::IN), (splice.to, ready::OUT)]
        .map(|(fd, events)| (fd, kind_of(fd), events))
        .into_iter()
        .filter(|(_, kind, _)| !matches!(kind, Kind::File | Kind::Fuse))
        .find_map(|(fd, kind, events)| unready(fd, kind, events))
}

/// None if an end of a splice is ready.
fn unready(fd: RawFd, kind: Kind, events: u32) -> Option<Next> {
    match ready_now(fd, events) {
        Ok(0) => Some(Next::Wait(fd, events)),
        // An error of the socket, or only an entry in its error queue (`IP_RECVERR`, timestamps,
        // `MSG_ZEROCOPY`). The queue keeps POLLERR up, and a splice would wait for bytes.
        Ok(ready::ERR) if kind == Kind::Socket => {
            match get_option(fd, libc::SOL_SOCKET, libc::SO_ERROR) {
                Ok(0) => Some(Next::Later),
                Ok(code) | Err(code) => Some(Next::Refused(code)),
            }
        }
        Ok(_) => None,
        Err(code) => Some(Next::Refused(code)),
    }
}

/// Whether a splice may wait for this end although it is non-blocking.
fn may_wait(fd: RawFd, kind: Kind) -> bool {
    match kind {
        Kind::Pipe | Kind::Memory => false,
        Kind::File | Kind::Fuse => true,
        Kind::Socket | Kind::Terminal | Kind::Anonymous | Kind::Device => {
            // SAFETY: no pointers are passed.
            let mode = unsafe { libc::fcntl(fd, libc::F_GETFL) };
            mode >= 0 && mode & libc::O_NONBLOCK == 0
        }
    }
}

/// The number of bytes that a writable end takes without waiting for more room.
fn room_of(fd: RawFd, kind: Kind) -> u32 {
    match kind {
        Kind::Socket => room_of_socket(fd),
        // A device is ready when it has room for one byte.
        Kind::Terminal | Kind::Device => 1,
        Kind::File | Kind::Fuse | Kind::Pipe | Kind::Memory | Kind::Anonymous => u32::MAX,
    }
}

/// Half of the free room of the send buffer: a socket counts its own structures, too.
fn room_of_socket(fd: RawFd) -> u32 {
    // `SK_MEMINFO_*` of `SO_MEMINFO` (Linux 4.12).
    const ALLOCATED: usize = 2;
    const LIMIT: usize = 3;
    const QUEUED: usize = 5;
    let mut info = [0_u32; 9];
    let mut len = size_of_val(&info) as libc::socklen_t;
    // SAFETY: `len` bytes at `info`, both outlive the call.
    let asked = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if asked != 0 || (len as usize) <= QUEUED * mem::size_of::<u32>() {
        return libc::PIPE_BUF as u32;
    }
    let used = info[ALLOCATED].max(info[QUEUED]);
    let room = info[LIMIT].saturating_sub(used) / 2;
    // The limit of unsent bytes, if the socket has one, also applies.
    let limit = not_sent_limit(fd).map_or(ROOM_MAX, |limit| limit / 2);
    room.min(limit).clamp(1, ROOM_MAX)
}

/// `TCP_NOTSENT_LOWAT`, if it is set.
fn not_sent_limit(fd: RawFd) -> Option<u32> {
    let limit = get_option(fd, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT).ok()?;
    // The kernel's type has no sign.
    let limit = limit.cast_unsigned();
    (limit > 0).then_some(limit)
}
