//! A running process.

use std::{
    future::poll_fn,
    io,
    pin::pin,
    process::{self, ExitStatus, Output},
    task::Poll,
};

use compio_io::io::{AsyncRead, AsyncReadExt};

use super::{ChildStderr, ChildStdin, ChildStdout};
use crate::sys::{self, Exit};

/// A process that was started by [`Command::spawn`](super::Command::spawn).
///
/// Dropping it detaches the process, and closes its remaining pipes. See
/// [`Command::kill_on_drop`](super::Command::kill_on_drop) for the alternative, and [the
/// module](super#reaping-children) about zombies.
#[derive(Debug)]
pub struct Child {
    /// The writer to its input, if that is a pipe.
    pub stdin: Option<ChildStdin>,
    /// The reader of its output, if that is a pipe.
    pub stdout: Option<ChildStdout>,
    /// The reader of its error output, if that is a pipe.
    pub stderr: Option<ChildStderr>,
    pub(crate) process: Process,
    exit: Exit,
}

impl Child {
    pub(super) fn new(mut std: process::Child, kill_on_drop: bool) -> Self {
        Self {
            stdin: std.stdin.take().map(ChildStdin::from_std),
            stdout: std.stdout.take().map(ChildStdout::from_std),
            stderr: std.stderr.take().map(ChildStderr::from_std),
            process: Process {
                std: Some(std),
                has_ended: false,
                kill_on_drop,
            },
            exit: Exit::default(),
        }
    }

    /// The process ID; `None` after the process has been waited for, because the OS may reuse the
    /// ID.
    pub fn id(&self) -> Option<u32> {
        self.process.running().map(process::Child::id)
    }

    /// Kills the process, without waiting for its end. It is no error if the process has ended by
    /// itself.
    ///
    /// # Errors
    ///
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) if the process has changed its user. Other
    /// OS errors of kill(2).
    pub fn start_kill(&mut self) -> io::Result<()> {
        self.process.std().kill()
    }

    /// Kills the process, and waits for its end.
    ///
    /// # Cancellation
    ///
    /// The process has been killed, and can be waited for again.
    ///
    /// # Errors
    ///
    /// As of [`start_kill`](Self::start_kill) and [`wait`](Self::wait).
    pub async fn kill(&mut self) -> io::Result<()> {
        self.start_kill()?;
        self.wait().await?;
        Ok(())
    }

    /// The exit status, if the process has ended. [`stdin`](Self::stdin) stays as it is.
    ///
    /// # Errors
    ///
    /// The OS error of waitpid(2).
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.process.std().try_wait()?;
        self.process.has_ended |= status.is_some();
        Ok(status)
    }

    /// Closes [`stdin`](Self::stdin), so that the process does not wait for input, and waits for its end.
    /// Later calls return the same status.
    ///
    /// A process may block without end if its output is not read.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: the process continues, and can be waited for again.
    ///
    /// # Errors
    ///
    /// The OS error of waitpid(2), such as `ECHILD` if other code has reaped the child.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        let status = self.exit.wait(self.process.std()).await?;
        self.process.has_ended = true;
        sys::sweep();
        Ok(status)
    }

    /// Closes [`stdin`](Self::stdin), waits for the end of the process, and reads its output from the
    /// pipes that have not been taken. It reads both pipes at once, so that neither can fill up.
    ///
    /// A pipe reaches EOF when all its writers have closed it. A background process that holds it keeps
    /// this waiting.
    ///
    /// # Cancellation
    ///
    /// Drops the child and the output read so far. To keep both, take the pipes and read them yourself.
    ///
    /// # Errors
    ///
    /// The OS error of reading a pipe or of the wait. The child is dropped then, too.
    pub async fn wait_with_output(mut self) -> io::Result<Output> {
        drop(self.stdin.take());
        let (stdout, stderr) =
            both(read_all(self.stdout.take()), read_all(self.stderr.take())).await;
        let (stdout, stderr) = (stdout?, stderr?);
        let status = self.wait().await?;
        Ok(Output {
            status,
            stdout,
            stderr,
        })
    }
}

/// The process itself, apart from its pipes, so that these can be moved out of the child.
#[derive(Debug)]
pub(crate) struct Process {
    /// `Some` until the drop.
    std: Option<process::Child>,
    /// Whether it has been waited for.
    has_ended: bool,
    kill_on_drop: bool,
}

impl Process {
    /// `None` after it has been waited for.
    pub(crate) fn running(&self) -> Option<&process::Child> {
        self.std.as_ref().filter(|_| !self.has_ended)
    }

    #[allow(dead_code, reason = "only unix has successors, with the feature `net`")]
    pub(crate) fn set_kill_on_drop(&mut self, kill_on_drop: bool) {
        self.kill_on_drop = kill_on_drop;
    }

    fn std(&mut self) -> &mut process::Child {
        self.std
            .as_mut()
            .expect("the process is only taken by the drop")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut std) = self.std.take()
            && !self.has_ended
        {
            // Best effort: a drop has no result.
            let is_killed = self.kill_on_drop && std.kill().is_ok();
            sys::abandon(std, is_killed);
        }
    }
}

/// Reads a pipe to EOF, if there is one.
async fn read_all(pipe: Option<impl AsyncRead>) -> io::Result<Vec<u8>> {
    match pipe {
        Some(mut pipe) => {
            let (read, bytes) = pipe.read_to_end(Vec::new()).await;
            read.map(|_| bytes)
        }
        None => Ok(Vec::new()),
    }
}

/// The outputs of two futures that run side by side.
async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut of_a, mut of_b) = (None, None);
    poll_fn(|cx| {
        if of_a.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(cx)
        {
            of_a = Some(output);
        }
        if of_b.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(cx)
        {
            of_b = Some(output);
        }
        match (of_a.take(), of_b.take()) {
            (Some(of_a), Some(of_b)) => Poll::Ready((of_a, of_b)),
            some => {
                (of_a, of_b) = some;
                Poll::Pending
            }
        }
    })
    .await
}
