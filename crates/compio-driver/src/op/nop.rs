//! The operation that does nothing.

use std::io;

use crate::{
    operation::{Operation, Owned},
    request::Request,
};

/// Goes to the kernel and comes back with 0: the cost of everything else.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nop(());

impl Nop {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }
}

// SAFETY: the request points to nothing.
unsafe impl Operation for Nop {
    type Output = io::Result<usize>;

    fn request(&mut self) -> Request {
        Request::Nop
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer
    }
}

// SAFETY: no descriptor is named.
unsafe impl Owned for Nop {}
