//! The pipes between a process and its child.

use std::{
    io,
    process::{self, Stdio},
};

use compio_driver::{
    AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd, SharedFd,
    op::{WriteAt, WriteVectoredAt},
    os_calls::handle,
};
use compio_io::{
    buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut},
    io::{AsyncRead, AsyncWrite},
};

use crate::{
    runtime::{submit, with_driver},
    sys,
};

/// The writer to the input of a child. Dropping it, or `shutdown`, closes the pipe: the child reads
/// to EOF.
///
/// # Cancellation
///
/// A dropped write may have written nothing, a part, or all. The pipe can be closed only after the
/// kernel has completed the cancel.
///
/// # Errors
///
/// [`BrokenPipe`](io::ErrorKind::BrokenPipe) when the child has closed its input, or after
/// `shutdown`.
#[derive(Debug)]
pub struct ChildStdin {
    /// `None` after `shutdown`.
    fd: Option<SharedFd>,
}

/// The reader of a child's output.
///
/// # Cancellation
///
/// A dropped read loses nothing: the next read returns bytes that still arrive for it. If the pipe is
/// passed to another process instead (`TryFrom` for [`Stdio`]), these bytes are missing there.
#[derive(Debug)]
pub struct ChildStdout {
    fd: SharedFd,
}

/// The reader of a child's error output.
///
/// # Cancellation
///
/// As of [`ChildStdout`].
#[derive(Debug)]
pub struct ChildStderr {
    fd: SharedFd,
}

impl ChildStdin {
    /// Takes over a pipe of std.
    pub fn from_std(pipe: process::ChildStdin) -> Self {
        Self {
            fd: Some(sys::own(pipe).into()),
        }
    }

    pub(crate) fn into_fd(self) -> io::Result<OwnedFd> {
        unshare(self.fd.ok_or(io::ErrorKind::BrokenPipe)?)
    }

    fn fd(&self) -> io::Result<SharedFd> {
        self.fd.clone().ok_or(io::ErrorKind::BrokenPipe.into())
    }
}

/// Passes it to another process as its output. The child reads to EOF once that process has ended and its
/// [`Command`](super::Command) has been dropped.
///
/// On Windows a thread of this process relays the bytes: the pipe itself is for overlapped calls. Fails with
/// the error of `CreatePipe` or of the thread's start.
impl TryFrom<ChildStdin> for Stdio {
    type Error = io::Error;

    fn try_from(pipe: ChildStdin) -> io::Result<Self> {
        pipe.into_fd().and_then(sys::stdio_to_write)
    }
}

/// # Panics
///
/// Panics after `shutdown`, which has closed the pipe.
impl AsFd for ChildStdin {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd
            .as_ref()
            .expect("the pipe has been shut down")
            .as_fd()
    }
}

/// # Panics
///
/// Panics after `shutdown`, which has closed the pipe.
impl AsRawFd for ChildStdin {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

/// See [`ChildStdin`] about cancellation.
impl AsyncWrite for ChildStdin {
    async fn write<B: IoBuf>(&mut self, buffer: B) -> BufResult<usize, B> {
        match self.fd() {
            Ok(fd) => submit(WriteAt::at_cursor(fd, buffer)).await,
            Err(error) => (Err(error), buffer),
        }
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, buffers: V) -> BufResult<usize, V> {
        match self.fd() {
            Ok(fd) => submit(WriteVectoredAt::at_cursor(fd, buffers)).await,
            Err(error) => (Err(error), buffers),
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.fd = None;
        Ok(())
    }
}

/// The methods of both pipes that are read.
macro_rules! reader {
    ($reader:ident) => {
        impl $reader {
            /// Takes over a pipe of std.
            pub fn from_std(pipe: process::$reader) -> Self {
                Self {
                    fd: sys::own(pipe).into(),
                }
            }

            /// Waits until the kernel has completed each read of a dropped future. Returns whether
            /// bytes are kept: then the next read takes them at once, and until then the pipe cannot be
            /// passed to another process.
            ///
            /// # Cancellation
            ///
            /// Nothing is lost.
            pub async fn settle(&mut self) -> bool {
                with_driver(|driver| driver.settle(&self.fd)).await
            }

            pub(crate) fn into_fd(self) -> io::Result<OwnedFd> {
                unshare(self.fd)
            }
        }

        /// Passes it to another process as its input. Fails with
        /// [`ResourceBusy`](io::ErrorKind::ResourceBusy) if bytes are kept, or may still arrive, for
        /// a dropped read: the next read takes them.
        ///
        /// On Windows a thread of this process relays the bytes, as for [`ChildStdin`].
        impl TryFrom<$reader> for Stdio {
            type Error = io::Error;

            fn try_from(pipe: $reader) -> io::Result<Self> {
                pipe.into_fd().and_then(sys::stdio_to_read)
            }
        }

        impl AsFd for $reader {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.fd.as_fd()
            }
        }

        impl AsRawFd for $reader {
            fn as_raw_fd(&self) -> RawFd {
                self.fd.as_raw_fd()
            }
        }

        /// See the type about cancellation.
        impl AsyncRead for $reader {
            async fn read<B: IoBufMut>(&mut self, buffer: B) -> BufResult<usize, B> {
                with_driver(|driver| driver.read(&self.fd, buffer)).await
            }

            async fn read_vectored<V: IoVectoredBufMut>(
                &mut self,
                buffers: V,
            ) -> BufResult<usize, V> {
                with_driver(|driver| driver.read_vectored(&self.fd, buffers)).await
            }

            async fn settle(&mut self) -> bool {
                $reader::settle(self).await
            }
        }
    };
}

reader!(ChildStdout);
reader!(ChildStderr);

/// The descriptor with a single owner, or a duplicate for the same pipe if cancelled operations
/// still have this one. Bytes of a dropped read would be missing there.
fn unshare(fd: SharedFd) -> io::Result<OwnedFd> {
    if fd.may_keep_arrivals() {
        let advice = "bytes may have arrived for a dropped read: read them first";
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, advice));
    }
    fd.try_unwrap().or_else(|fd| handle::duplicate(fd.as_fd()))
}
