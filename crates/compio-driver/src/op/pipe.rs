//! Operations of pipes.

use std::io;

use crate::{
    fd::{OwnsFd, SharedFd},
    operation::{Operation, Owned},
    request::{Pipe, Position, Request, TRANSFER_MAX},
    sys::AsRawFd,
};

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

    fn request(&mut self) -> Request {
        Request::Pipe(Pipe::Splice {
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
