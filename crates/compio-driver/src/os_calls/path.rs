//! Paths: calls of `std::fs`. These calls may block.

use std::{
    fs::{self, Metadata, Permissions},
    io,
    path::{self, Path, PathBuf},
};

use crate::sys::system_calls;
pub use crate::sys::system_calls::Entry;

/// The entries of a directory except `.` and `..`. Each step may block.
pub type Entries = Box<dyn Iterator<Item = io::Result<Entry>> + Send>;

/// The attributes of a file, or of a symbolic link itself unless `follow`.
pub fn metadata(path: &Path, follow: bool) -> io::Result<Metadata> {
    if follow {
        fs::metadata(path)
    } else {
        fs::symlink_metadata(path)
    }
}

/// Sets the permissions of a file.
pub fn set_permissions(path: &Path, permissions: Permissions) -> io::Result<()> {
    fs::set_permissions(path, permissions)
}

/// Copies content and permissions. Returns the number of bytes.
pub fn copy(from: &Path, to: &Path) -> io::Result<u64> {
    fs::copy(from, to)
}

/// Renames a file, and replaces an existing one.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

/// Creates a hard link.
pub fn hard_link(original: &Path, link: &Path) -> io::Result<()> {
    fs::hard_link(original, link)
}

/// The path that a symbolic link points to.
pub fn read_link(path: &Path) -> io::Result<PathBuf> {
    fs::read_link(path)
}

/// The absolute path without symbolic links.
pub fn canonicalize(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path)
}

/// The path from the current directory, which is read, as an absolute path. Does not block.
pub fn absolute(path: &Path) -> io::Result<PathBuf> {
    path::absolute(path)
}

/// Creates a directory; if `recursive`, also its missing parents, and then an existing directory is no
/// error. `mode` has the permission bits before the umask, on systems that have these.
pub fn create_dir(path: &Path, recursive: bool, mode: u32) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    system_calls::set_mode(&mut builder, mode);
    builder.recursive(recursive).create(path)
}

/// Removes a file or a symbolic link.
pub fn remove_file(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

/// Removes an empty directory.
pub fn remove_dir(path: &Path) -> io::Result<()> {
    fs::remove_dir(path)
}

/// Removes a directory with its contents. Symbolic links are not followed.
pub fn remove_dir_all(path: &Path) -> io::Result<()> {
    fs::remove_dir_all(path)
}

/// Reads a directory.
pub fn read_dir(path: &Path) -> io::Result<Entries> {
    let entries = fs::read_dir(path)?;
    Ok(Box::new(
        entries.map(|entry| entry.map(|entry| Entry::new(&entry))),
    ))
}
