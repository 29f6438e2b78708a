//! Writes with options of their own.

use std::io;

use compio_driver::op::{WriteFlags, WriteWith};
use compio_io::buf::{BufResult, IoBuf};

use super::File;
use crate::runtime;

/// Options of a single write, for [`File::write_at_with`] and
/// [`DirectFile::write_at_with`](super::DirectFile::write_at_with).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteOptions {
    pub(super) flags: WriteFlags,
}

impl WriteOptions {
    /// A plain write.
    pub fn new() -> Self {
        Self::default()
    }

    /// The write is durable when it completes, with the attributes that are needed to read it back:
    /// `RWF_DSYNC`. As [`OpenOptions::data_sync`](super::OpenOptions::data_sync), for one write.
    pub fn data_sync(mut self, data_sync: bool) -> Self {
        self.flags.data_sync = data_sync;
        self
    }

    /// After a loss of power, the file has all bytes of the write or none: `RWF_ATOMIC`. The write need not be
    /// durable when it completes.
    ///
    /// Only direct writes can be atomic. The disk and the file system have to support it:
    /// [`DirectFile::atomic_write_unit`](super::DirectFile::atomic_write_unit) has the permitted lengths.
    pub fn atomic(mut self, atomic: bool) -> Self {
        self.flags.atomic = atomic;
        self
    }

    /// The name of the first option that may be unsupported.
    fn name(self) -> &'static str {
        if self.flags.atomic {
            "atomic writes"
        } else {
            "durable single writes"
        }
    }
}

impl File {
    /// As [`write_at`](Self::write_at), with options for this write alone. For files with positions.
    ///
    /// # Platform differences
    ///
    /// Only Linux has such options.
    ///
    /// # Cancellation
    ///
    /// See [`File`].
    ///
    /// # Errors
    ///
    /// `Unsupported` if the system, the file system or the file does not support an option. Otherwise as for
    /// [`write_at`](Self::write_at). With the buffer.
    ///
    /// ```
    /// use std::io;
    ///
    /// use compio::fs::{File, WriteOptions};
    ///
    /// fn main() -> io::Result<()> {
    ///     let dir = tempfile::tempdir()?;
    ///     let path = dir.path().join("log");
    ///     compio::task::block_on(async {
    ///         let log = File::create(&path)?;
    ///         let durable = WriteOptions::new().data_sync(true);
    ///         match log.write_at_with("commit", 0, durable).await.0 {
    ///             Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
    ///             written => written.map(|len| assert_eq!(len, 6)),
    ///         }
    ///     })
    /// }
    /// ```
    pub async fn write_at_with<B: IoBuf>(
        &self,
        buffer: B,
        offset: u64,
        options: WriteOptions,
    ) -> BufResult<usize, B> {
        if options == WriteOptions::new() {
            return self.write_at(buffer, offset).await;
        }
        let write = WriteWith::new(self.fd.clone(), offset, options.flags, buffer);
        let (written, buffer) = runtime::submit(write).await;
        let written = written.map_err(|error| {
            if error.kind() != io::ErrorKind::Unsupported {
                return error;
            }
            let text = format!(
                "{} are not supported for this file: {error}",
                options.name()
            );
            io::Error::new(error.kind(), text)
        });
        (written, buffer)
    }
}
