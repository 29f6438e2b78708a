//! Non-blocking transfers: not supported on these systems.

use crate::request::{Answer, File};

pub(crate) fn may_be_in_memory(_: &File) -> bool {
    false
}

/// # Safety
///
/// None.
pub(crate) unsafe fn read_fully(_: &File) -> Answer {
    Err(libc::EOPNOTSUPP)
}

/// # Safety
///
/// None.
pub(crate) unsafe fn transfer(_: &File) -> Answer {
    Err(libc::EOPNOTSUPP)
}
