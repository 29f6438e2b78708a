//! Handles of any type: duplicates, closing, pipes. These calls do not wait for another process.

use std::io;

use crate::sys::{self, BorrowedFd, OwnedFd, system_calls};

/// Closes a handle. The handle is closed also if this returns an error. May block, for instance for
/// `SO_LINGER` or to flush a file.
#[inline]
pub(crate) fn close(fd: OwnedFd) -> io::Result<()> {
    sys::close(fd)
}

/// One more handle of the same open file description, which no child process inherits.
#[inline]
pub fn duplicate(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    system_calls::duplicate(fd)
}

/// The reading and the writing end of a new pipe, which no child process inherits.
#[inline]
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    Ok((system_calls::own_end(reader), system_calls::own_end(writer)))
}
