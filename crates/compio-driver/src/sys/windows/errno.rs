//! The error code of the last call on this thread.

use std::io;

use windows_sys::Win32::Foundation::ERROR_NOT_SUPPORTED;

/// The last error of the thread, also of socket calls.
pub(crate) fn last_error() -> i32 {
    io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(ERROR_NOT_SUPPORTED as i32)
}
