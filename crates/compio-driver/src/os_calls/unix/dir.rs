//! Paths relative to an open directory. These calls may block.

use std::{
    ffi::{CStr, OsStr, OsString},
    io,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::PathBuf,
};

use rustix::fs::{
    AtFlags, Dir, DirEntry, FileType, Mode, linkat, mkdirat, readlinkat, renameat, symlinkat,
    unlinkat,
};

use super::Entry;
use crate::{
    fd::LooseFd,
    os_calls::path::Entries,
    sys::{AsFd, BorrowedFd, in_simulation},
};

/// Reads the directory, through a descriptor of its own.
pub fn read_dir_at(dir: BorrowedFd<'_>) -> io::Result<Entries> {
    in_simulation!(read_dir_at(dir));
    let entries = Dir::read_from(dir)?.filter_map(|entry| match entry {
        Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => None,
        Ok(entry) => Some(Ok(Entry::from(entry))),
        Err(error) => Some(Err(error.into())),
    });
    Ok(Box::new(entries))
}

impl From<DirEntry> for Entry {
    fn from(entry: DirEntry) -> Self {
        let kind = entry.file_type();
        Self {
            name: OsStr::from_bytes(entry.file_name().to_bytes()).to_owned(),
            kind: (kind != FileType::Unknown).then(|| kind.as_raw_mode() as libc::mode_t),
            ino: entry.ino(),
        }
    }
}

/// mkdirat(2), with all permission bits before the umask.
pub fn make_dir_at(dir: BorrowedFd<'_>, path: &CStr) -> io::Result<()> {
    in_simulation!(make_dir_at(dir, path));
    Ok(mkdirat(dir, path, Mode::from_raw_mode(0o777))?)
}

/// unlinkat(2).
pub fn remove_file_at(dir: BorrowedFd<'_>, path: &CStr) -> io::Result<()> {
    in_simulation!(remove_at(dir, path, false));
    Ok(unlinkat(dir, path, AtFlags::empty())?)
}

/// unlinkat(2) with `AT_REMOVEDIR`.
pub fn remove_dir_at(dir: BorrowedFd<'_>, path: &CStr) -> io::Result<()> {
    in_simulation!(remove_at(dir, path, true));
    Ok(unlinkat(dir, path, AtFlags::REMOVEDIR)?)
}

/// renameat(2). Closes the second directory.
pub fn rename_at(dir: BorrowedFd<'_>, from: &CStr, to_dir: LooseFd, to: &CStr) -> io::Result<()> {
    in_simulation!(rename_at(dir, from, to_dir.as_fd(), to));
    Ok(renameat(dir, from, to_dir.as_fd(), to)?)
}

/// linkat(2). Closes the second directory.
pub fn hard_link_at(
    dir: BorrowedFd<'_>,
    original: &CStr,
    link_dir: LooseFd,
    link: &CStr,
) -> io::Result<()> {
    in_simulation!(hard_link_at(dir, original, link_dir.as_fd(), link));
    Ok(linkat(
        dir,
        original,
        link_dir.as_fd(),
        link,
        AtFlags::empty(),
    )?)
}

/// symlinkat(2).
pub fn symlink_at(original: &CStr, dir: BorrowedFd<'_>, link: &CStr) -> io::Result<()> {
    in_simulation!(symlink_at(original, dir, link));
    Ok(symlinkat(original, dir, link)?)
}

/// readlinkat(2).
pub fn read_link_at(dir: BorrowedFd<'_>, path: &CStr) -> io::Result<PathBuf> {
    in_simulation!(read_link_at(dir, path));
    let target = readlinkat(dir, path, Vec::new())?;
    Ok(OsString::from_vec(target.into_bytes()).into())
}
