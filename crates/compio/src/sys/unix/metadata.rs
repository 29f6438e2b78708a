//! File attributes on unix: the results of `statx` or `stat`.

use std::{
    ffi::OsStr, fs::Permissions, io, os::unix::fs::PermissionsExt, path::Path, time::SystemTime,
};

use compio_driver::{
    SharedFd,
    op::{self, Stat, StatFd},
    os_calls::path,
};

use super::fs::path_to_c;
use crate::{
    fs::{DirEntry, FileType, Metadata},
    runtime,
};

/// The attributes of a file.
#[derive(Debug, Clone)]
pub(crate) struct Attributes(op::Attributes);

impl Attributes {
    pub(crate) async fn of(path: &Path, follow: bool) -> io::Result<Self> {
        Self::of_at(None, path, follow).await
    }

    /// As [`of`](Self::of), relative to `dir` instead of the current directory.
    pub(crate) async fn of_at(
        dir: Option<&SharedFd>,
        path: &Path,
        follow: bool,
    ) -> io::Result<Self> {
        let path = path_to_c(path)?;
        let asked = match dir {
            Some(dir) => runtime::submit(Stat::at(dir.clone(), path, follow)).await,
            None => runtime::submit(Stat::new(path, follow)).await,
        };
        asked.map(Self)
    }

    pub(crate) async fn of_file(fd: &SharedFd) -> io::Result<Self> {
        runtime::submit(StatFd::new(fd.clone())).await.map(Self)
    }

    pub(crate) fn size(&self) -> u64 {
        self.0.size()
    }

    pub(crate) fn kind(&self) -> Kind {
        // The type of the number differs between systems.
        Kind(self.0.mode() as libc::mode_t & libc::S_IFMT)
    }

    pub(crate) fn permissions(&self) -> Permissions {
        Permissions::from_mode(self.0.mode())
    }

    pub(crate) fn modified(&self) -> io::Result<SystemTime> {
        kept(self.0.modified())
    }

    pub(crate) fn accessed(&self) -> io::Result<SystemTime> {
        kept(self.0.accessed())
    }

    pub(crate) fn created(&self) -> io::Result<SystemTime> {
        kept(self.0.created())
    }
}

fn kept(time: Option<SystemTime>) -> io::Result<SystemTime> {
    time.ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// The type of a file: the `S_IF` bits of a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Kind(libc::mode_t);

impl Kind {
    pub(crate) fn is_dir(self) -> bool {
        self.0 == libc::S_IFDIR
    }

    pub(crate) fn is_file(self) -> bool {
        self.0 == libc::S_IFREG
    }

    pub(crate) fn is_symlink(self) -> bool {
        self.0 == libc::S_IFLNK
    }
}

/// A directory entry.
#[derive(Debug, Clone)]
pub(crate) struct Entry(pub(crate) path::Entry);

impl Entry {
    pub(crate) fn name(&self) -> &OsStr {
        &self.0.name
    }

    pub(crate) fn kind(&self) -> Option<Kind> {
        self.0.kind.map(Kind)
    }

    pub(crate) fn attributes(&self) -> Option<Attributes> {
        None
    }
}

/// On unix.
impl DirEntry {
    /// The inode number of the file, as the directory has it.
    pub fn ino(&self) -> u64 {
        self.entry.0.ino
    }
}

/// On unix.
impl FileType {
    /// Whether it is a block device.
    pub fn is_block_device(&self) -> bool {
        self.0.0 == libc::S_IFBLK
    }

    /// Whether it is a character device, such as a terminal.
    pub fn is_char_device(&self) -> bool {
        self.0.0 == libc::S_IFCHR
    }

    /// Whether it is a pipe.
    pub fn is_fifo(&self) -> bool {
        self.0.0 == libc::S_IFIFO
    }

    /// Whether it is a socket.
    pub fn is_socket(&self) -> bool {
        self.0.0 == libc::S_IFSOCK
    }
}

/// On unix: the methods of [`std::os::unix::fs::MetadataExt`].
impl Metadata {
    /// The device that the file is on.
    pub fn dev(&self) -> u64 {
        self.0.0.dev()
    }

    /// The inode number.
    pub fn ino(&self) -> u64 {
        self.0.0.ino()
    }

    /// Type and permission bits.
    pub fn mode(&self) -> u32 {
        self.0.0.mode()
    }

    /// Number of hard links.
    pub fn nlink(&self) -> u64 {
        self.0.0.nlink()
    }

    /// The owner's user id.
    pub fn uid(&self) -> u32 {
        self.0.0.uid()
    }

    /// The owner's group id.
    pub fn gid(&self) -> u32 {
        self.0.0.gid()
    }

    /// The device that a device file represents.
    pub fn rdev(&self) -> u64 {
        self.0.0.rdev()
    }

    /// Size in bytes, as [`len`](Self::len).
    pub fn size(&self) -> u64 {
        self.0.0.size()
    }

    /// Time of the last read, in seconds since 1970.
    pub fn atime(&self) -> i64 {
        self.0.0.atime().0
    }

    /// The nanoseconds of [`atime`](Self::atime).
    pub fn atime_nsec(&self) -> i64 {
        self.0.0.atime().1
    }

    /// Time of the last change of the content, in seconds since 1970.
    pub fn mtime(&self) -> i64 {
        self.0.0.mtime().0
    }

    /// The nanoseconds of [`mtime`](Self::mtime).
    pub fn mtime_nsec(&self) -> i64 {
        self.0.0.mtime().1
    }

    /// Time of the last change of content or attributes, in seconds since 1970.
    pub fn ctime(&self) -> i64 {
        self.0.0.ctime().0
    }

    /// The nanoseconds of [`ctime`](Self::ctime).
    pub fn ctime_nsec(&self) -> i64 {
        self.0.0.ctime().1
    }

    /// The size of a block for efficient reads and writes, in bytes.
    pub fn blksize(&self) -> u64 {
        self.0.0.blksize()
    }

    /// Blocks of 512 bytes that the file occupies.
    pub fn blocks(&self) -> u64 {
        self.0.0.blocks()
    }
}
