//! Direct I/O: transfers between the disk and the memory of a program, without the page cache.

use std::{ffi::c_int, mem};

use crate::{
    request::RawFd,
    sys::unix::{DirectAttributes, answer},
};

/// The flag that opens a file for direct I/O.
pub const DIRECT: c_int = libc::O_DIRECT;

/// The attributes of a file for direct I/O, as far as kernel and file system report them.
pub(crate) fn direct_attributes(fd: RawFd) -> Result<DirectAttributes, i32> {
    let mask = libc::STATX_DIOALIGN | libc::STATX_WRITE_ATOMIC;
    // SAFETY: a plain C struct of integers.
    let mut stat: libc::statx = unsafe { mem::zeroed() };
    // SAFETY: the path is a C string, and the struct outlives the call.
    let asked =
        answer(unsafe { libc::statx(fd, c"".as_ptr(), libc::AT_EMPTY_PATH, mask, &raw mut stat) });
    match asked {
        // No statx: see `stat_fd`.
        Err(libc::ENOSYS | libc::EPERM) => Ok(DirectAttributes::default()),
        Err(code) => Err(code),
        Ok(_) => {
            let reports = |bit| stat.stx_mask & bit != 0;
            let alignment = (stat.stx_dio_mem_align, stat.stx_dio_offset_align);
            let unit = (
                stat.stx_atomic_write_unit_min,
                stat.stx_atomic_write_unit_max,
            );
            Ok(DirectAttributes {
                alignment: reports(libc::STATX_DIOALIGN).then_some(alignment),
                atomic_unit: reports(libc::STATX_WRITE_ATOMIC).then_some(unit),
            })
        }
    }
}
