//! Paths: calls of `std::fs`. These calls may block.

use std::{
    fs::{self, Metadata, Permissions},
    io,
    path::{self, Path, PathBuf},
};

pub use crate::sys::system_calls::Entry;
use crate::sys::{in_simulation, system_calls};

/// The entries of a directory except `.` and `..`. Each step may block.
pub type Entries = Box<dyn Iterator<Item = io::Result<Entry>> + Send>;

/// The attributes of a file, or of a symbolic link itself unless `follow`.
pub fn metadata(path: &Path, follow: bool) -> io::Result<Metadata> {
    in_simulation!(path_metadata(path));
    if follow {
        fs::metadata(path)
    } else {
        fs::symlink_metadata(path)
    }
}

/// Sets the permissions of a file.
pub fn set_permissions(path: &Path, permissions: Permissions) -> io::Result<()> {
    in_simulation!(set_permissions(path, &permissions));
    fs::set_permissions(path, permissions)
}

/// Copies content and permissions. Returns the number of bytes.
pub fn copy(from: &Path, to: &Path) -> io::Result<u64> {
    in_simulation!(copy(from, to));
    fs::copy(from, to)
}

/// Renames a file, and replaces an existing one.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    in_simulation!(rename(from, to));
    fs::rename(from, to)
}

/// Creates a hard link.
pub fn hard_link(original: &Path, link: &Path) -> io::Result<()> {
    in_simulation!(hard_link(original, link));
    fs::hard_link(original, link)
}

/// The path that a symbolic link points to.
pub fn read_link(path: &Path) -> io::Result<PathBuf> {
    in_simulation!(read_link(path));
    fs::read_link(path)
}

/// The absolute path without symbolic links.
pub fn canonicalize(path: &Path) -> io::Result<PathBuf> {
    in_simulation!(canonicalize(path));
    fs::canonicalize(path)
}

/// The path from the current directory, which is read, as an absolute path. Does not block.
pub fn absolute(path: &Path) -> io::Result<PathBuf> {
    in_simulation!(absolute(path));
    path::absolute(path)
}

/// Creates a directory; if `recursive`, also its missing parents, and then an existing directory is no
/// error. `mode` has the permission bits before the umask, on systems that have these.
pub fn create_dir(path: &Path, recursive: bool, mode: u32) -> io::Result<()> {
    in_simulation!(create_dir(path, recursive, mode));
    let mut builder = fs::DirBuilder::new();
    system_calls::set_mode(&mut builder, mode);
    builder.recursive(recursive).create(path)
}

/// Removes a file or a symbolic link.
pub fn remove_file(path: &Path) -> io::Result<()> {
    in_simulation!(remove(path, false));
    fs::remove_file(path)
}

/// Removes an empty directory.
pub fn remove_dir(path: &Path) -> io::Result<()> {
    in_simulation!(remove(path, true));
    fs::remove_dir(path)
}

/// Removes a directory with its contents. Symbolic links are not followed.
pub fn remove_dir_all(path: &Path) -> io::Result<()> {
    in_simulation!(remove_dir_all(path));
    fs::remove_dir_all(path)
}

/// Reads a directory.
pub fn read_dir(path: &Path) -> io::Result<Entries> {
    in_simulation!(read_dir(path));
    let entries = fs::read_dir(path)?;
    Ok(Box::new(
        entries.map(|entry| entry.map(|entry| Entry::new(&entry))),
    ))
}
