//! Options for creating a directory.

use std::{io, path::Path};

use compio_driver::os_calls::path::create_dir;

use super::blocking;
use crate::sys::SystemDirOptions;

/// Options for creating a directory: [`std::fs::DirBuilder`], with the methods of std's
/// `DirBuilderExt` for the platform.
///
/// ```
/// use compio::fs::DirBuilder;
///
/// fn main() -> std::io::Result<()> {
///     let dir = tempfile::tempdir()?;
///     let path = dir.path().join("a/b/c");
///     compio::task::block_on(async {
///         DirBuilder::new().recursive(true).create(&path).await?;
///         assert!(compio::fs::metadata(&path).await?.is_dir());
///         Ok(())
///     })
/// }
/// ```
#[derive(Debug, Clone, Default)]
pub struct DirBuilder {
    recursive: bool,
    pub(crate) system: SystemDirOptions,
}

impl DirBuilder {
    /// By default it creates one directory, with access for all users.
    pub fn new() -> Self {
        Self::default()
    }

    /// Also creates missing parents. An existing directory is no error then.
    pub fn recursive(&mut self, recursive: bool) -> &mut Self {
        self.recursive = recursive;
        self
    }

    /// Creates the directory.
    ///
    /// # Cancellation
    ///
    /// See [`fs`](crate::fs).
    ///
    /// # Errors
    ///
    /// As [`std::fs::DirBuilder::create`].
    pub async fn create(&self, path: impl AsRef<Path>) -> io::Result<()> {
        if !self.recursive {
            return self.system.create(path.as_ref()).await;
        }
        let (path, mode) = (path.as_ref().to_owned(), self.system.mode());
        blocking(move || create_dir(&path, true, mode)).await
    }
}
