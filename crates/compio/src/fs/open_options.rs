//! Options for opening a file.

use std::{fs, io, path::Path};

use super::File;
use crate::sys::{self, SystemOptions};

/// Options for opening a file: [`std::fs::OpenOptions`], with the same rules, and the methods of
/// std's `OpenOptionsExt` for the platform.
///
/// ```
/// use compio::fs::OpenOptions;
///
/// fn main() -> std::io::Result<()> {
///     let dir = tempfile::tempdir()?;
///     let path = dir.path().join("new");
///     compio::task::block_on(async {
///         let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
///         let (written, _) = file.write_at("hello", 0).await;
///         assert_eq!(written?, 5);
///         Ok(())
///     })
/// }
/// ```
#[derive(Debug, Clone)]
pub struct OpenOptions {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) append: bool,
    pub(crate) truncate: bool,
    pub(crate) create: bool,
    pub(crate) create_new: bool,
    pub(crate) system: SystemOptions,
}

impl OpenOptions {
    /// No access is allowed yet.
    pub fn new() -> Self {
        Self {
            read: false,
            write: false,
            append: false,
            truncate: false,
            create: false,
            create_new: false,
            system: SystemOptions::default(),
        }
    }

    /// Allows reading.
    pub fn read(&mut self, read: bool) -> &mut Self {
        self.read = read;
        self
    }

    /// Allows writing.
    pub fn write(&mut self, write: bool) -> &mut Self {
        self.write = write;
        self
    }

    /// Allows writing, always at the end: the position of a write is ignored.
    pub fn append(&mut self, append: bool) -> &mut Self {
        self.append = append;
        self
    }

    /// Truncates the file.
    pub fn truncate(&mut self, truncate: bool) -> &mut Self {
        self.truncate = truncate;
        self
    }

    /// Creates the file if it is missing.
    pub fn create(&mut self, create: bool) -> &mut Self {
        self.create = create;
        self
    }

    /// Creates the file, which must not exist.
    pub fn create_new(&mut self, create_new: bool) -> &mut Self {
        self.create_new = create_new;
        self
    }

    /// Opens the file, on this thread and at once.
    ///
    /// # Errors
    ///
    /// As [`std::fs::OpenOptions::open`].
    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        sys::open(self, path.as_ref()).map(File::from_std)
    }

    /// Opens the file asynchronously, so that a slow disk or network does not delay other tasks.
    ///
    /// # Cancellation
    ///
    /// If the file is opened nevertheless, it is closed again. If it is created, it stays.
    ///
    /// # Platform differences
    ///
    /// With io_uring, Linux does not wait for the other end of a FIFO, unless the file may be
    /// created or truncated: a reader is opened at once, a writer without a reader fails with
    /// `ENXIO`. Windows opens files on another thread.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub async fn open_async(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let file = sys::open_async(self, path.as_ref()).await?;
        Ok(File::from_std(file))
    }

    /// The options that std has on every platform.
    pub(crate) fn to_std(&self) -> fs::OpenOptions {
        let mut options = fs::OpenOptions::new();
        options
            .read(self.read)
            .write(self.write)
            .append(self.append)
            .truncate(self.truncate)
            .create(self.create)
            .create_new(self.create_new);
        options
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}
