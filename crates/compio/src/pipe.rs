//! Pipes.
//!
//! [`pipe()`] makes one without a name, as [`std::io::pipe`] does. On unix, named pipes in the file
//! system (FIFOs) are opened with `OpenOptions`. The named pipes of Windows are different, and not
//! in this module. On Linux, `splice` moves bytes between a pipe and another descriptor.
//!
//! # Reading and writing
//!
//! The ends are read and written with the traits of [`io`](crate::io), also through a reference. A
//! read of 0 bytes is EOF: all writing ends are closed. A write fails with
//! [`BrokenPipe`](io::ErrorKind::BrokenPipe) if all reading ends are closed. Only its drop closes an
//! end: `flush` and `shutdown` do nothing.
//!
//! # Cancellation
//!
//! A dropped read loses nothing: the next read of the same `PipeReader` returns bytes that still arrive
//! for it. A [`try_clone`](PipeReader::try_clone) does not see them, nor does a splice. A dropped write
//! may have written nothing, a part, or all. If a [`CancelToken`](crate::runtime::CancelToken) cancels
//! it, it returns the number of bytes.
//!
//! # Platform differences
//!
//! On Windows, the thread pool reads and writes. A read in flight there cannot be cancelled: the next
//! read waits until bytes have arrived for the dropped one, and returns them. So does
//! [`PollReader::cancel`](crate::io::PollReader::cancel). A runtime that is dropped before that waits for its
//! shutdown timeout.
//!
//! On macOS and FreeBSD, a write takes at most `PIPE_BUF` bytes at once, which is 512 there. Larger concurrent writes
//! mix.
//!
//! ```
//! use compio::{
//!     io::{AsyncReadExt, AsyncWriteExt},
//!     pipe::pipe,
//! };
//!
//! fn main() -> std::io::Result<()> {
//!     compio::task::block_on(async {
//!         let (mut reader, mut writer) = pipe()?;
//!         writer.write_all("hello").await.0?;
//!         drop(writer);
//!         let (read, bytes) = reader.read_to_end(Vec::new()).await;
//!         assert_eq!((read?, &bytes[..]), (5, &b"hello"[..]));
//!         Ok(())
//!     })
//! }
//! ```

use std::{fs::File, io};

use compio_driver::{AsFd, AsRawFd, BorrowedFd, RawFd, SharedFd, os_calls::handle};
use compio_io::{
    buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut},
    io::{AsyncRead, AsyncWrite},
};

// Platform-specific items: named pipes, and splices.
pub use crate::sys::pipe_here::*;
use crate::{
    cursor_io::{read, read_vectored, write, write_vectored},
    runtime::{close, with_driver},
    sys::StdFd,
};

/// A new pipe without a name. Child processes do not inherit the ends, unless one is passed to them
/// with [`into_std`](PipeReader::into_std).
///
/// # Errors
///
/// As [`std::io::pipe`].
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = handle::pipe()?;
    let (reader, writer) = (handle::share_end(reader), handle::share_end(writer));
    Ok((PipeReader { fd: reader }, PipeWriter { fd: writer }))
}

/// The reading end of a pipe.
#[derive(Debug)]
#[doc(alias = "Receiver")]
pub struct PipeReader {
    fd: SharedFd,
}

/// The writing end of a pipe.
#[derive(Debug)]
#[doc(alias = "Sender")]
pub struct PipeWriter {
    fd: SharedFd,
}

impl AsyncRead for &PipeReader {
    async fn read<B: IoBufMut>(&mut self, buffer: B) -> BufResult<usize, B> {
        read(&self.fd, buffer).await
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, buffers: V) -> BufResult<usize, V> {
        read_vectored(&self.fd, buffers).await
    }

    async fn settle(&mut self) -> bool {
        with_driver(|driver| driver.settle(&self.fd)).await
    }
}

impl AsyncRead for PipeReader {
    async fn read<B: IoBufMut>(&mut self, buffer: B) -> BufResult<usize, B> {
        (&*self).read(buffer).await
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, buffers: V) -> BufResult<usize, V> {
        (&*self).read_vectored(buffers).await
    }

    async fn settle(&mut self) -> bool {
        PipeReader::settle(self).await
    }
}

impl AsyncWrite for &PipeWriter {
    async fn write<B: IoBuf>(&mut self, buffer: B) -> BufResult<usize, B> {
        write(&self.fd, buffer).await
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, buffers: V) -> BufResult<usize, V> {
        write_vectored(&self.fd, buffers).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncWrite for PipeWriter {
    async fn write<B: IoBuf>(&mut self, buffer: B) -> BufResult<usize, B> {
        (&*self).write(buffer).await
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, buffers: V) -> BufResult<usize, V> {
        (&*self).write_vectored(buffers).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The methods that both ends share.
macro_rules! end {
    ($end:ident) => {
        impl $end {
            /// Takes over an end of std, which may come from another thread. Its mode stays.
            pub fn from_std(end: io::$end) -> Self {
                Self {
                    fd: handle::share_end(File::from(StdFd::from(end)).into()),
                }
            }

            /// Gives the end to std, which can take it to another thread or hand it to a child
            /// process. Its mode stays: it blocks, unless it was made non-blocking by other means.
            ///
            /// # Errors
            ///
            /// This end, if there are operations in flight, or if bytes that arrived for a dropped
            /// read are kept for the next read.
            pub fn into_std(self) -> Result<io::$end, Self> {
                handle::expose(self.fd.as_fd());
                match self.fd.try_unwrap() {
                    Ok(fd) => Ok(StdFd::from(File::from(fd)).into()),
                    Err(fd) => Err(Self { fd }),
                }
            }

            /// Closes this end and returns the error of the close. A drop ignores that error.
            ///
            /// If there are operations in flight, it stays open until these are gone.
            ///
            /// # Cancellation
            ///
            /// The end is closed in any case.
            ///
            /// # Errors
            ///
            /// The OS error of the close. The end is closed nevertheless.
            pub async fn close(self) -> io::Result<()> {
                close(self.fd).await
            }

            /// Waits until the kernel has completed each operation of a dropped future. Returns
            /// whether bytes are kept: then the next read takes them at once, and until then
            /// `into_std` fails.
            ///
            /// # Cancellation
            ///
            /// Nothing is lost.
            pub async fn settle(&mut self) -> bool {
                with_driver(|driver| driver.settle(&self.fd)).await
            }

            /// One more descriptor of the same end.
            ///
            /// # Errors
            ///
            /// The OS error of duplicating the descriptor, for instance EMFILE if the process has
            /// no free one.
            pub fn try_clone(&self) -> io::Result<Self> {
                let duplicate = handle::duplicate(self.fd.as_fd())?;
                Ok(Self {
                    fd: handle::share_end(duplicate),
                })
            }
        }

        impl AsFd for $end {
            fn as_fd(&self) -> BorrowedFd<'_> {
                handle::expose(self.fd.as_fd())
            }
        }

        impl AsRawFd for $end {
            fn as_raw_fd(&self) -> RawFd {
                self.fd.as_raw_fd()
            }
        }

        impl From<io::$end> for $end {
            fn from(end: io::$end) -> Self {
                Self::from_std(end)
            }
        }
    };
}

end!(PipeReader);
end!(PipeWriter);
