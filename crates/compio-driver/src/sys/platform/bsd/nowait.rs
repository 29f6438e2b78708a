//! Non-blocking transfers: not supported on these systems.

use crate::request::{RawResult, Transfer};

pub(crate) fn may_be_in_memory(_: &Transfer) -> bool {
    false
}

/// # Safety
///
/// None.
pub(crate) unsafe fn read_fully(_: &Transfer) -> RawResult {
    Err(libc::EOPNOTSUPP)
}

/// # Safety
///
/// None.
pub(crate) unsafe fn transfer_nowait(_: &Transfer) -> RawResult {
    Err(libc::EOPNOTSUPP)
}
