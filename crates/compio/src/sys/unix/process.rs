//! Processes on unix: exit notification, reaping of dropped children, and extensions of `Command`.

use std::{
    ffi::OsStr,
    io, mem,
    os::unix::process::CommandExt,
    process::{Child, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use compio_driver::{
    OwnedFd, PerProcess, SharedFd, is_cancelled,
    op::{PollOnce, Readiness},
    start_thread,
};
use rustix::process::Pid;

use super::{exit_event::exit_event, exit_thread::ended};
use crate::{
    process::{ChildStderr, ChildStdin, ChildStdout, Command},
    runtime::submit,
};

/// On unix.
impl Command {
    /// Sets argument 0 of the program, its name.
    pub fn arg0(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.std.arg0(arg);
        self
    }

    /// Sets the user id of the child. Its supplementary groups are cleared if this process has the
    /// privilege.
    pub fn uid(&mut self, id: u32) -> &mut Self {
        self.std.uid(id);
        self
    }

    /// Sets the group id of the child.
    pub fn gid(&mut self, id: u32) -> &mut Self {
        self.std.gid(id);
        self
    }

    /// Sets the process group of the child; 0 creates a new one. Signals of the terminal's keys, such as
    /// Ctrl-C, go to the foreground group.
    pub fn process_group(&mut self, pgroup: i32) -> &mut Self {
        self.std.process_group(pgroup);
        self
    }

    /// Runs `code` in the child, before the program.
    ///
    /// # Safety
    ///
    /// `code` runs between `fork` and `exec`, in a copy of this process with one thread: see
    /// [`CommandExt::pre_exec`]. It must not use a runtime.
    pub unsafe fn pre_exec<F>(&mut self, code: F) -> &mut Self
    where
        F: FnMut() -> io::Result<()> + Send + Sync + 'static,
    {
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { self.std.pre_exec(code) };
        self
    }
}

/// The conversion of a pipe to its descriptor.
macro_rules! pipe {
    ($pipe:ident) => {
        /// On unix.
        impl $pipe {
            /// Returns the descriptor, which is in blocking mode. If a cancelled operation is still in
            /// flight, it is a duplicate.
            ///
            /// # Errors
            ///
            /// [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the pipe was shut down,
            /// [`ResourceBusy`](io::ErrorKind::ResourceBusy) if bytes may have arrived for a dropped
            /// read. The OS error of the duplication, for instance EMFILE.
            pub fn into_owned_fd(self) -> io::Result<OwnedFd> {
                self.into_fd()
            }
        }
    };
}

pipe!(ChildStdin);
pipe!(ChildStdout);
pipe!(ChildStderr);

pub(crate) fn own(pipe: impl Into<OwnedFd>) -> OwnedFd {
    pipe.into()
}

pub(crate) fn stdio_to_read(pipe: OwnedFd) -> io::Result<Stdio> {
    Ok(pipe.into())
}

pub(crate) fn stdio_to_write(pipe: OwnedFd) -> io::Result<Stdio> {
    Ok(pipe.into())
}

/// The exit event of a process.
#[derive(Debug, Default)]
pub(crate) struct Exit {
    /// Readable when the process has ended.
    event: Option<SharedFd>,
}

impl Exit {
    /// Waits for the end of the process.
    pub(crate) async fn wait(&mut self, process: &mut Child) -> io::Result<ExitStatus> {
        if let Some(status) = process.try_wait()? {
            return Ok(status);
        }
        if self.event.is_none() {
            self.event = pid_of(process)
                .and_then(exit_event)
                .ok()
                .map(SharedFd::from);
        }
        if let Some(event) = &self.event {
            let readable = submit(PollOnce::new(event.clone(), Readiness::READABLE)).await;
            if let Some(status) = process.try_wait()? {
                return Ok(status);
            }
            match readable {
                Err(error) if is_cancelled(&error) => return Err(error),
                _ => {}
            }
        }
        // Either the exit event is unavailable, or the system refuses to wait for it; or the process has ended,
        // and a tracer (ptrace) still holds back its status.
        ended(pid_of(process)?).await?;
        process.wait()
    }
}

fn pid_of(process: &Child) -> io::Result<Pid> {
    i32::try_from(process.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or(io::ErrorKind::InvalidInput.into())
}

/// Children of this process that were dropped. A child of `fork` has other children.
static LEFT: PerProcess<Left> = PerProcess::new();

#[derive(Default)]
struct Left {
    /// Children that still run.
    abandoned: Mutex<Vec<Child>>,
    killed: Mutex<Killed>,
}

/// Killed children, which end soon.
#[derive(Default)]
struct Killed {
    processes: Vec<Child>,
    /// Whether a thread waits for `processes`.
    has_thread: bool,
}

fn left() -> &'static Left {
    LEFT.get_or_make(Left::default)
}

/// Takes over a dropped child, so that it does not stay a zombie.
pub(crate) fn abandon(mut process: Child, is_killed: bool) {
    sweep();
    if !matches!(process.try_wait(), Ok(None)) {
        return;
    }
    if !is_killed {
        lock(&left().abandoned).push(process);
        return;
    }
    let mut killed = lock(&left().killed);
    killed.processes.push(process);
    if !killed.has_thread {
        // If the thread cannot start, `sweep` reaps these processes, too.
        killed.has_thread = start_thread("compio-reaper", wait_for_killed).is_ok();
    }
}

/// Reaps the dropped children that have ended.
pub(crate) fn sweep() {
    for list in [
        &mut *lock(&left().abandoned),
        &mut lock(&left().killed).processes,
    ] {
        list.retain_mut(|process| matches!(process.try_wait(), Ok(None)));
    }
}

fn wait_for_killed() {
    loop {
        let mut killed = lock(&left().killed);
        let processes = mem::take(&mut killed.processes);
        if processes.is_empty() {
            killed.has_thread = false;
            return;
        }
        drop(killed);
        for mut process in processes {
            // The process was killed. No caller is left to report an error to.
            let _ = process.wait();
        }
    }
}

/// Locks the mutex. The data is valid at each point where a panic can occur, so poison is ignored.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
