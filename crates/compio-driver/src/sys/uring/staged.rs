//! Requests that need more than one entry: first a poll, then a call or an entry that must not block.
//!
//! Since Linux 6.12 (and 6.6.94) the submitting thread itself reads or writes a file without
//! `IOCB_NOWAIT` as soon as it is ready (`io_file_supports_nowait` in `io_uring/rw.c`). A terminal and
//! most devices then block nevertheless: until a whole write has room, or until the next byte arrives.
//! So this backend uses its own description of a terminal, in non-blocking mode. Transfers of other
//! devices go to an io-wq worker, which a cancel interrupts. Older kernels used the worker on their
//! own.

use std::{collections::HashMap, os::fd::OwnedFd};

use super::half_closed;
use crate::{
    key::Key,
    request::{Request, Transfer},
    sys::{
        Report,
        platform::kinds::{Kind, kind_of, private_of},
    },
};

/// The number of successive calls before the next turn.
const CALLS_MAX: u32 = 64;

/// The way in which a transfer of a file is made.
pub(super) enum Way {
    /// By an entry that does not block the submitting thread.
    Ring,
    /// By an entry for an io-wq worker.
    Worker,
    /// By this non-blocking call. If it returns EAGAIN, a poll waits for its readiness.
    Call(Transfer),
}

/// Determines the way of a transfer.
#[inline]
pub(super) fn way_of(request: &Request) -> Way {
    let Request::Transfer(transfer) = request else {
        return Way::Ring;
    };
    let fd = transfer.fd();
    match kind_of(fd) {
        Kind::File | Kind::Pipe | Kind::Socket | Kind::Memory | Kind::Anonymous => Way::Ring,
        Kind::Fuse | Kind::Device => Way::Worker,
        Kind::Terminal => {
            // A terminal has no positions. An offset beyond the largest file size is an error, which the
            // ring reports.
            let at_cursor = transfer.at_cursor();
            match (at_cursor, private_of(fd, Kind::Terminal)) {
                (Some(at_cursor), Some(private)) => Way::Call(at_cursor.with_fd(private)),
                (None, _) | (_, None) => Way::Worker,
            }
        }
    }
}

pub(super) enum Step {
    /// A poll that waits for readiness.
    Poll,
    /// The request is itself a poll for these events.
    Events(u32),
    /// A splice whose ends were ready.
    Splice,
    /// A pause, because no event reports readiness.
    Pause,
    /// The wait of a send for its next try: see [`retry`](super::retry).
    Retry,
}

/// The operations that are between two steps.
pub(super) struct Staged {
    steps: HashMap<u64, (Step, Option<OwnedFd>)>,
    calls_left: u32,
}

impl Staged {
    pub(super) fn new() -> Self {
        Self {
            steps: HashMap::new(),
            calls_left: CALLS_MAX,
        }
    }

    /// Renews the budget of calls for a turn.
    pub(super) fn renew(&mut self) {
        self.calls_left = CALLS_MAX;
    }

    /// Whether another call is permitted in this turn.
    pub(super) fn may_call(&mut self) -> bool {
        let left = self.calls_left.checked_sub(1);
        self.calls_left = left.unwrap_or(0);
        left.is_some()
    }

    /// Begins a step. `epoll` is closed at its end.
    pub(super) fn begin(&mut self, key: Key, step: Step, epoll: Option<OwnedFd>) {
        self.steps.insert(u64::from(key), (step, epoll));
    }

    pub(super) fn has(&self, key: Key) -> bool {
        !self.steps.is_empty() && self.steps.contains_key(&u64::from(key))
    }

    /// Whether it is a splice whose ends were ready.
    pub(super) fn is_splicing(&self, key: Key) -> bool {
        let step = self.steps.get(&u64::from(key));
        matches!(step, Some((Step::Splice, _)))
    }

    /// Ends a step. Returns the report for the operation.
    pub(super) fn end(&mut self, key: Key, result: i32) -> Report {
        let step = self.steps.remove(&u64::from(key));
        let answer = u32::try_from(result).map_err(|_| -result);
        let (step, epoll) = step.unzip();
        let is_by_epoll = epoll.flatten().is_some();
        match (step, answer) {
            (Some(Step::Retry), _) => Report::WouldBlock,
            (_, Err(libc::ECANCELED)) => Report::CanceledByKernel,
            (Some(Step::Events(_)), Ok(_)) if is_by_epoll => Report::Ready,
            (Some(Step::Events(events)), Ok(revents)) => {
                match half_closed::without_unrequested(revents, events) {
                    0 => Report::Ready,
                    revents => Report::Final(Ok(revents)),
                }
            }
            (Some(Step::Poll), Ok(_))
            | (Some(Step::Pause), Ok(_) | Err(libc::ETIME))
            | (Some(Step::Splice), Err(libc::EAGAIN | libc::EINTR)) => Report::Ready,
            (_, answer) => Report::Final(answer),
        }
    }
}
