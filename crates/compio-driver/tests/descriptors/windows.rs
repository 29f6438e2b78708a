//! Handles as Windows counts them. Which ones they are it does not tell, nor is there an order in
//! which it gives them out.

use std::io;

use compio_driver::request::{NativePath, OpenFlags};
use windows_sys::Win32::{
    Foundation::GENERIC_READ,
    Storage::FileSystem::{FILE_FLAG_OVERLAPPED, FILE_SHARE_READ, FILE_SHARE_WRITE, OPEN_EXISTING},
    System::Threading::{GetCurrentProcess, GetProcessHandleCount},
};

/// How many handles are open.
pub(super) type Descriptors = u32;

pub(super) fn open_now() -> Descriptors {
    let mut count = 0;
    // SAFETY: the number outlives the call; the process is this one.
    let counted = unsafe { GetProcessHandleCount(GetCurrentProcess(), &raw mut count) };
    assert_ne!(counted, 0, "{}", io::Error::last_os_error());
    count
}

/// What can always be opened, and how.
pub(super) fn null() -> (NativePath, OpenFlags) {
    let flags = OpenFlags {
        access: GENERIC_READ,
        share: FILE_SHARE_READ | FILE_SHARE_WRITE,
        disposition: OPEN_EXISTING,
        flags: FILE_FLAG_OVERLAPPED,
    };
    (NativePath::new("NUL").unwrap(), flags)
}
