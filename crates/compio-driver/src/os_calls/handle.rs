//! Handles of any type: duplicates, closing, pipes. These calls do not wait for another process.

use std::io;

pub use crate::fd::LooseFd;
use crate::{
    fd::SharedFd,
    sys::{self, BorrowedFd, OwnedFd, in_simulation, system_calls},
};

/// Closes a handle. The handle is closed also if this returns an error. May block, for instance for
/// `SO_LINGER` or to flush a file.
#[inline]
pub(crate) fn close(fd: OwnedFd) -> io::Result<()> {
    sys::close(fd)
}

/// One more handle of the same open file description, which no child process inherits.
#[inline]
pub fn duplicate(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    in_simulation!(duplicate(fd));
    system_calls::duplicate(fd)
}

/// The owner of an end of a pipe from std, or from [`pipe`]. On Windows, calls on such ends wait for each other, so
/// a pool thread makes them.
#[inline]
pub fn share_end(end: OwnedFd) -> SharedFd {
    let end = SharedFd::from(end);
    system_calls::declare_end(&end);
    end
}

/// The reading and the writing end of a new pipe, which no child process inherits.
#[inline]
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    in_simulation!(pipe());
    let (reader, writer) = io::pipe()?;
    Ok((system_calls::own_end(reader), system_calls::own_end(writer)))
}

/// Checks that the handle may leave this crate.
///
/// # Panics
///
/// If it is a simulated one, which no other code can use.
#[inline(always)]
#[track_caller]
pub fn expose(fd: BorrowedFd<'_>) -> BorrowedFd<'_> {
    in_simulation!(refuse_to_expose(fd));
    fd
}

/// Declares that this crate has opened the file. On Windows it then supports overlapped calls. Makes no call.
pub fn declare_opened(file: &SharedFd) {
    system_calls::declare_opened(file);
}

/// Declares that each write goes to the end of the file. Makes no call.
pub fn declare_append_only(file: &SharedFd) {
    system_calls::declare_append_only(file);
}
