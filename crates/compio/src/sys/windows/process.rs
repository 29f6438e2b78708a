//! Processes as Windows has them.

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
    AsFd, BorrowedFd, OwnedFd, SharedFd,
    op::{PollOnce, Readiness},
};

use crate::{
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    runtime::submit,
};

/// On Windows.
impl Command {
    /// The flags of `CreateProcessW`, such as `CREATE_NEW_PROCESS_GROUP`.
    pub fn creation_flags(&mut self, flags: u32) -> &mut Self {
        self.std.creation_flags(flags);
        self
    }

    /// Adds text to the command line as it is, for programs that do not take it apart as most do.
    pub fn raw_arg(&mut self, text: impl AsRef<OsStr>) -> &mut Self {
        self.std.raw_arg(text);
        self
    }
}

/// On Windows.
impl Child {
    /// The process's handle; none when it has been waited for.
    pub fn raw_handle(&self) -> Option<RawHandle> {
        self.process.running().map(AsRawHandle::as_raw_handle)
    }
}

/// What only a handle can do.
macro_rules! pipe {
    ($pipe:ident) => {
        /// On Windows.
        impl $pipe {
            /// Gives the handle away, which is for overlapped calls, and belongs to this thread's
            /// completion port if it has been used. If an operation that was given up is still
            /// under way, it is another one for the same pipe.
            ///
            /// # Errors
            ///
            /// The system's; [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the pipe was shut down.
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

pub(crate) fn duplicate_pipe(fd: &SharedFd) -> io::Result<OwnedFd> {
    match fd.as_fd() {
        BorrowedFd::Handle(handle) => Ok(handle.try_clone_to_owned()?.into()),
        BorrowedFd::Socket(socket) => Ok(socket.try_clone_to_owned()?.into()),
    }
}

/// Most programs cannot read a handle that is for overlapped calls: std stands in between.
pub(crate) fn stdio_to_read(pipe: OwnedFd) -> Stdio {
    process::ChildStdout::from(handle(pipe)).into()
}

/// As [`stdio_to_read`].
pub(crate) fn stdio_to_write(pipe: OwnedFd) -> Stdio {
    process::ChildStdin::from(handle(pipe)).into()
}

fn handle(fd: OwnedFd) -> OwnedHandle {
    fd.into()
}

/// How the end of a process is heard of.
#[derive(Debug, Default)]
pub(crate) struct Exit {
    /// The process's own handle, a second time.
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
                let handle = process.as_handle().try_clone_to_owned()?;
                self.event.insert(OwnedFd::from(handle).into()).clone()
            }
        };
        submit(PollOnce::new(event, Readiness::READABLE)).await?;
        // It has ended: this does not block.
        process.wait()
    }
}

/// Takes over a process that nobody waits for: nothing is left of it here.
pub(crate) fn abandon(process: process::Child, _is_killed: bool) {
    drop(process);
}

/// Takes the status of those that have ended: nobody has to.
pub(crate) fn sweep() {}
