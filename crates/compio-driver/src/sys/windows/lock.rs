//! Non-blocking locks of whole files.
//!
//! std's calls are unfit for files that are attached to a port: the port would get a packet for an
//! OVERLAPPED that is gone by then.

use std::{
    io,
    os::windows::io::{AsRawHandle, BorrowedHandle},
};

use windows_sys::Win32::{
    Foundation::ERROR_LOCK_VIOLATION,
    Storage::FileSystem::{
        LOCKFILE_EXCLUSIVE_LOCK, LOCKFILE_FAIL_IMMEDIATELY, LockFileEx, UnlockFile,
    },
};

use super::syscall::{done, overlapped};
use crate::sys::iocp::Begun;

/// Tries to lock a file, `exclusive` or shared. Returns false if a conflicting lock exists.
///
/// # Errors
///
/// The OS error of `LockFileEx`, except for `ERROR_LOCK_VIOLATION`.
pub fn try_lock_file(file: BorrowedHandle<'_>, exclusive: bool) -> io::Result<bool> {
    let handle = file.as_raw_handle();
    let how = if exclusive {
        LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY
    } else {
        LOCKFILE_FAIL_IMMEDIATELY
    };
    let (_, answer) = overlapped(handle, 0, |overlapped| {
        // SAFETY: the OVERLAPPED stays until the call is over, and its event keeps the packet from
        // the port.
        Begun::new(unsafe { LockFileEx(handle, how, 0, u32::MAX, u32::MAX, overlapped) } != 0)
    });
    match answer {
        Ok(_) => Ok(true),
        Err(code) if code == ERROR_LOCK_VIOLATION as i32 => Ok(false),
        Err(code) => Err(io::Error::from_raw_os_error(code)),
    }
}

/// Releases a lock.
///
/// # Errors
///
/// The OS error of `UnlockFile`, also if there was no lock.
pub fn unlock_file(file: BorrowedHandle<'_>) -> io::Result<()> {
    // SAFETY: no pointers are passed.
    let unlocked = unsafe { UnlockFile(file.as_raw_handle(), 0, 0, u32::MAX, u32::MAX) };
    done(unlocked != 0)
        .map(drop)
        .map_err(io::Error::from_raw_os_error)
}
