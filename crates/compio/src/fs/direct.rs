//! Direct I/O: a file whose transfers bypass the page cache.

use std::{io, path::Path};

use compio_driver::os_calls::file::DirectLimits;
pub use compio_driver::os_calls::file::{AlignmentSource, AtomicWriteUnit, DirectAlignment};
use compio_io::{
    buf::{Aligned, BufResult, IoBuf, IoBufMut},
    io::{AsyncReadAt, AsyncSize, AsyncWriteAt, AsyncWriteAtExt},
};

use super::{File, Metadata, OpenOptions, WriteOptions};
use crate::sys;

/// The length of the writes of zeros.
const ZEROS_LEN: usize = 1 << 20;

impl OpenOptions {
    /// Opens the file asynchronously for direct I/O, and queries the alignment of its transfers.
    ///
    /// # Cancellation
    ///
    /// As for [`open_async`](Self::open_async).
    ///
    /// # Platform differences
    ///
    /// Linux and FreeBSD open it with `O_DIRECT`. macOS sets `F_NOCACHE`. Windows has no `DirectFile`.
    ///
    /// # Errors
    ///
    /// `Unsupported` if the system or the file system has no direct I/O. A file that was created by this call
    /// stays. Otherwise as for [`open`](Self::open).
    pub async fn open_direct_async(&self, path: impl AsRef<Path>) -> io::Result<DirectFile> {
        let (file, limits) = sys::open_direct(self, path.as_ref()).await?;
        Ok(DirectFile { file, limits })
    }
}

/// An open file whose reads and writes go to the disk without the page cache. Clones are handles of the same
/// open file.
///
/// The address of a buffer, the length of a transfer and its offset have to be multiples of the
/// [`alignment`](Self::alignment). An [`Aligned`] buffer has such an address. Buffers that contain their bytes,
/// as arrays do, change their address when an operation takes them: use buffers on the heap.
///
/// A write is in the cache of the disk when it completes. It is durable after [`sync_data`](Self::sync_data),
/// or if the file was opened with [`data_sync`](OpenOptions::data_sync).
///
/// Data that a `DirectFile` has written, and data in the page cache from another handle or a memory map, are
/// not always consistent on Linux: use one kind of access to a file at a time.
///
/// ```
/// use std::io;
///
/// use compio::{
///     buf::Aligned,
///     fs::OpenOptions,
///     io::{AsyncReadAtExt, AsyncWriteAtExt},
/// };
///
/// fn main() -> io::Result<()> {
///     let dir = tempfile::tempdir()?;
///     let path = dir.path().join("log");
///     compio::task::block_on(async {
///         let mut options = OpenOptions::new();
///         options.read(true).write(true).create(true);
///         let file = match options.open_direct_async(&path).await {
///             Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(()),
///             opened => opened?,
///         };
///         let unit = file.alignment().unit();
///         let mut block = Aligned::with_capacity(unit, unit);
///         block.extend_from_slice(b"record");
///         block.resize(unit, 0);
///         let (written, block) = file.write_all_at(block, 0).await;
///         written?;
///         file.sync_data().await?;
///
///         let (read, block) = file.read_exact_at(block, 0).await;
///         read?;
///         assert_eq!(block[..6], *b"record");
///         let (read, word) = file.read_unaligned_at(Vec::with_capacity(4), 2).await;
///         assert_eq!((read?, &word[..]), (4, &b"cord"[..]));
///         Ok(())
///     })
/// }
/// ```
#[derive(Debug, Clone)]
pub struct DirectFile {
    file: File,
    limits: DirectLimits,
}

impl DirectFile {
    /// Opens a file for reading.
    ///
    /// # Cancellation
    ///
    /// See [`OpenOptions::open_async`].
    ///
    /// # Errors
    ///
    /// As for [`OpenOptions::open_direct_async`].
    pub async fn open_async(path: impl AsRef<Path>) -> io::Result<Self> {
        OpenOptions::new().read(true).open_direct_async(path).await
    }

    /// The required alignment of reads and writes.
    ///
    /// # Platform differences
    ///
    /// Linux reports it since version 6.1, by `STATX_DIOALIGN`. Otherwise it is the block size of the file
    /// system, or 4096: see [`source`](DirectAlignment::source).
    pub fn alignment(&self) -> DirectAlignment {
        self.limits.alignment
    }

    /// The file with all other methods of a [`File`], such as locks and permissions. Its reads and writes are
    /// direct, too, but unaligned ones fail with an error of the OS.
    pub fn as_file(&self) -> &File {
        &self.file
    }

    /// Reads at `offset` bytes from the beginning, into `buffer` from its start over its whole capacity.
    /// Returns the number of bytes, which is less at EOF, and 0 behind it.
    ///
    /// # Cancellation
    ///
    /// See [`File`].
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the address or the capacity of the buffer or the offset is not aligned. The OS error
    /// of pread(2). With the buffer.
    pub async fn read_at<B: IoBufMut>(&self, buffer: B, offset: u64) -> BufResult<usize, B> {
        match self.check(buffer.as_init().as_ptr(), buffer.buf_capacity(), offset) {
            Ok(()) => self.file.read_at(buffer, offset).await,
            Err(error) => (Err(error), buffer),
        }
    }

    /// Reads any number of bytes at any offset: reads the blocks around them into another buffer, and copies.
    /// Returns the number of bytes, which is less at EOF, and 0 behind it.
    ///
    /// # Cancellation
    ///
    /// See [`File`].
    ///
    /// # Errors
    ///
    /// The OS error of pread(2), with the buffer.
    pub async fn read_unaligned_at<B: IoBufMut>(
        &self,
        mut buffer: B,
        offset: u64,
    ) -> BufResult<usize, B> {
        let alignment = self.limits.alignment;
        let unit = alignment.offset as u64;
        let start = offset - offset % unit;
        let head = (offset - start) as usize;
        // The capacity is a multiple of both alignments.
        let blocks = Aligned::with_capacity(head + buffer.buf_capacity(), alignment.unit());
        let (read, blocks) = self.read_at(blocks, start).await;
        // A read of less than one block has reached EOF.
        let copied = read.map(|_| buffer.init_from(blocks.get(head..).unwrap_or(&[])));
        (copied, buffer)
    }

    /// Writes `buffer` at `offset` bytes from the beginning. Returns the number of bytes, which may be less
    /// than all.
    ///
    /// # Cancellation
    ///
    /// See [`File`].
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the address or the length of the buffer or the offset is not aligned. The OS error of
    /// pwrite(2), for instance `StorageFull`. With the buffer.
    pub async fn write_at<B: IoBuf>(&self, buffer: B, offset: u64) -> BufResult<usize, B> {
        match self.check(buffer.as_init().as_ptr(), buffer.buf_len(), offset) {
            Ok(()) => self.file.write_at(buffer, offset).await,
            Err(error) => (Err(error), buffer),
        }
    }

    /// As [`write_at`](Self::write_at), with options for this write alone.
    ///
    /// # Platform differences
    ///
    /// Only Linux has such options.
    ///
    /// # Cancellation
    ///
    /// See [`File`]. A dropped atomic write may have written nothing or all.
    ///
    /// # Errors
    ///
    /// `Unsupported` if the system, the file system or the file does not support an option. `InvalidInput` if
    /// the length of an atomic write is not a power of two in the limits of
    /// [`atomic_write_unit`](Self::atomic_write_unit), or its offset is not a multiple of its length. Otherwise
    /// as for [`write_at`](Self::write_at). With the buffer.
    pub async fn write_at_with<B: IoBuf>(
        &self,
        buffer: B,
        offset: u64,
        options: WriteOptions,
    ) -> BufResult<usize, B> {
        let len = buffer.buf_len();
        let mut checked = self.check(buffer.as_init().as_ptr(), len, offset);
        if options.flags.atomic {
            let limits = self.limits.atomic_write.map(|unit| (unit.min, unit.max));
            checked = checked.and_then(|()| check_atomic(limits, len, offset));
        }
        match checked {
            Ok(()) => self.file.write_at_with(buffer, offset, options).await,
            Err(error) => (Err(error), buffer),
        }
    }

    /// The lengths of [atomic](WriteOptions::atomic) writes. `None` if the file has no atomic writes.
    ///
    /// # Platform differences
    ///
    /// Linux reports it since version 6.11, by `STATX_WRITE_ATOMIC`, for block devices, and since 6.13 for
    /// files of ext4 and XFS.
    pub fn atomic_write_unit(&self) -> Option<AtomicWriteUnit> {
        self.limits.atomic_write
    }

    /// Overwrites a range with zeros, and extends the file if the range ends behind its end.
    ///
    /// Later writes to the range are overwrites: they neither allocate blocks nor change attributes of the
    /// file, so that [`sync_data`](Self::sync_data) has no metadata to write. The zeros themselves are durable
    /// after a sync.
    ///
    /// # Cancellation
    ///
    /// A part of the range may have been overwritten.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if offset or length is not aligned. The OS error of pwrite(2), for instance
    /// `StorageFull`.
    pub async fn write_zeros_at(&self, offset: u64, len: u64) -> io::Result<()> {
        let end = offset.checked_add(len);
        let end = end.ok_or_else(|| invalid("the range ends behind the largest offset"))?;
        let unit = self.limits.alignment.unit();
        let chunk = ZEROS_LEN.max(unit) as u64;
        let mut zeros = Aligned::zeroed(len.min(chunk) as usize, unit);
        let mut at = offset;
        while at < end {
            zeros.truncate((end - at).min(chunk) as usize);
            let (written, buffer) = self.write_all_at(zeros, at).await;
            written?;
            zeros = buffer;
            at += zeros.len() as u64;
        }
        Ok(())
    }

    /// As [`File::sync_all`]: also the cache of the disk, and the attributes of the file.
    ///
    /// # Cancellation
    ///
    /// The OS may continue the sync.
    ///
    /// # Errors
    ///
    /// As for [`File::sync_all`].
    pub async fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all().await
    }

    /// As [`File::sync_data`]: also the cache of the disk, and the attributes that are needed to read the
    /// content back.
    ///
    /// # Cancellation
    ///
    /// The OS may continue the sync.
    ///
    /// # Errors
    ///
    /// As for [`File::sync_data`].
    pub async fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data().await
    }

    /// As [`File::metadata`].
    ///
    /// # Cancellation
    ///
    /// Has no effect on the file.
    ///
    /// # Errors
    ///
    /// As for [`File::metadata`].
    pub async fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata().await
    }

    /// As [`File::set_len`]. The length need not be aligned.
    ///
    /// # Cancellation
    ///
    /// See [`fs`](crate::fs).
    ///
    /// # Errors
    ///
    /// As for [`File::set_len`].
    pub async fn set_len(&self, size: u64) -> io::Result<()> {
        self.file.set_len(size).await
    }

    /// As [`File::allocate`]: the first write to each part changes metadata. [`write_zeros_at`](Self::write_zeros_at)
    /// avoids that.
    ///
    /// # Cancellation
    ///
    /// See [`fs`](crate::fs).
    ///
    /// # Errors
    ///
    /// As for [`File::allocate`].
    pub async fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.file.allocate(offset, len).await
    }

    /// As [`File::close`].
    ///
    /// # Cancellation
    ///
    /// The file is closed in any case.
    ///
    /// # Errors
    ///
    /// As for [`File::close`].
    pub async fn close(self) -> io::Result<()> {
        self.file.close().await
    }

    /// `InvalidInput` if the kernel would refuse the transfer, whose EINVAL does not tell the reason.
    fn check(&self, address: *const u8, len: usize, offset: u64) -> io::Result<()> {
        let DirectAlignment {
            memory,
            offset: unit,
            ..
        } = self.limits.alignment;
        if !address.addr().is_multiple_of(memory) {
            return Err(invalid(&format!(
                "the buffer's address {address:p} is not a multiple of {memory}"
            )));
        }
        for (name, value) in [("length", len as u64), ("offset", offset)] {
            if !value.is_multiple_of(unit as u64) {
                return Err(invalid(&format!(
                    "the {name} {value} is not a multiple of {unit}"
                )));
            }
        }
        Ok(())
    }
}

/// The limits are the lengths of the shortest and the longest atomic write.
fn check_atomic(limits: Option<(usize, usize)>, len: usize, offset: u64) -> io::Result<()> {
    let Some((min, max)) = limits else {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "direct I/O: the file has no atomic writes",
        ));
    };
    if !len.is_power_of_two() || !(min..=max).contains(&len) {
        return Err(invalid(&format!(
            "the length {len} of an atomic write is not a power of two from {min} to {max}"
        )));
    }
    if !offset.is_multiple_of(len as u64) {
        return Err(invalid(&format!(
            "the offset {offset} of an atomic write is not a multiple of its length {len}"
        )));
    }
    Ok(())
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("direct I/O: {why}"))
}

/// Each transfer has to be aligned.
impl AsyncReadAt for DirectFile {
    async fn read_at<B: IoBufMut>(&self, buffer: B, offset: u64) -> BufResult<usize, B> {
        DirectFile::read_at(self, buffer, offset).await
    }
}

/// Each transfer has to be aligned.
impl AsyncWriteAt for DirectFile {
    async fn write_at<B: IoBuf>(&self, buffer: B, offset: u64) -> BufResult<usize, B> {
        DirectFile::write_at(self, buffer, offset).await
    }
}

impl AsyncSize for DirectFile {
    async fn size(&self) -> io::Result<u64> {
        self.file.size().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn atomic_writes_have_limits() {
        let limits = Some((512, 4096));
        for (len, offset) in [(512, 512), (1024, 0), (4096, 8192)] {
            check_atomic(limits, len, offset).unwrap();
        }
        let kind = |limits, len, offset| check_atomic(limits, len, offset).unwrap_err().kind();
        for (len, offset) in [(0, 0), (256, 0), (1536, 0), (8192, 0), (4096, 512)] {
            assert_eq!(
                kind(limits, len, offset),
                io::ErrorKind::InvalidInput,
                "{len}"
            );
        }
        assert_eq!(kind(None, 512, 0), io::ErrorKind::Unsupported);
    }
}
