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
    os::fd::{OwnedFd, RawFd},
};

use crate::{
    request::ready,
    sys::{selector, unix::ready_now},
};

/// The peer has shut down its sending side.
pub(super) const RDHUP: u32 = libc::POLLRDHUP as u32;

/// The result of a poll(2) that does not wait.
pub(super) enum Now {
    /// None of the events.
    Pending,
    /// Requested events, `POLLERR` or `POLLHUP`.
    Ready(u32),
    /// `POLLRDHUP` alone, which was not requested: a poll by the ring completes at once.
    HalfClosed,
    /// There is no such descriptor, or poll(2) fails. The ring has the error, if it is one.
    Unknown,
}

/// Polls without waiting.
pub(super) fn poll(fd: RawFd, events: u32) -> Now {
    match ready_now(fd, events | RDHUP) {
        Ok(0) => Now::Pending,
        Ok(ready::NVAL) | Err(_) => Now::Unknown,
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
    let epoll = selector::create()?;
    selector::control(&epoll, libc::EPOLL_CTL_ADD, fd, events, 0)?;
    Ok(epoll)
}
