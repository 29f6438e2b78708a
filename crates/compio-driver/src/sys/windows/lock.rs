//! Locks of whole files, as far as they can be had at once.
//!
//! std's calls are not for files that belong to a port: the port would be told of an OVERLAPPED that
//! is gone by then.

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

/// Locks a file against others, or, if it is not to be `exclusive`, against those who want it so.
/// Returns whether that was possible at once.
///
/// # Errors
///
/// The system's.
pub fn try_lock_file(file: BorrowedHandle<'_>, exclusive: bool) -> io::Result<bool> {
    let handle = file.as_raw_handle();
    let how = if exclusive {
        LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY
    } else {
        LOCKFILE_FAIL_IMMEDIATELY
    };
    let (_, answer) = overlapped(handle, 0, |overlapped| {
        // SAFETY: the OVERLAPPED stays until the call is over, and its event says that no port is
        // to be told.
        Begun::new(unsafe { LockFileEx(handle, how, 0, u32::MAX, u32::MAX, overlapped) } != 0)
    });
    match answer {
        Ok(_) => Ok(true),
        Err(code) if code == ERROR_LOCK_VIOLATION as i32 => Ok(false),
        Err(code) => Err(io::Error::from_raw_os_error(code)),
    }
}

/// Gives a lock back.
///
/// # Errors
///
/// The system's; also, if there was no lock.
pub fn unlock_file(file: BorrowedHandle<'_>) -> io::Result<()> {
    // SAFETY: no pointers are passed.
    let unlocked = unsafe { UnlockFile(file.as_raw_handle(), 0, 0, u32::MAX, u32::MAX) };
    done(unlocked != 0)
        .map(drop)
        .map_err(io::Error::from_raw_os_error)
}
