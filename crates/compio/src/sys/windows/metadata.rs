//! File attributes on Windows: std's metadata, since no such call is overlapped.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, Permissions},
    io,
    os::windows::fs::{FileTypeExt, MetadataExt},
    path::Path,
    time::SystemTime,
};

use compio_driver::SharedFd;

use crate::fs::{FileType, Metadata, blocking, off_thread_with};

/// The attributes of a file.
#[derive(Debug, Clone)]
pub(crate) struct Attributes(fs::Metadata);

impl Attributes {
    pub(crate) async fn of(path: &Path, follow: bool) -> io::Result<Self> {
        let path = path.to_owned();
        blocking(move || {
            if follow {
                fs::metadata(path)
            } else {
                fs::symlink_metadata(path)
            }
        })
        .await
        .map(Self)
    }

    /// As [`of`](Self::of): Windows has no paths relative to a directory's handle.
    pub(crate) async fn of_at(_: Option<&SharedFd>, path: &Path, follow: bool) -> io::Result<Self> {
        Self::of(path, follow).await
    }

    pub(crate) async fn of_file(fd: &SharedFd) -> io::Result<Self> {
        off_thread_with(fd, fs::File::metadata).await.map(Self)
    }

    pub(crate) fn size(&self) -> u64 {
        self.0.len()
    }

    pub(crate) fn kind(&self) -> Kind {
        Kind(self.0.file_type())
    }

    pub(crate) fn permissions(&self) -> Permissions {
        self.0.permissions()
    }

    pub(crate) fn modified(&self) -> io::Result<SystemTime> {
        self.0.modified()
    }

    pub(crate) fn accessed(&self) -> io::Result<SystemTime> {
        self.0.accessed()
    }

    pub(crate) fn created(&self) -> io::Result<SystemTime> {
        self.0.created()
    }
}

/// The type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Kind(fs::FileType);

impl Kind {
    pub(crate) fn is_dir(self) -> bool {
        self.0.is_dir()
    }

    pub(crate) fn is_file(self) -> bool {
        self.0.is_file()
    }

    pub(crate) fn is_symlink(self) -> bool {
        self.0.is_symlink()
    }
}

/// A directory entry.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    name: OsString,
    kind: Option<Kind>,
    attributes: Option<Attributes>,
}

impl Entry {
    pub(crate) fn of_std(entry: &fs::DirEntry) -> Self {
        Self {
            name: entry.file_name(),
            kind: entry.file_type().ok().map(Kind),
            attributes: entry.metadata().ok().map(Attributes),
        }
    }

    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    pub(crate) fn kind(&self) -> Option<Kind> {
        self.kind
    }

    pub(crate) fn attributes(&self) -> Option<Attributes> {
        self.attributes.clone()
    }
}

/// On Windows.
impl FileType {
    /// Whether it is a symbolic link to a directory.
    pub fn is_symlink_dir(&self) -> bool {
        self.0.0.is_symlink_dir()
    }

    /// Whether it is a symbolic link to a file.
    pub fn is_symlink_file(&self) -> bool {
        self.0.0.is_symlink_file()
    }
}

/// On Windows: the methods of [`std::os::windows::fs::MetadataExt`].
impl Metadata {
    /// The `FILE_ATTRIBUTE_` bits.
    pub fn file_attributes(&self) -> u32 {
        self.0.0.file_attributes()
    }

    /// Time of creation, in units of 100 ns since 1601.
    pub fn creation_time(&self) -> u64 {
        self.0.0.creation_time()
    }

    /// Time of the last read, in units of 100 ns since 1601; 0 if the file system does not keep it.
    pub fn last_access_time(&self) -> u64 {
        self.0.0.last_access_time()
    }

    /// Time of the last change of the content, in units of 100 ns since 1601.
    pub fn last_write_time(&self) -> u64 {
        self.0.0.last_write_time()
    }

    /// Size in bytes, as [`len`](Self::len).
    pub fn file_size(&self) -> u64 {
        self.0.0.file_size()
    }
}
