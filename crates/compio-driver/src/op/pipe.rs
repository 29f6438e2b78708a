//! Operations of pipes.

use std::{fmt, io, mem::MaybeUninit};

use crate::{
    fd::{OwnsFd, SharedFd},
    operation::{Operation, Owned},
    request::{self, Control, Position, Request, TRANSFER_MAX},
    sys::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

/// Creates a pipe. Both ends are closed on exec. The output is the reading end and the writing end.
pub struct Pipe {
    ends: MaybeUninit<[RawFd; 2]>,
}

impl Pipe {
    /// A pipe without a name.
    pub fn new() -> Self {
        Self {
            ends: MaybeUninit::uninit(),
        }
    }
}

impl Default for Pipe {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: the request points into the operation.
unsafe impl Operation for Pipe {
    type Output = io::Result<(OwnedFd, OwnedFd)>;
    describe!(Pipe);

    fn request(&mut self) -> Request {
        Request::Control(Control::Pipe {
            ends: self.ends.as_mut_ptr(),
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer?;
        // SAFETY: the call has succeeded, so both ends are new descriptors without other owners.
        unsafe {
            let [reader, writer] = self.ends.assume_init().map(|end| OwnedFd::from_raw_fd(end));
            Ok((reader, writer))
        }
    }
}

// SAFETY: no descriptor is named.
unsafe impl Owned for Pipe {}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe").finish_non_exhaustive()
    }
}

/// Moves bytes between two descriptors, of which one is a pipe, without a copy through user space.
#[derive(Debug)]
pub struct Splice<F = SharedFd, T = SharedFd> {
    from: F,
    from_position: Position,
    to: T,
    to_position: Position,
    len: u32,
}

impl<F, T> Splice<F, T> {
    /// Moves at most `len` bytes. A pipe's position is [`Position::Cursor`].
    pub fn new(from: F, from_position: Position, to: T, to_position: Position, len: usize) -> Self {
        Self {
            from,
            from_position,
            to,
            to_position,
            len: len.min(TRANSFER_MAX) as u32,
        }
    }
}

// SAFETY: the request points to nothing.
unsafe impl<F: AsRawFd + 'static, T: AsRawFd + 'static> Operation for Splice<F, T> {
    type Output = io::Result<usize>;
    describe!(Splice, from);

    fn request(&mut self) -> Request {
        Request::Splice(request::Splice {
            from: self.from.as_raw_fd(),
            from_position: self.from_position,
            to: self.to.as_raw_fd(),
            to_position: self.to_position,
            len: self.len,
        })
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer
    }
}

// SAFETY: `from` and `to` own their descriptors, by the contract of `OwnsFd`.
unsafe impl<F: OwnsFd, T: OwnsFd> Owned for Splice<F, T> {}
