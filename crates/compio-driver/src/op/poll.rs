//! Readiness of any descriptor.

use std::{io, ops::BitOr};

use crate::{
    fd::{OwnsFd, SharedFd},
    operation::{Operation, Owned},
    request::{Poll, Request, ready},
    sys::AsRawFd,
};

/// What a descriptor can be ready for; combined with `|`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Readiness(u32);

impl Readiness {
    /// There is something to read, or the end.
    pub const READABLE: Self = Self(ready::IN);
    /// There is room to write.
    pub const WRITABLE: Self = Self(ready::OUT);
    /// There is exceptional data, such as out-of-band bytes.
    pub const PRIORITY: Self = Self(ready::PRI);
    /// There is an error. Reported without being asked for.
    pub const ERROR: Self = Self(ready::ERR);
    /// The other side is gone. Reported without being asked for.
    pub const HANG_UP: Self = Self(ready::HUP);

    /// Whether all of `other` is in here.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Readiness {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Waits until a descriptor is ready, once.
///
/// # Platform differences
///
/// On Windows, only sockets have readiness. Any other handle is waited for until it is signalled,
/// and is `READABLE` then, whatever was asked: events, processes, consoles and their like. The
/// state of a file or pipe means nothing, and a mutex ends the program.
#[derive(Debug)]
pub struct PollOnce<F = SharedFd> {
    fd: F,
    interest: Readiness,
}

impl<F> PollOnce<F> {
    /// Waits for any of `interest`.
    pub fn new(fd: F, interest: Readiness) -> Self {
        Self { fd, interest }
    }
}

// SAFETY: the request points to nothing.
unsafe impl<F: AsRawFd + 'static> Operation for PollOnce<F> {
    type Output = io::Result<Readiness>;

    fn request(&mut self) -> Request {
        Request::Poll(Poll::Once {
            fd: self.fd.as_raw_fd(),
            events: self.interest.0,
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer.map(|events| Readiness(events as u32))
    }
}

// SAFETY: the descriptor is owned by what the operation holds.
unsafe impl<F: OwnsFd> Owned for PollOnce<F> {}
