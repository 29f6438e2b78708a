//! The entry of a completed operation in the low-level API.

use std::io;

use crate::request::{RawResult, to_result};

/// The completion of a pushed operation.
#[derive(Debug)]
pub struct Entry {
    pub(super) user_data: usize,
    pub(super) answer: RawResult,
}

impl Entry {
    /// The number that the operation was pushed with.
    pub fn user_data(&self) -> usize {
        self.user_data
    }

    /// The operation's result.
    ///
    /// # Errors
    ///
    /// The OS error of the operation, for instance `ECANCELED` if it was cancelled.
    pub fn into_result(self) -> io::Result<usize> {
        to_result(self.answer)
    }
}
