//! Polls of sockets whose peer has shut down its sending side.
//!
//! io_uring adds `EPOLLRDHUP` to the events of each poll (`IO_POLL_UNMASK`, in all versions up to Linux 6.18).
//! poll(2) and epoll report it on request only. After the peer's FIN, a poll for `POLLOUT` completes at once,
//! however full the send buffer is: a loop of tries and polls would use a whole processor. The kernel's own
//! retries of a send do so as well, 128 times (`APOLL_MAX_RETRY`), and then block a worker thread of io-wq.
//!
//! Such a descriptor is registered with an epoll instance of its own, and the ring polls that instance.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

use crate::{request::ready, sys::unix::poll_now};

/// The peer has shut down its sending side.
pub(super) const RDHUP: u32 = libc::POLLRDHUP as u32;

/// The result of a poll(2) that does not wait.
pub(super) enum Now {
    /// None of the events, or an error that the ring reports: there is no such descriptor, or poll(2) fails.
    Pending,
    /// Requested events, `POLLERR` or `POLLHUP`.
    Ready(u32),
    /// `POLLRDHUP` alone, which was not requested: a poll by the ring completes at once.
    HalfClosed,
}

/// Polls without waiting.
pub(super) fn poll(fd: RawFd, events: u32) -> Now {
    match poll_now(fd, events | RDHUP) {
        Ok(0 | ready::NVAL) | Err(_) => Now::Pending,
        Ok(revents) => match without_unrequested(revents, events) {
            0 => Now::HalfClosed,
            revents => Now::Ready(revents),
        },
    }
}

/// The events without a `POLLRDHUP` that was not requested.
pub(super) fn without_unrequested(revents: u32, events: u32) -> u32 {
    revents & (events | !RDHUP)
}

/// An epoll instance that is readable as soon as the descriptor has one of the events.
pub(super) fn watch(fd: RawFd, events: u32) -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed; the descriptor is new.
    let epoll = unsafe {
        let epoll = libc::epoll_create1(libc::EPOLL_CLOEXEC);
        if epoll < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(epoll)
    };
    let mut event = libc::epoll_event { events, u64: 0 };
    // SAFETY: the event outlives the call.
    let added =
        unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) };
    if added < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(epoll)
}
