//! Metadata of a file.

use std::{fmt, fs::Permissions, io, time::SystemTime};

use crate::sys::{Attributes, Kind};

/// The attributes of a file, as [`std::fs::Metadata`], with the methods of std's `MetadataExt` for
/// the platform.
///
/// ```
/// fn main() -> std::io::Result<()> {
///     compio::task::block_on(async {
///         let attributes = compio::fs::metadata("Cargo.toml").await?;
///         assert!(attributes.is_file() && attributes.len() > 0);
///         assert!(!attributes.permissions().readonly());
///         Ok(())
///     })
/// }
/// ```
#[derive(Clone)]
pub struct Metadata(pub(crate) Attributes);

#[expect(
    clippy::len_without_is_empty,
    reason = "std's name, for something that is not a collection"
)]
impl Metadata {
    /// Size in bytes.
    pub fn len(&self) -> u64 {
        self.0.size()
    }

    /// The type of the file.
    pub fn file_type(&self) -> FileType {
        FileType(self.0.kind())
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.0.kind().is_file()
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.0.kind().is_dir()
    }

    /// Whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.0.kind().is_symlink()
    }

    /// The permissions of the file.
    pub fn permissions(&self) -> Permissions {
        self.0.permissions()
    }

    /// Time of the last change of the content.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported), if the file system does not keep it.
    pub fn modified(&self) -> io::Result<SystemTime> {
        self.0.modified()
    }

    /// Time of the last read.
    ///
    /// # Errors
    ///
    /// As for [`modified`](Self::modified).
    pub fn accessed(&self) -> io::Result<SystemTime> {
        self.0.accessed()
    }

    /// Time of creation.
    ///
    /// # Platform differences
    ///
    /// On macOS and FreeBSD, a file system that does not keep it reports -1 seconds, which is an error here.
    ///
    /// # Errors
    ///
    /// As for [`modified`](Self::modified).
    pub fn created(&self) -> io::Result<SystemTime> {
        self.0.created()
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata")
            .field("file_type", &self.file_type())
            .field("permissions", &self.permissions())
            .field("len", &self.len())
            .field("modified", &self.modified().ok())
            .field("accessed", &self.accessed().ok())
            .field("created", &self.created().ok())
            .finish_non_exhaustive()
    }
}

/// The type of a file, as [`std::fs::FileType`]. At most one of the three tests is true: other types
/// exist as well.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileType(pub(crate) Kind);

impl FileType {
    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.0.is_dir()
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.0.is_file()
    }

    /// Whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.0.is_symlink()
    }
}

impl fmt::Debug for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileType")
            .field("is_file", &self.is_file())
            .field("is_dir", &self.is_dir())
            .field("is_symlink", &self.is_symlink())
            .finish_non_exhaustive()
    }
}
