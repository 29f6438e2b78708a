//! Opening, creating, renaming and removing of files on Windows.

use std::{
    io,
    os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle, RawHandle},
    path::Path,
};

use compio_driver::{
    AsFd, BorrowedFd, OwnedFd,
    os_calls::{
        file::{self, DirectLimits},
        path as calls, system,
    },
};

use crate::fs::{File, OpenOptions, blocking};

/// On Windows.
impl OpenOptions {
    /// Sets the `dwDesiredAccess` of `CreateFileW`. By default it follows from `read`, `write` and
    /// `append`.
    pub fn access_mode(&mut self, access: u32) -> &mut Self {
        self.options.system.access_mode = Some(access);
        self
    }

    /// Sets the `FILE_SHARE_` bits: the access that other handles may have while this one is open. All
    /// by default.
    pub fn share_mode(&mut self, share: u32) -> &mut Self {
        self.options.system.share_mode = Some(share);
        self
    }

    /// Sets further `FILE_FLAG_` flags. `FILE_FLAG_OVERLAPPED` is always set.
    pub fn custom_flags(&mut self, flags: u32) -> &mut Self {
        self.options.system.custom_flags = flags;
        self
    }

    /// The `FILE_ATTRIBUTE_` bits of a file that is created.
    pub fn attributes(&mut self, attributes: u32) -> &mut Self {
        self.options.system.attributes = attributes;
        self
    }

    /// The `SECURITY_` flags of the `SECURITY_SQOS_PRESENT` of `CreateFileW`. They restrict the access of the
    /// server if the path, perhaps of an attacker, is a named pipe. As
    /// [`std::os::windows::fs::OpenOptionsExt::security_qos_flags`].
    pub fn security_qos_flags(&mut self, flags: u32) -> &mut Self {
        self.options.system.security_qos_flags = Some(flags);
        self
    }
}

/// The options for a new directory that only Windows has: none.
#[derive(Debug, Clone, Default)]
pub(crate) struct SystemDirOptions;

impl SystemDirOptions {
    /// No permission bits.
    pub(crate) fn mode(&self) -> u32 {
        0
    }

    /// Creates one directory.
    pub(crate) async fn create(&self, path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        blocking(move || calls::create_dir(&path, false, 0)).await
    }
}

/// Renames a file.
pub(crate) async fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (from.to_owned(), to.to_owned());
    blocking(move || calls::rename(&from, &to)).await
}

/// Creates a hard link.
pub(crate) async fn hard_link(original: &Path, link: &Path) -> io::Result<()> {
    let (original, link) = (original.to_owned(), link.to_owned());
    blocking(move || calls::hard_link(&original, &link)).await
}

/// Removes a file.
pub(crate) async fn remove_file(path: &Path) -> io::Result<()> {
    let path = path.to_owned();
    blocking(move || calls::remove_file(&path)).await
}

/// Removes an empty directory.
pub(crate) async fn remove_dir(path: &Path) -> io::Result<()> {
    let path = path.to_owned();
    blocking(move || calls::remove_dir(&path)).await
}

/// Creates a symbolic link to a file: `link` points to `original`, which need not exist.
///
/// # Platform differences
///
/// Only on Windows, where it requires a privilege or the developer mode. Unix has `symlink`.
///
/// # Cancellation
///
/// See [`fs`](crate::fs).
///
/// # Errors
///
/// As [`std::os::windows::fs::symlink_file`].
pub async fn symlink_file(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let (original, link) = (original.as_ref().to_owned(), link.as_ref().to_owned());
    blocking(move || system::symlink_file(&original, &link)).await
}

/// Creates a symbolic link to a directory: `link` points to `original`, which need not exist.
///
/// # Platform differences
///
/// As for [`symlink_file`].
///
/// # Cancellation
///
/// See [`fs`](crate::fs).
///
/// # Errors
///
/// As [`std::os::windows::fs::symlink_dir`].
pub async fn symlink_dir(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let (original, link) = (original.as_ref().to_owned(), link.as_ref().to_owned());
    blocking(move || system::symlink_dir(&original, &link)).await
}

/// Opens the file on a pool thread: Windows has no non-blocking call to open a file.
pub(crate) async fn open_async(options: &file::OpenOptions, path: &Path) -> io::Result<OwnedFd> {
    let options = options.clone();
    // All threads share the current directory, and it may change before the pool thread opens the file.
    // A path that cannot be made absolute fails to open.
    let path = calls::absolute(path).unwrap_or_else(|_| path.to_owned());
    blocking(move || file::open(&path, &options)).await
}

/// Windows has no direct files here.
pub(crate) async fn open_direct(_: &OpenOptions, _: &Path) -> io::Result<(File, DirectLimits)> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "direct I/O is not supported on Windows",
    ))
}

impl AsHandle for File {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        match self.as_fd() {
            BorrowedFd::Handle(handle) => handle,
            BorrowedFd::Socket(_) => unreachable!("a file is never a socket"),
        }
    }
}

impl AsRawHandle for File {
    fn as_raw_handle(&self) -> RawHandle {
        self.as_handle().as_raw_handle()
    }
}

impl From<OwnedHandle> for File {
    fn from(handle: OwnedHandle) -> Self {
        Self::from_fd(handle.into())
    }
}

/// The length of a file. The system refuses a length that no file can have, as with std.
pub(crate) fn file_len(len: u64) -> io::Result<u64> {
    Ok(len)
}
