//! Processes as unix has them.

use std::{
    ffi::OsStr,
    io, mem,
    os::unix::process::CommandExt,
    process::{Child, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use compio_driver::{
    AsFd, OwnedFd, PerProcess, SharedFd,
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
    /// The name that the program is told to have, its argument 0.
    pub fn arg0(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.std.arg0(arg);
        self
    }

    /// The user whom the child belongs to. Its other groups are given up if this process may do
    /// that.
    pub fn uid(&mut self, id: u32) -> &mut Self {
        self.std.uid(id);
        self
    }

    /// The group which the child belongs to.
    pub fn gid(&mut self, id: u32) -> &mut Self {
        self.std.gid(id);
        self
    }

    /// The process group that the child joins; 0 for a new one of its own. Keys that the terminal
    /// turns to signals, such as Ctrl-C, go to the group in the foreground.
    pub fn process_group(&mut self, pgroup: i32) -> &mut Self {
        self.std.process_group(pgroup);
        self
    }

    /// Runs `code` in the child, before the program.
    ///
    /// # Safety
    ///
    /// That is between `fork` and `exec`, in a copy of this process with one thread: see
    /// [`CommandExt::pre_exec`]. Nothing of a runtime may be used there.
    pub unsafe fn pre_exec<F>(&mut self, code: F) -> &mut Self
    where
        F: FnMut() -> io::Result<()> + Send + Sync + 'static,
    {
        // SAFETY: passed on from this function.
        unsafe { self.std.pre_exec(code) };
        self
    }
}

/// What only a descriptor can do.
macro_rules! pipe {
    ($pipe:ident) => {
        /// On unix.
        impl $pipe {
            /// Gives the descriptor away; it blocks. If an operation that was given up is still
            /// under way, it is another one for the same pipe.
            ///
            /// # Errors
            ///
            /// The system's; [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the pipe was shut down.
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

pub(crate) fn duplicate_pipe(fd: &SharedFd) -> io::Result<OwnedFd> {
    fd.as_fd().try_clone_to_owned()
}

pub(crate) fn stdio_to_read(pipe: OwnedFd) -> Stdio {
    pipe.into()
}

pub(crate) fn stdio_to_write(pipe: OwnedFd) -> Stdio {
    pipe.into()
}

/// How the end of a process is heard of.
#[derive(Debug, Default)]
pub(crate) struct Exit {
    /// Readable when it has ended.
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
            submit(PollOnce::new(event.clone(), Readiness::READABLE)).await?;
            if let Some(status) = process.try_wait()? {
                return Ok(status);
            }
        }
        // There is no such descriptor to be had; or the process has ended, and its status cannot be
        // had yet, because somebody traces it.
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
    /// Those that go on, and are not awaited.
    abandoned: Mutex<Vec<Child>>,
    killed: Mutex<Killed>,
}

/// Those that will have ended in a moment.
#[derive(Default)]
struct Killed {
    processes: Vec<Child>,
    /// Whether a thread waits for them.
    has_thread: bool,
}

fn left() -> &'static Left {
    LEFT.get_or_make(Left::default)
}

/// Takes over a process that nobody waits for, so that it does not stay a zombie.
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
        // Without a thread, they are swept like the others.
        killed.has_thread = start_thread("compio-reaper", wait_for_killed).is_ok();
    }
}

/// Takes the status of those that have ended.
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
            // It has been killed. Whatever is wrong, nobody cares for it any more.
            let _ = process.wait();
        }
    }
}

/// What is in there is in order, whatever has panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
