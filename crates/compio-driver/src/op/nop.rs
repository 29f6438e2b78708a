//! The operation that does nothing.

use std::io;

use crate::{
    operation::{Operation, Owned},
    request::Request,
};

/// Completes with 0 after a round trip through the kernel. Measures the fixed cost of an operation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nop(());

impl Nop {
    /// A no-op.
    pub fn new() -> Self {
        Self::default()
    }
}

// SAFETY: the request points to nothing.
unsafe impl Operation for Nop {
    type Output = io::Result<usize>;
    describe!(Nop);

    fn request(&mut self) -> Request {
        Request::Nop
    }

    unsafe fn finish(self, answer: io::Result<usize>) -> Self::Output {
        answer
    }
}

// SAFETY: no descriptor is named.
unsafe impl Owned for Nop {}
