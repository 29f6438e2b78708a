//! Requests that the ring does not answer by one entry: a poll comes first, and then a call, or an entry that
//! must not wait.
//!
//! Since Linux 6.12 (and 6.6.94) a read or write of a file that does not know `IOCB_NOWAIT` is made on the
//! submitting thread as soon as the file is ready (`io_file_supports_nowait` in `io_uring/rw.c`). A terminal
//! and most devices then wait all the same: for the room for a whole write, or for the next byte. So a
//! terminal is read and written by a description of our own, in non-blocking mode, and any other device
//! goes to an io-wq worker, which a cancel interrupts. Older kernels took the worker of their own accord.

use std::{collections::HashMap, os::fd::OwnedFd};

use super::half_closed;
use crate::{
    arena::Key,
    request::{File, Position, Report, Request, ready},
    sys::platform::kinds::{Kind, kind_of, private_of},
};

/// How many calls in a row are made before the kernel is looked at.
const CALLS_MAX: u32 = 64;

/// How a transfer of a file is made.
pub(super) enum Way {
    /// By an entry, which does not make the submitting thread wait.
    Ring,
    /// By an entry for a worker of the kernel.
    Worker,
    /// By this call, which does not wait. If it cannot be made now, these `poll(2)` bits tell when.
    Call(File, u32),
}

/// How a transfer is made.
#[inline]
pub(super) fn way_of(request: &Request) -> Way {
    let Request::File(file) = request else {
        return Way::Ring;
    };
    let (File::Read { fd, .. }
    | File::ReadVectored { fd, .. }
    | File::Write { fd, .. }
    | File::WriteVectored { fd, .. }) = *file
    else {
        return Way::Ring;
    };
    match kind_of(fd) {
        Kind::File | Kind::Pipe | Kind::Socket | Kind::Memory | Kind::Anonymous => Way::Ring,
        Kind::Fuse | Kind::Device => Way::Worker,
        Kind::Terminal => match private_of(fd, Kind::Terminal) {
            Some(private) => with_private(file, private),
            None => Way::Worker,
        },
    }
}

/// The same transfer at the cursor of another descriptor: a terminal has no positions.
fn with_private(file: &File, private: i32) -> Way {
    let mut file = *file;
    let (fd, position, events) = match &mut file {
        File::Read { fd, position, .. } | File::ReadVectored { fd, position, .. } => {
            (fd, position, ready::IN)
        }
        File::Write { fd, position, .. } | File::WriteVectored { fd, position, .. } => {
            (fd, position, ready::OUT)
        }
        File::Sync { .. } | File::Open { .. } | File::Stat { .. } | File::StatFd { .. } => {
            return Way::Ring;
        }
    };
    // One that no file can have is an error, which the ring says.
    if matches!(*position, Position::At(offset) if i64::try_from(offset).is_err()) {
        return Way::Worker;
    }
    *fd = private;
    *position = Position::Cursor;
    Way::Call(file, events)
}

pub(super) enum Step {
    /// It waits for readiness.
    Poll,
    /// The request is itself a poll for these events.
    Events(u32),
    /// A splice whose ends were ready.
    Splice,
    /// It waits for a moment, because no event reports readiness.
    Pause,
    /// A send waits for its next try: see [`retry`](super::retry).
    Retry,
}

/// Which arena are in the middle of several steps.
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

    /// The kernel is looked at.
    pub(super) fn renew(&mut self) {
        self.calls_left = CALLS_MAX;
    }

    /// Whether one more call may be made now.
    pub(super) fn may_call(&mut self) -> bool {
        let left = self.calls_left.checked_sub(1);
        self.calls_left = left.unwrap_or(0);
        left.is_some()
    }

    /// Begins a step. `epoll` is closed at its end.
    pub(super) fn begin(&mut self, key: Key, step: Step, epoll: Option<OwnedFd>) {
        self.steps.insert(key.to_bits(), (step, epoll));
    }

    pub(super) fn has(&self, key: Key) -> bool {
        !self.steps.is_empty() && self.steps.contains_key(&key.to_bits())
    }

    /// A step is over. What is to be reported of the flight.
    pub(super) fn end(&mut self, key: Key, result: i32) -> Report {
        let step = self.steps.remove(&key.to_bits());
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
