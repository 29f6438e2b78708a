//! File attributes on Windows: std's metadata, since no such call is overlapped.

use std::{
    ffi::OsStr,
    fs::{FileType as StdFileType, Metadata as StdMetadata, Permissions},
    io,
    os::windows::fs::{FileTypeExt, MetadataExt},
    path::Path,
    time::SystemTime,
};

use compio_driver::{
    SharedFd,
    os_calls::{file, path as calls},
};

use crate::fs::{FileType, Metadata, blocking, off_thread_with};

/// The attributes of a file.
#[derive(Debug, Clone)]
pub(crate) struct Attributes(StdMetadata);

impl Attributes {
    pub(crate) async fn of(path: &Path, follow: bool) -> io::Result<Self> {
        let path = path.to_owned();
        blocking(move || calls::metadata(&path, follow))
            .await
            .map(Self)
    }

    /// As [`of`](Self::of): Windows has no paths relative to a directory's handle.
    pub(crate) async fn of_at(_: Option<&SharedFd>, path: &Path, follow: bool) -> io::Result<Self> {
        Self::of(path, follow).await
    }

    pub(crate) async fn of_file(fd: &SharedFd) -> io::Result<Self> {
        off_thread_with(fd, file::metadata).await.map(Self)
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
pub(crate) struct Kind(StdFileType);

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
pub(crate) struct Entry(pub(crate) calls::Entry);

impl Entry {
    pub(crate) fn name(&self) -> &OsStr {
        &self.0.name
    }

    pub(crate) fn kind(&self) -> Option<Kind> {
        self.0.kind.map(Kind)
    }

    pub(crate) fn attributes(&self) -> Option<Attributes> {
        self.0.attributes.clone().map(Attributes)
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
