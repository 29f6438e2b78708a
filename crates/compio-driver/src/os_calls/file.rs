//! Open files. These calls may block.

use std::{
    fs::{self, File, FileTimes, Permissions},
    io,
    path::Path,
    time::SystemTime,
};

use crate::sys::{self, AsRawFd, BorrowedFd, OwnedFd, in_simulation, system_calls};
pub use crate::{
    direct::{AlignmentSource, AtomicWriteUnit, DirectAlignment, DirectLimits},
    sys::system_calls::SystemOpenOptions,
};

/// How a file is opened: [`std::fs::OpenOptions`] as plain data.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields have the names of std's methods")]
pub struct OpenOptions {
    pub read: bool,
    pub write: bool,
    pub append: bool,
    pub truncate: bool,
    pub create: bool,
    pub create_new: bool,
    pub data_sync: bool,
    /// The options that only one kind of system has.
    pub system: SystemOpenOptions,
}

/// Opens a file, which no child process inherits.
pub fn open(path: &Path, options: &OpenOptions) -> io::Result<OwnedFd> {
    in_simulation!(open(
        path,
        sys::simulated::calls::Access {
            read: options.read,
            write: options.write,
            append: options.append,
            truncate: options.truncate,
            create: options.create,
            create_new: options.create_new,
            custom_flags: options.flags(),
            mode: options.system.mode,
        }
    ));
    let mut std = fs::OpenOptions::new();
    std.read(options.read)
        .write(options.write)
        .append(options.append)
        .truncate(options.truncate)
        .create(options.create)
        .create_new(options.create_new);
    options.apply_system(&mut std);
    std.open(path).map(Into::into)
}

/// The attributes of the file, on systems without a request for them.
pub fn metadata(fd: BorrowedFd<'_>) -> io::Result<fs::Metadata> {
    in_simulation!(file_metadata(fd));
    call(fd, File::metadata)
}

/// The length of the file in bytes, as its attributes have it.
pub fn len(fd: BorrowedFd<'_>) -> io::Result<u64> {
    in_simulation!(file_len(fd));
    call(fd, |file| Ok(file.metadata()?.len()))
}

/// Truncates the file, or extends it by zeros.
pub fn set_len(fd: BorrowedFd<'_>, len: u64) -> io::Result<()> {
    in_simulation!(set_len(fd, len));
    call(fd, |file| file.set_len(len))
}

/// Sets the permissions of the file.
pub fn set_permissions(fd: BorrowedFd<'_>, permissions: Permissions) -> io::Result<()> {
    in_simulation!(set_file_permissions(fd, &permissions));
    call(fd, |file| file.set_permissions(permissions))
}

/// Sets the times of the last read and the last change.
pub fn set_times(fd: BorrowedFd<'_>, times: FileTimes) -> io::Result<()> {
    in_simulation!(set_times(fd, times));
    call(fd, |file| file.set_times(times))
}

/// Sets the time of the last change.
pub fn set_modified(fd: BorrowedFd<'_>, time: SystemTime) -> io::Result<()> {
    in_simulation!(set_modified(fd, time));
    call(fd, |file| file.set_modified(time))
}

/// Locks the whole file for this open file description, if that is possible at once. Returns false if a
/// conflicting lock exists.
pub fn try_lock(fd: BorrowedFd<'_>, exclusive: bool) -> io::Result<bool> {
    in_simulation!(try_lock(fd, exclusive));
    system_calls::try_lock(fd, exclusive)
}

/// Releases the lock.
pub fn unlock(fd: BorrowedFd<'_>) -> io::Result<()> {
    in_simulation!(unlock(fd));
    system_calls::unlock(fd)
}

/// Calls a method of std's file.
fn call<T>(fd: BorrowedFd<'_>, code: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
    // SAFETY: the handle is borrowed, and so it stays open, until this function returns.
    let file = unsafe { sys::borrow_as_file(fd.as_raw_fd()) };
    code(&file)
}
