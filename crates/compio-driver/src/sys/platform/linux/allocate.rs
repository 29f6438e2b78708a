//! Disk space of files.

use rustix::fs::{FallocateFlags, fallocate};

use crate::{
    request::{Allocation, RawFd, RawResult},
    sys::system_calls::borrow,
};

pub(crate) fn fallocate_flags(mode: Allocation) -> FallocateFlags {
    match mode {
        Allocation::Extend => FallocateFlags::empty(),
        Allocation::KeepSize => FallocateFlags::KEEP_SIZE,
        // The kernel requires both.
        Allocation::PunchHole => FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
    }
}

/// # Safety
///
/// The descriptor is open.
pub(crate) unsafe fn allocate(fd: RawFd, mode: Allocation, offset: u64, len: u64) -> RawResult {
    // SAFETY: by this function's contract.
    let fd = unsafe { borrow(fd) };
    match fallocate(fd, fallocate_flags(mode), offset, len) {
        Ok(()) => Ok(0),
        Err(error) => Err(error.raw_os_error()),
    }
}
