//! The open handles by number. Windows gives out the numbers in no order.

use std::{collections::BTreeSet, ptr};

use compio_driver::request::{NativePath, OpenFlags};
use windows_sys::Win32::{
    Foundation::{GENERIC_READ, GetHandleInformation},
    Storage::FileSystem::{FILE_FLAG_OVERLAPPED, FILE_SHARE_READ, FILE_SHARE_WRITE, OPEN_EXISTING},
};

/// The numbers of all open handles.
pub(super) type Descriptors = BTreeSet<usize>;

/// No call lists them, and Wine does not always count them: each number is tested.
pub(super) fn open_now() -> Descriptors {
    /// No test has as many handles.
    const NUMBERS_END: usize = 4 * 2048;
    (4..NUMBERS_END)
        .step_by(4)
        .filter(|number| is_open(*number))
        .collect()
}

fn is_open(number: usize) -> bool {
    let mut flags = 0;
    // SAFETY: the flags outlive the call.
    unsafe { GetHandleInformation(ptr::without_provenance_mut(number), &raw mut flags) != 0 }
}

/// Whether no handle has been leaked. There may be fewer: a thread has handles, and pool threads
/// end after some idle seconds.
pub(super) fn is_as_before(now: &Descriptors, before: &Descriptors) -> bool {
    now.is_subset(before)
}

/// A path that can always be opened, and its flags.
pub(super) fn null() -> (NativePath, OpenFlags) {
    let flags = OpenFlags {
        access: GENERIC_READ,
        share: FILE_SHARE_READ | FILE_SHARE_WRITE,
        disposition: OPEN_EXISTING,
        flags: FILE_FLAG_OVERLAPPED,
    };
    (NativePath::new("NUL").unwrap(), flags)
}
