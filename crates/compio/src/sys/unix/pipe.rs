//! Pipes with a name.

use std::{
    io,
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::Path,
};

/// What std's files and pipes convert from and to.
pub(crate) use std::os::fd::OwnedFd as StdFd;

use compio_driver::{
    OwnedFd, SharedFd,
    op::{PollOnce, Readiness},
};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::{
    pipe::{PipeReader, PipeWriter},
    runtime,
};

/// How a pipe with a name is opened: as Tokio has it. Opening does not wait for the other end.
///
/// ```
/// use compio::{io::{AsyncReadExt, AsyncWriteExt}, pipe};
///
/// # fn main() -> std::io::Result<()> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("fifo");
/// # std::process::Command::new("mkfifo").arg(&path).status()?;
/// compio::task::block_on(async {
///     let mut reader = pipe::OpenOptions::new().open_receiver(&path)?;
///     let mut writer = pipe::OpenOptions::new().open_sender(&path)?;
///     writer.write_all("hello").await.0?;
///     let (result, bytes) = reader.read_exact([0; 5]).await;
///     result?;
///     assert_eq!(&bytes, b"hello");
///     # Ok(())
/// })
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    read_write: bool,
    unchecked: bool,
}

impl OpenOptions {
    /// One end is opened, of what must be a pipe.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens both ends in one: a reader sees no end when the writers have gone, and a writer needs no
    /// reader.
    ///
    /// # Platform differences
    ///
    /// Linux allows it; POSIX does not say what it does.
    pub fn read_write(&mut self, read_write: bool) -> &mut Self {
        self.read_write = read_write;
        self
    }

    /// Opens whatever is there, without a look whether it is a pipe.
    pub fn unchecked(&mut self, unchecked: bool) -> &mut Self {
        self.unchecked = unchecked;
        self
    }

    /// Opens the reading end. Until a first writer has opened the pipe, reads wait, or see its end:
    /// the systems differ.
    ///
    /// # Errors
    ///
    /// The system's; [`InvalidInput`](io::ErrorKind::InvalidInput), if it is no pipe.
    pub fn open_receiver(&self, path: impl AsRef<Path>) -> io::Result<PipeReader> {
        let fd = self.open(path.as_ref(), true, self.read_write)?;
        Ok(io::PipeReader::from(fd).into())
    }

    /// Opens the writing end.
    ///
    /// # Errors
    ///
    /// The system's: `ENXIO`, if nobody has the reading end open;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput), if it is no pipe.
    pub fn open_sender(&self, path: impl AsRef<Path>) -> io::Result<PipeWriter> {
        let fd = self.open(path.as_ref(), self.read_write, true)?;
        Ok(io::PipeWriter::from(fd).into())
    }

    fn open(&self, path: &Path, read: bool, write: bool) -> io::Result<OwnedFd> {
        let file = std::fs::OpenOptions::new()
            .read(read)
            .write(write)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)?;
        if !self.unchecked && !file.metadata()?.file_type().is_fifo() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "this is not a pipe",
            ));
        }
        // That was for the opening. From now on the kernel shall wait, not refuse.
        fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
        Ok(file.into())
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
