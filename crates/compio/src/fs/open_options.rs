//! Options for opening a file.

use std::{io, path::Path};

use compio_driver::{
    OwnedFd,
    os_calls::{file, handle},
};

use super::File;
use crate::sys;

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
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    pub(crate) options: file::OpenOptions,
}

impl OpenOptions {
    /// No access is allowed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows reading.
    pub fn read(&mut self, read: bool) -> &mut Self {
        self.options.read = read;
        self
    }

    /// Allows writing.
    pub fn write(&mut self, write: bool) -> &mut Self {
        self.options.write = write;
        self
    }

    /// Allows writing, always at the end: the position of a write is ignored.
    pub fn append(&mut self, append: bool) -> &mut Self {
        self.options.append = append;
        self
    }

    /// Truncates the file.
    pub fn truncate(&mut self, truncate: bool) -> &mut Self {
        self.options.truncate = truncate;
        self
    }

    /// Creates the file if it is missing.
    pub fn create(&mut self, create: bool) -> &mut Self {
        self.options.create = create;
        self
    }

    /// Creates the file, which must not exist.
    pub fn create_new(&mut self, create_new: bool) -> &mut Self {
        self.options.create_new = create_new;
        self
    }

    /// Makes each write durable before it completes, with the attributes that are needed to read it back:
    /// `O_DSYNC`. On a disk that can write without its cache it saves the flush of
    /// [`sync_data`](File::sync_data), and with several writes for each commit it costs more.
    ///
    /// # Platform differences
    ///
    /// On Windows it is `FILE_FLAG_WRITE_THROUGH`. On macOS a write may remain in the cache of the disk.
    ///
    /// ```
    /// use compio::fs::OpenOptions;
    ///
    /// fn main() -> std::io::Result<()> {
    ///     let dir = tempfile::tempdir()?;
    ///     let path = dir.path().join("log");
    ///     compio::task::block_on(async {
    ///         let log = OpenOptions::new()
    ///             .write(true)
    ///             .create_new(true)
    ///             .data_sync(true)
    ///             .open(&path)?;
    ///         log.write_at("durable", 0).await.0?;
    ///         Ok(())
    ///     })
    /// }
    /// ```
    pub fn data_sync(&mut self, data_sync: bool) -> &mut Self {
        self.options.data_sync = data_sync;
        self
    }

    /// Opens the file, on this thread and at once.
    ///
    /// # Errors
    ///
    /// As [`std::fs::OpenOptions::open`].
    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        file::open(path.as_ref(), &self.options).map(|fd| self.adopt(fd))
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
        sys::open_async(&self.options, path.as_ref())
            .await
            .map(|fd| self.adopt(fd))
    }

    pub(crate) fn adopt(&self, fd: OwnedFd) -> File {
        let file = File::from_fd(fd);
        handle::declare_opened(&file.fd);
        if self.options.append {
            handle::declare_append_only(&file.fd);
        }
        file
    }
}
