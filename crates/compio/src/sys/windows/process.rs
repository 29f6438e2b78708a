//! Processes on Windows: exit notification and extensions of `Command` and `Child`.

use std::{
    ffi::OsStr,
    io,
    os::windows::{
        io::{AsHandle, AsRawHandle, OwnedHandle, RawHandle},
        process::CommandExt,
    },
    process::{self, ExitStatus, Stdio},
};

use compio_driver::{
    OwnedFd, SharedFd,
    op::{PollOnce, Readiness},
    os_calls::{self, system::start_relay},
};

use crate::{
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    runtime::submit,
};

/// On Windows.
impl Command {
    /// Sets the flags of `CreateProcessW`, such as `CREATE_NEW_PROCESS_GROUP`.
    pub fn creation_flags(&mut self, flags: u32) -> &mut Self {
        self.std.creation_flags(flags);
        self
    }

    /// Adds text to the command line without quoting, for programs with their own parsing of it.
    pub fn raw_arg(&mut self, text: impl AsRef<OsStr>) -> &mut Self {
        self.std.raw_arg(text);
        self
    }
}

/// On Windows.
impl Child {
    /// The handle of the process; `None` after a successful wait.
    pub fn raw_handle(&self) -> Option<RawHandle> {
        self.process.running().map(AsRawHandle::as_raw_handle)
    }
}

/// The conversion of a pipe to its handle.
macro_rules! pipe {
    ($pipe:ident) => {
        /// On Windows.
        impl $pipe {
            /// Returns the handle, which is for overlapped calls. After a first operation it belongs
            /// to this thread's completion port. If a cancelled operation is still in flight, it is a
            /// duplicate.
            ///
            /// # Errors
            ///
            /// [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the pipe was shut down,
            /// [`ResourceBusy`](io::ErrorKind::ResourceBusy) if bytes may have arrived for a dropped
            /// read. The OS error of `DuplicateHandle`.
            pub fn into_owned_handle(self) -> io::Result<OwnedHandle> {
                self.into_fd().map(handle)
            }
        }
    };
}

pipe!(ChildStdin);
pipe!(ChildStdout);
pipe!(ChildStderr);

pub(crate) fn own(pipe: impl Into<OwnedHandle>) -> OwnedFd {
    pipe.into().into()
}

/// Most programs cannot use a handle that is for overlapped calls: a thread relays the bytes. The relay of
/// std cannot use a pipe after its first operation here.
pub(crate) fn stdio_to_read(pipe: OwnedFd) -> io::Result<Stdio> {
    let (reader, writer) = os_calls::handle::pipe()?;
    start_relay(handle(pipe), handle(writer))?;
    Ok(handle(reader).into())
}

/// As [`stdio_to_read`].
pub(crate) fn stdio_to_write(pipe: OwnedFd) -> io::Result<Stdio> {
    let (reader, writer) = os_calls::handle::pipe()?;
    start_relay(handle(reader), handle(pipe))?;
    Ok(handle(writer).into())
}

fn handle(fd: OwnedFd) -> OwnedHandle {
    fd.into()
}

/// The exit event of a process.
#[derive(Debug, Default)]
pub(crate) struct Exit {
    /// A duplicate of the process's handle.
    event: Option<SharedFd>,
}

impl Exit {
    /// Waits for the end of the process.
    pub(crate) async fn wait(&mut self, process: &mut process::Child) -> io::Result<ExitStatus> {
        if let Some(status) = process.try_wait()? {
            return Ok(status);
        }
        let event = match &self.event {
            Some(event) => event.clone(),
            None => {
                let event = os_calls::handle::duplicate(process.as_handle().into())?;
                self.event.insert(event.into()).clone()
            }
        };
        submit(PollOnce::new(event, Readiness::READABLE)).await?;
        // The process has ended: this does not block.
        process.wait()
    }
}

/// Drops a child that no task waits for. Windows has no zombies.
pub(crate) fn abandon(process: process::Child, _is_killed: bool) {
    drop(process);
}

/// Does nothing: Windows has no zombies.
pub(crate) fn sweep() {}
