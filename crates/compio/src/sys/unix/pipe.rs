//! Named pipes (FIFOs).

use std::{io, path::Path};

/// The descriptor type of std's files and pipes.
pub(crate) use std::os::fd::OwnedFd as StdFd;

use compio_driver::{
    OwnedFd, SharedFd,
    op::{PollOnce, Readiness},
    os_calls::system,
};

use crate::{
    pipe::{PipeReader, PipeWriter},
    runtime,
};

/// Options to open a named pipe (FIFO), as Tokio has them. Opening does not wait for the other end.
///
/// ```
/// use compio::{io::{AsyncReadExt, AsyncWriteExt}, pipe};
///
/// fn main() -> std::io::Result<()> {
///     let dir = tempfile::tempdir()?;
///     let path = dir.path().join("fifo");
///     std::process::Command::new("mkfifo").arg(&path).status()?;
///     compio::task::block_on(async {
///         let mut reader = pipe::OpenOptions::new().open_receiver(&path)?;
///         let mut writer = pipe::OpenOptions::new().open_sender(&path)?;
///         writer.write_all("hello").await.0?;
///         let (result, bytes) = reader.read_exact([0; 5]).await;
///         result?;
///         assert_eq!(&bytes, b"hello");
///         Ok(())
///     })
/// }
/// ```
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    read_write: bool,
    unchecked: bool,
}

impl OpenOptions {
    /// Opens one end, and checks that the file is a pipe.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens both ends in one descriptor: a reader sees no EOF when the other writers have closed, and
    /// a writer needs no reader.
    ///
    /// # Platform differences
    ///
    /// Linux allows it. In POSIX it is undefined.
    pub fn read_write(&mut self, read_write: bool) -> &mut Self {
        self.read_write = read_write;
        self
    }

    /// Skips the check that the file is a pipe.
    pub fn unchecked(&mut self, unchecked: bool) -> &mut Self {
        self.unchecked = unchecked;
        self
    }

    /// Opens the reading end. Until a first writer has opened the pipe, reads wait or return EOF,
    /// depending on the system.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the file is not a pipe. Other OS errors of
    /// open(2), for instance `NotFound`.
    pub fn open_receiver(&self, path: impl AsRef<Path>) -> io::Result<PipeReader> {
        let fd = self.open(path.as_ref(), true, self.read_write)?;
        Ok(io::PipeReader::from(fd).into())
    }

    /// Opens the writing end.
    ///
    /// # Errors
    ///
    /// `ENXIO` if no process has the reading end open. [`InvalidInput`](io::ErrorKind::InvalidInput) if
    /// the file is not a pipe. Other OS errors of open(2), for instance `NotFound`.
    pub fn open_sender(&self, path: impl AsRef<Path>) -> io::Result<PipeWriter> {
        let fd = self.open(path.as_ref(), self.read_write, true)?;
        Ok(io::PipeWriter::from(fd).into())
    }

    fn open(&self, path: &Path, read: bool, write: bool) -> io::Result<OwnedFd> {
        system::open_fifo(path, read, write, !self.unchecked)
    }
}

pub(crate) async fn wait_readable(fd: &SharedFd) -> io::Result<()> {
    let ready = PollOnce::new(fd.clone(), Readiness::READABLE);
    runtime::submit(ready).await.map(drop)
}

pub(crate) async fn wait_writable(fd: &SharedFd) -> io::Result<()> {
    let ready = PollOnce::new(fd.clone(), Readiness::WRITABLE);
    runtime::submit(ready).await.map(drop)
}
