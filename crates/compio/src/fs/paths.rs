//! Path operations on files and directories.

use std::{
    fs::Permissions,
    io,
    path::{Path, PathBuf},
};

use compio_driver::os_calls::path as calls;

use super::{DirBuilder, Metadata, blocking};
use crate::sys::{self, Attributes};

/// Returns the attributes of a file; of its target if it is a symbolic link.
///
/// # Cancellation
///
/// See [`fs`](crate::fs).
///
/// # Errors
///
/// As [`std::fs::metadata`].
pub async fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    Attributes::of(path.as_ref(), true).await.map(Metadata)
}

/// Returns the attributes of a file, without following a symbolic link.
///
/// # Cancellation
///
/// See [`fs`](crate::fs).
///
/// # Errors
///
/// As [`std::fs::symlink_metadata`].
pub async fn symlink_metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    Attributes::of(path.as_ref(), false).await.map(Metadata)
}

/// Whether a file of this name exists; for a symbolic link, whether its target does.
///
/// # Cancellation
///
/// See [`fs`](crate::fs).
///
/// # Errors
///
/// As [`std::fs::exists`], for instance `PermissionDenied` for a directory on the path.
#[doc(alias = "exists")]
pub async fn try_exists(path: impl AsRef<Path>) -> io::Result<bool> {
    match metadata(path).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Sets the permissions of a file, or of its target if it is a symbolic link.
///
/// # Cancellation
///
/// See [`fs`](crate::fs).
///
/// # Errors
///
/// As [`std::fs::set_permissions`].
pub async fn set_permissions(path: impl AsRef<Path>, permissions: Permissions) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    blocking(move || calls::set_permissions(&path, permissions)).await
}

/// Copies a file's content and permissions, and returns the number of bytes. A file at `to` is
/// overwritten. The kernel copies the bytes itself where it can, as on Linux.
///
/// To control the copy, [`open`](super::File::open) both files.
///
/// # Cancellation
///
/// See [`fs`](crate::fs).
///
/// # Errors
///
/// As [`std::fs::copy`].
pub async fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<u64> {
    let (from, to) = (from.as_ref().to_owned(), to.as_ref().to_owned());
    blocking(move || calls::copy(&from, &to)).await
}

/// Renames a file or directory, on the same file system. An existing file of that name is replaced.
///
/// # Cancellation
///
/// See [`fs`](crate::fs).
///
/// # Errors
///
/// As [`std::fs::rename`].
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    sys::rename(from.as_ref(), to.as_ref()).await
}

/// Creates another name for a file, on the same file system.
///
/// # Cancellation
///
/// See [`fs`](crate::fs).
///
/// # Errors
///
/// As [`std::fs::hard_link`].
pub async fn hard_link(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    sys::hard_link(original.as_ref(), link.as_ref()).await
}

/// The path that a symbolic link points to.
///
/// # Cancellation
///
/// See [`fs`](crate::fs).
///
/// # Errors
///
/// As [`std::fs::read_link`].
pub async fn read_link(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = path.as_ref().to_owned();
    blocking(move || calls::read_link(&path)).await
}

/// The absolute path of a file, without symbolic links in it.
///
/// # Cancellation
///
/// See [`fs`](crate::fs).
///
/// # Errors
///
/// As [`std::fs::canonicalize`].
pub async fn canonicalize(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = path.as_ref().to_owned();
    blocking(move || calls::canonicalize(&path)).await
}

/// Creates a directory. [`DirBuilder`] has more options.
///
/// # Cancellation
///
/// See [`fs`](crate::fs).
///
/// # Errors
///
/// As [`std::fs::create_dir`].
pub async fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    DirBuilder::new().create(path).await
}

/// Creates a directory and its missing parents.
///
/// # Cancellation
///
/// See [`fs`](crate::fs).
///
/// # Errors
///
/// As [`std::fs::create_dir_all`].
pub async fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(path).await
}

/// Removes a file, or a symbolic link. An open file exists until it is closed.
///
/// # Cancellation
///
/// See [`fs`](crate::fs).
///
/// # Errors
///
/// As [`std::fs::remove_file`].
pub async fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    sys::remove_file(path.as_ref()).await
}

/// Removes an empty directory.
///
/// # Cancellation
///
/// See [`fs`](crate::fs).
///
/// # Errors
///
/// As [`std::fs::remove_dir`].
pub async fn remove_dir(path: impl AsRef<Path>) -> io::Result<()> {
    sys::remove_dir(path.as_ref()).await
}

/// Removes a directory with all its contents. Symbolic links are removed, not followed.
///
/// # Cancellation
///
/// See [`fs`](crate::fs).
///
/// # Errors
///
/// As [`std::fs::remove_dir_all`].
pub async fn remove_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    blocking(move || calls::remove_dir_all(&path)).await
}
