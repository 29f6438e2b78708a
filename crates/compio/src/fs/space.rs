//! Disk space of files.

use std::io;

use compio_driver::op::{Allocate, Allocation};

use super::File;
use crate::runtime;

/// Disk space of a range.
///
/// # Platform differences
///
/// These methods work on Linux, and fail with `Unsupported` on other systems.
impl File {
    /// Reserves disk space for `len` bytes from `offset` on: fallocate(2). A later write to the range does not
    /// fail for lack of space. The file is extended by zeros if the range ends behind its end.
    ///
    /// The space is unwritten. The first write to a part of it changes metadata of the file system, which the
    /// next sync has to write. A log whose syncs should be short needs written zeros:
    /// [`DirectFile::write_zeros_at`](super::DirectFile::write_zeros_at).
    ///
    /// # Cancellation
    ///
    /// See [`fs`](crate::fs).
    ///
    /// # Errors
    ///
    /// `StorageFull` if there is no space. `InvalidInput` if `len` is 0. `Unsupported` if the file system
    /// cannot reserve space. Other OS errors of fallocate(2).
    ///
    /// ```
    /// use compio::fs::File;
    ///
    /// fn main() -> std::io::Result<()> {
    ///     let dir = tempfile::tempdir()?;
    ///     let path = dir.path().join("segment");
    ///     compio::task::block_on(async {
    ///         let file = File::create(&path)?;
    ///         if file.allocate(0, 1 << 20).await.is_ok() {
    ///             assert_eq!(file.metadata().await?.len(), 1 << 20);
    ///         }
    ///         Ok(())
    ///     })
    /// }
    /// ```
    pub async fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.change_space(Allocation::Extend, offset, len).await
    }

    /// As [`allocate`](Self::allocate), but the length of the file stays: `FALLOC_FL_KEEP_SIZE`.
    ///
    /// A write behind the end then changes the length, which the next
    /// [`sync_data`](Self::sync_data) has to write, too.
    ///
    /// # Cancellation
    ///
    /// See [`fs`](crate::fs).
    ///
    /// # Errors
    ///
    /// As for [`allocate`](Self::allocate).
    pub async fn allocate_keep_size(&self, offset: u64, len: u64) -> io::Result<()> {
        self.change_space(Allocation::KeepSize, offset, len).await
    }

    /// Releases the disk space of whole blocks in a range, and makes the whole range zeros:
    /// `FALLOC_FL_PUNCH_HOLE`. The length of the file stays.
    ///
    /// # Cancellation
    ///
    /// See [`fs`](crate::fs).
    ///
    /// # Errors
    ///
    /// `InvalidInput` if `len` is 0. `Unsupported` if the file system has no holes. Other OS errors of
    /// fallocate(2).
    pub async fn punch_hole(&self, offset: u64, len: u64) -> io::Result<()> {
        self.change_space(Allocation::PunchHole, offset, len).await
    }

    async fn change_space(&self, mode: Allocation, offset: u64, len: u64) -> io::Result<()> {
        runtime::submit(Allocate::new(self.fd.clone(), mode, offset, len)).await
    }
}
