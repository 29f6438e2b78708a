//! An open file.

use std::{
    fs::{File as StdFile, FileTimes, Permissions},
    io,
    path::Path,
    time::SystemTime,
};

use compio_driver::{
    AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd, SharedFd,
    op::{ReadAt, ReadVectoredAt, Sync, Truncate, WriteAt, WriteVectoredAt},
    os_calls::{file, handle},
};
use compio_io::{
    buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut},
    io::{AsyncReadAt, AsyncSize, AsyncWriteAt},
};

use super::{Metadata, OpenOptions, off_thread_with};
use crate::{
    runtime,
    sys::{self, Attributes},
};

/// An open file. Clones are handles of the same open file.
///
/// It has no cursor of its own: reads and writes take a position, and a
/// [`Cursor`](crate::io::Cursor) stores one.
///
/// It belongs to its thread; [`into_std`](Self::into_std) moves it elsewhere. It is closed when the
/// last handle is dropped and the last operation has completed.
///
/// # Cancellation
///
/// A dropped read loses nothing: the next read has its own position. A dropped write may have written
/// nothing, a part, or all. This holds for files with positions. A pipe or a terminal that was opened
/// as a file loses the bytes of a dropped read. Read it as a [`PipeReader`](crate::pipe::PipeReader)
/// instead.
///
/// # Terminals, FIFOs, devices
///
/// None of them blocks the runtime, on Linux. A terminal is opened again in non-blocking mode, as is a
/// FIFO where necessary: the mode of this file, which other processes may share, stays. If the OS
/// refuses that, and for other devices, a thread reads and writes:
///
/// | type | io_uring | readiness |
/// |---|---|---|
/// | terminal | the runtime's thread, non-blocking | the runtime's thread, non-blocking |
/// | pipe, FIFO, socket | the ring | the runtime's thread, non-blocking |
/// | `/dev/null`, `/dev/zero`, `/dev/random` | the ring | the runtime's thread |
/// | eventfd, timerfd, signalfd | the ring | the runtime's thread, non-blocking |
/// | inotify, pty master, other devices | an io-wq worker | the thread pool, once it is ready |
/// | regular file | the ring | the page cache, or the thread pool |
/// | FUSE file | an io-wq worker | the thread pool |
///
/// A pool thread that loses a race against another reader waits for the next bytes and cannot be
/// cancelled; `O_NONBLOCK` on the file avoids that. A background read of a terminal stops the program, as
/// with `std`.
///
/// # Windows
///
/// NTFS blocks the caller of some overlapped calls: writes that extend the valid data of a file, and all
/// transfers of compressed and encrypted files. These calls use the thread pool, as do all appends. The
/// runtime takes the length of the file at its first transfer for valid data, or a smaller length that
/// [`set_len`](Self::set_len) has set before. A write blocks the runtime if another program has shortened the
/// file since, or if its length was set without data. Files of a server are written by overlapped calls.
///
/// ```
/// use compio::fs::File;
///
/// fn main() -> std::io::Result<()> {
///     let dir = tempfile::tempdir()?;
///     let path = dir.path().join("greeting");
///     compio::task::block_on(async {
///         let file = File::create(&path)?;
///         let (written, buffer) = file.write_at("hello", 0).await;
///         assert_eq!(&buffer[..written?], "hello");
///         file.sync_all().await?;
///         file.close().await?;
///
///         let file = File::open(&path)?;
///         let (read, buffer) = file.read_at(Vec::with_capacity(100), 1).await;
///         assert_eq!(read?, 4);
///         assert_eq!(buffer, b"ello");
///         Ok(())
///     })
/// }
/// ```
#[derive(Debug, Clone)]
pub struct File {
    pub(crate) fd: SharedFd,
}

impl File {
    /// Opens a file for reading, on this thread and at once: see [`open_async`](Self::open_async)
    /// for the asynchronous open.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::open`].
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        OpenOptions::new().read(true).open(path)
    }

    /// Opens a file for writing, on this thread and at once; it is created if it is missing and
    /// truncated otherwise.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::create`].
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)
    }

    /// As [`open`](Self::open), but asynchronously: a slow disk does not delay other tasks.
    ///
    /// # Cancellation
    ///
    /// See [`OpenOptions::open_async`].
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub async fn open_async(path: impl AsRef<Path>) -> io::Result<Self> {
        OpenOptions::new().read(true).open_async(path).await
    }

    /// As [`create`](Self::create), but asynchronously.
    ///
    /// # Cancellation
    ///
    /// See [`OpenOptions::open_async`].
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create).
    pub async fn create_async(path: impl AsRef<Path>) -> io::Result<Self> {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open_async(path)
            .await
    }

    /// Creates a file, on this thread and at once, and opens it for reading and writing. The file
    /// must not exist.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::create_new`].
    pub fn create_new(path: impl AsRef<Path>) -> io::Result<Self> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
    }

    /// Options for opening a file in other ways: the same as [`OpenOptions::new`].
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// Takes over a file of std.
    ///
    /// # Platform differences
    ///
    /// On Windows, files that were not opened with `FILE_FLAG_OVERLAPPED`, or were used by another
    /// thread's runtime, are read and written by the thread pool.
    pub fn from_std(file: StdFile) -> Self {
        Self::from_fd(file.into())
    }

    pub(crate) fn from_fd(fd: OwnedFd) -> Self {
        Self { fd: fd.into() }
    }

    /// Converts it to a file of std, which can be moved to another thread.
    ///
    /// # Errors
    ///
    /// This file, if there are other handles of it or operations in flight.
    pub fn into_std(self) -> Result<StdFile, Self> {
        handle::expose(self.fd.as_fd());
        match self.fd.try_unwrap() {
            Ok(fd) => Ok(fd.into()),
            Err(fd) => Err(Self { fd }),
        }
    }

    /// Reads at `offset` bytes from the beginning, into `buffer` from its start over its whole
    /// capacity. Returns the number of bytes; 0 at EOF.
    ///
    /// # Cancellation
    ///
    /// See [`File`].
    ///
    /// # Errors
    ///
    /// The OS error of pread(2), for instance EIO, with the buffer.
    pub async fn read_at<B: IoBufMut>(&self, buffer: B, offset: u64) -> BufResult<usize, B> {
        runtime::submit(ReadAt::new(self.fd.clone(), offset, buffer)).await
    }

    /// As [`read_at`](Self::read_at), into several buffers one after the other.
    ///
    /// # Platform differences
    ///
    /// On macOS it needs version 11. Buffers of more than `i32::MAX` bytes in total fail there with `InvalidInput`.
    ///
    /// # Cancellation
    ///
    /// See [`File`].
    ///
    /// # Errors
    ///
    /// The OS error of preadv(2), for instance EIO, with the buffers.
    pub async fn read_vectored_at<V: IoVectoredBufMut>(
        &self,
        buffers: V,
        offset: u64,
    ) -> BufResult<usize, V> {
        runtime::submit(ReadVectoredAt::new(self.fd.clone(), offset, buffers)).await
    }

    /// Writes `buffer` at `offset` bytes from the beginning. Returns the number of bytes, which may
    /// be less than all.
    ///
    /// # Cancellation
    ///
    /// See [`File`].
    ///
    /// # Errors
    ///
    /// The OS error of pwrite(2), for instance `StorageFull`, with the buffer.
    pub async fn write_at<B: IoBuf>(&self, buffer: B, offset: u64) -> BufResult<usize, B> {
        runtime::submit(WriteAt::new(self.fd.clone(), offset, buffer)).await
    }

    /// As [`write_at`](Self::write_at), from several buffers one after the other.
    ///
    /// # Platform differences
    ///
    /// On macOS it needs version 11. Buffers of more than `i32::MAX` bytes in total fail there with `InvalidInput`.
    ///
    /// # Cancellation
    ///
    /// See [`File`].
    ///
    /// # Errors
    ///
    /// The OS error of pwritev(2), for instance `StorageFull`, with the buffers.
    pub async fn write_vectored_at<V: IoVectoredBuf>(
        &self,
        buffers: V,
        offset: u64,
    ) -> BufResult<usize, V> {
        runtime::submit(WriteVectoredAt::new(self.fd.clone(), offset, buffers)).await
    }

    /// Waits until content and attributes are on the disk.
    ///
    /// # Platform differences
    ///
    /// On macOS it is `F_FULLFSYNC`, as in std, or fsync(2) where the file system does not have it.
    ///
    /// # Cancellation
    ///
    /// The OS may continue the sync.
    ///
    /// # Errors
    ///
    /// The OS error of fsync(2), such as `StorageFull` or an I/O error.
    pub async fn sync_all(&self) -> io::Result<()> {
        runtime::submit(Sync::all(self.fd.clone())).await
    }

    /// Waits until the content is on the disk, with the attributes that are needed to read it back.
    ///
    /// # Platform differences
    ///
    /// On macOS it is [`sync_all`](Self::sync_all), as in std.
    ///
    /// # Cancellation
    ///
    /// The OS may continue the sync.
    ///
    /// # Errors
    ///
    /// The OS error of fdatasync(2), such as `StorageFull` or an I/O error.
    pub async fn sync_data(&self) -> io::Result<()> {
        runtime::submit(Sync::data(self.fd.clone())).await
    }

    /// Returns the file's attributes.
    ///
    /// # Cancellation
    ///
    /// Has no effect on the file.
    ///
    /// # Errors
    ///
    /// The OS error of fstat(2).
    pub async fn metadata(&self) -> io::Result<Metadata> {
        Attributes::of_file(&self.fd).await.map(Metadata)
    }

    /// Sets the length of the file to `size` bytes. It is truncated, or extended by zeros.
    ///
    /// # Cancellation
    ///
    /// See [`fs`](crate::fs).
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::set_len`].
    pub async fn set_len(&self, size: u64) -> io::Result<()> {
        let len = sys::file_len(size)?;
        runtime::submit(Truncate::new(self.fd.clone(), len)).await
    }

    /// Sets the permissions of the file. Open handles are not affected.
    ///
    /// # Cancellation
    ///
    /// See [`fs`](crate::fs).
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::set_permissions`].
    pub async fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        off_thread_with(&self.fd, move |fd| file::set_permissions(fd, permissions)).await
    }

    /// Sets the times of the last read and the last change.
    ///
    /// # Cancellation
    ///
    /// See [`fs`](crate::fs).
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::set_times`].
    pub async fn set_times(&self, times: FileTimes) -> io::Result<()> {
        off_thread_with(&self.fd, move |fd| file::set_times(fd, times)).await
    }

    /// Sets the time of the last change.
    ///
    /// # Cancellation
    ///
    /// See [`fs`](crate::fs).
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::set_modified`].
    pub async fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        off_thread_with(&self.fd, move |fd| file::set_modified(fd, time)).await
    }

    /// A new descriptor of the same open file: position, locks and access rights are shared. A
    /// clone of this handle also shares the descriptor, at no cost; a duplicate can be
    /// [closed](Self::close), or moved to [another thread](Self::into_std), by itself.
    ///
    /// # Platform differences
    ///
    /// Windows ties an open file to the first runtime that reads or writes it: duplicates made after
    /// that, and those on other threads, are read and written by the thread pool.
    ///
    /// # Errors
    ///
    /// As [`std::fs::File::try_clone`].
    ///
    /// ```
    /// use compio::fs::File;
    ///
    /// fn main() -> std::io::Result<()> {
    ///     let file = File::open("Cargo.toml")?;
    ///     let duplicate = file.try_clone()?.into_std().expect("the only handle");
    ///     std::thread::spawn(move || duplicate.metadata())
    ///         .join()
    ///         .unwrap()?;
    ///     Ok(())
    /// }
    /// ```
    pub fn try_clone(&self) -> io::Result<Self> {
        handle::duplicate(self.fd.as_fd()).map(Self::from_fd)
    }

    /// Closes the file and returns the error of the close. A drop ignores that error.
    ///
    /// If there are other handles of the file or operations in flight, it stays open until these
    /// are gone.
    ///
    /// # Cancellation
    ///
    /// The file is closed in any case.
    ///
    /// # Errors
    ///
    /// The OS error of close(2). The file is closed nevertheless.
    pub async fn close(self) -> io::Result<()> {
        runtime::close(self.fd).await
    }
}

impl AsyncReadAt for File {
    async fn read_at<B: IoBufMut>(&self, buffer: B, offset: u64) -> BufResult<usize, B> {
        File::read_at(self, buffer, offset).await
    }

    async fn read_vectored_at<V: IoVectoredBufMut>(
        &self,
        buffers: V,
        offset: u64,
    ) -> BufResult<usize, V> {
        File::read_vectored_at(self, buffers, offset).await
    }
}

impl AsyncWriteAt for File {
    async fn write_at<B: IoBuf>(&self, buffer: B, offset: u64) -> BufResult<usize, B> {
        File::write_at(self, buffer, offset).await
    }

    async fn write_vectored_at<V: IoVectoredBuf>(
        &self,
        buffers: V,
        offset: u64,
    ) -> BufResult<usize, V> {
        File::write_vectored_at(self, buffers, offset).await
    }
}

/// A [`Cursor`](crate::io::Cursor) needs the size to seek from the end.
impl AsyncSize for File {
    async fn size(&self) -> io::Result<u64> {
        Ok(self.metadata().await?.len())
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        handle::expose(self.fd.as_fd())
    }
}

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl From<StdFile> for File {
    fn from(file: StdFile) -> Self {
        Self::from_std(file)
    }
}
