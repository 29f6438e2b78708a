//! What a file system knows about a file.

use std::{io, time::SystemTime};

use compio_driver::op::Attributes;

use crate::sys;

/// The attributes of a file, as [`std::fs::Metadata`] has them.
#[derive(Debug, Clone)]
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

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        sys::is_file(&self.0)
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        sys::is_dir(&self.0)
    }

    /// Whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        sys::is_symlink(&self.0)
    }

    /// Time of the last change of the content.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported), if the file system does not keep it.
    pub fn modified(&self) -> io::Result<SystemTime> {
        kept(self.0.modified())
    }

    /// Time of the last read.
    ///
    /// # Errors
    ///
    /// As for [`modified`](Self::modified).
    pub fn accessed(&self) -> io::Result<SystemTime> {
        kept(self.0.accessed())
    }

    /// Time of birth.
    ///
    /// # Errors
    ///
    /// As for [`modified`](Self::modified).
    pub fn created(&self) -> io::Result<SystemTime> {
        kept(self.0.created())
    }
}

fn kept(time: Option<SystemTime>) -> io::Result<SystemTime> {
    time.ok_or_else(|| io::ErrorKind::Unsupported.into())
}
