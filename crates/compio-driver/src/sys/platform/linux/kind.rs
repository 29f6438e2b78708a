//! The kind of an open file, without a wait for the server of a file system.

use std::{mem, os::fd::RawFd};

/// The type and the device number of an open file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) mode: u32,
    /// The major number of a device file.
    pub(crate) major: u32,
}

/// The kind of an open file. `AT_STATX_DONT_SYNC` makes FUSE, NFS and Ceph return cached attributes.
/// fstat(2) would block on a server that hangs, or that runs on this thread.
pub(crate) fn attributes_in_memory(fd: RawFd) -> Option<Kind> {
    // SAFETY: `statx` is a plain C struct, which the call fills in.
    let (asked, attributes) = unsafe {
        let mut attributes: libc::statx = mem::zeroed();
        let asked = libc::statx(
            fd,
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC,
            libc::STATX_TYPE,
            &raw mut attributes,
        );
        (asked, attributes)
    };
    (asked == 0).then_some(Kind {
        mode: attributes.stx_mode.into(),
        major: attributes.stx_rdev_major,
    })
}
