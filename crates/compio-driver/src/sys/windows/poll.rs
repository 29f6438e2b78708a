//! The readiness of a socket at this moment. No call here waits.

use std::ptr;

use windows_sys::Win32::Networking::WinSock::{
    FD_SET, POLLERR, POLLHUP, POLLNVAL, POLLRDBAND, POLLRDNORM, POLLWRNORM, SOCKET, TIMEVAL,
    WSAPOLLFD, WSAPoll, select,
};

use super::{
    errno::last_error,
    fake::{self, Call},
    net::is_connected,
    syscall::as_socket,
};
use crate::{
    request::{RawResult, ready},
    sys::RawFd,
};

/// As [`poll_now`], of a handle that may be no socket.
pub(crate) fn ready_now(fd: RawFd, events: u32) -> RawResult {
    poll_now(as_socket(fd), events)
}

/// The subset of these `poll(2)` bits that is set for the socket now, and always its error bits.
pub(crate) fn poll_now(socket: SOCKET, events: u32) -> RawResult {
    const PAIRS: [(u32, i16); 6] = [
        (ready::IN, POLLRDNORM),
        (ready::PRI, POLLRDBAND),
        (ready::OUT, POLLWRNORM),
        (ready::ERR, POLLERR),
        (ready::HUP, POLLHUP),
        (ready::NVAL, POLLNVAL),
    ];
    let may_be_asked = ready::IN | ready::PRI | ready::OUT;
    let mut entry = WSAPOLLFD {
        fd: socket,
        events: PAIRS
            .iter()
            .filter(|(bit, _)| events & may_be_asked & bit != 0)
            .fold(0, |sum, (_, theirs)| sum | theirs),
        revents: 0,
    };
    let revents = revents(&mut entry)?;
    Ok(PAIRS
        .iter()
        .filter(|(_, theirs)| revents & theirs != 0)
        .fold(0, |sum, (bit, _)| sum | bit))
}

fn revents(entry: &mut WSAPOLLFD) -> Result<i16, i32> {
    if let Some(answer) = fake::answer(Call::Poll) {
        return answer.map(|revents| revents as i16);
    }
    // SAFETY: one entry, which outlives the call.
    if unsafe { WSAPoll(entry, 1, 0) } < 0 {
        return Err(last_error());
    }
    Ok(entry.revents)
}

/// As [`poll_now`], and also for a socket that connects: `WSAPoll` before Windows 10 2004 does not report
/// that a connect has failed. The bits are the ones of later versions then.
pub(crate) fn poll_connecting(socket: SOCKET, events: u32) -> RawResult {
    match poll_now(socket, events) {
        Ok(0) if has_failed_to_connect(socket) => Ok(ready::ERR | ready::HUP | events & ready::OUT),
        answer => answer,
    }
}

/// Whether a connect of this socket has failed. `SO_ERROR` would report it, too, but forgets the error.
fn has_failed_to_connect(socket: SOCKET) -> bool {
    let mut failed = FD_SET {
        fd_count: 1,
        fd_array: [0; 64],
    };
    failed.fd_array[0] = socket;
    let now = TIMEVAL {
        tv_sec: 0,
        tv_usec: 0,
    };
    // SAFETY: all pointers are null, or outlive the call.
    let count = unsafe { select(0, ptr::null_mut(), ptr::null_mut(), &mut failed, &now) };
    // The set has two meanings. Out-of-band data is of a connected socket.
    count > 0 && !is_connected(socket)
}

#[cfg(all(test, not(loom)))]
mod tests;
