//! Readiness of any descriptor.

use std::{io, ops::BitOr};

use crate::{
    fd::{OwnsFd, SharedFd},
    operation::{Operation, Owned},
    request::{Poll, Request, ready},
    sys::AsRawFd,
};

/// The kinds of a descriptor's readiness, combined with `|`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Readiness(u32);

impl Readiness {
    /// There is data to read, or EOF.
    pub const READABLE: Self = Self(ready::IN);
    /// There is room to write.
    pub const WRITABLE: Self = Self(ready::OUT);
    /// There is exceptional data, such as out-of-band bytes.
    pub const PRIORITY: Self = Self(ready::PRI);
    /// There is an error. Always reported.
    pub const ERROR: Self = Self(ready::ERR);
    /// The other side is gone. Always reported.
    pub const HANG_UP: Self = Self(ready::HUP);

    /// Whether `self` contains all of `other`.
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

const ADVICE: &str = "this system reports neither priority data nor errors alone: wait for READABLE or \
                      WRITABLE, which report errors, too";

/// Waits until a descriptor is ready, once.
///
/// # Errors
///
/// `InvalidInput` if the descriptor has no readiness, such as a regular file that is not ready for it.
/// [`Unsupported`](io::ErrorKind::Unsupported) on macOS and the BSDs for `PRIORITY`, or for errors alone, if
/// the descriptor is not ready at once.
///
/// # Platform differences
///
/// On Windows, only sockets have readiness. For other handles (events, processes, consoles and their like)
/// the operation waits until the handle is signalled, and returns `READABLE` for any interest. The
/// signal state of a file or pipe has no meaning, and a mutex ends the program.
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
    describe!(Poll, fd);

    fn request(&mut self) -> Request {
        Request::Poll(Poll::Once {
            fd: self.fd.as_raw_fd(),
            events: self.interest.0,
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        let ready = answer.map_err(|error| {
            if error.kind() == io::ErrorKind::Unsupported {
                io::Error::new(io::ErrorKind::Unsupported, ADVICE)
            } else {
                error
            }
        })?;
        Ok(Readiness(ready as u32))
    }
}

// SAFETY: `fd` owns the descriptor, by the contract of `OwnsFd`.
unsafe impl<F: OwnsFd> Owned for PollOnce<F> {}
