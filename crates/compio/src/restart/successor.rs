//! The start of a process that takes over the listeners of this one.

use std::{
    env,
    ffi::{OsStr, OsString},
    io, mem, process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use compio_driver::{
    AsFd, OwnedFd,
    os_calls::{
        handle,
        system::{FIRST_PASSED, Program, socket_pair},
    },
};
use compio_io::io::AsyncRead;
use socket2::Type;

use super::{COUNT, NAMES, PID, READY, is_name};
use crate::{
    cores::{Listener, RunningServer},
    net::{UnixStream, socket::Adopt},
    process::{Child, Command},
};

/// A process to be started that inherits listeners of this one.
///
/// It gets them as the descriptors from 3 on, by systemd's protocol of socket activation. There are three environment
/// variables: `LISTEN_PID` is its process ID, `LISTEN_FDS` the number of listeners, `LISTEN_FDNAMES` their names.
/// So the successor can be any program with support for socket activation. One with compio takes them with
/// [`inherited_listeners`](super::inherited_listeners).
///
/// The successor reports that it is ready with [`notify_ready`](super::notify_ready). A program without compio
/// writes a line feed to the descriptor whose number is in the variable `COMPIO_READY_FD`.
///
/// The sockets keep their mode. Accepts on the readiness backend have made them non-blocking; a program that expects
/// blocking ones must change that when it is the only one that accepts.
///
/// It has the standard streams, the environment and the directory of this process.
///
/// See [the module](super) for an example.
#[derive(Debug)]
pub struct Successor {
    program: OsString,
    arguments: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    names: Vec<String>,
    listeners: Vec<OwnedFd>,
    /// Of the servers that pass their listeners.
    handed_over: Vec<Arc<AtomicBool>>,
}

impl Successor {
    /// A program, which is searched for in `PATH` unless it contains a slash, without arguments.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            variables: Vec::new(),
            names: Vec::new(),
            listeners: Vec::new(),
            handed_over: Vec::new(),
        }
    }

    /// The command line of this process. The file may have been replaced by a new version: unlike
    /// [`current_exe`](std::env::current_exe), which then returns the name of the deleted file, this uses argument 0.
    ///
    /// If argument 0 is a relative path, this process must not have changed its directory.
    ///
    /// # Errors
    ///
    /// `NotFound` if this process was started without an argument 0.
    pub fn same_program() -> io::Result<Self> {
        let mut arguments = env::args_os();
        let program = arguments.next().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                "this process was started without the name of its program",
            )
        })?;
        Ok(Self::new(program).args(arguments))
    }

    /// Adds arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let arguments = arguments.into_iter();
        self.arguments
            .extend(arguments.map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let variable = (name.as_ref().to_owned(), value.as_ref().to_owned());
        self.variables.push(variable);
        self
    }

    /// Passes all listeners of a server, all under one name.
    ///
    /// After a successful [`start`](Self::start), a shutdown of the server leaves the queued connections to the
    /// successor. It serves only those that it has accepted.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the name is empty, is longer than 255 bytes, or has a colon or other characters than
    /// printable ASCII; if the shutdown of the server has begun. The OS error of dup(2), for instance EMFILE.
    pub fn server<L: Listener>(
        mut self,
        name: &str,
        server: &RunningServer<L>,
    ) -> io::Result<Self> {
        let (listeners, flag) = server.share()?;
        if listeners.is_empty() {
            return Err(invalid("the shutdown of the server has begun".into()));
        }
        for listener in listeners {
            self = self.add(name, listener)?;
        }
        self.handed_over.push(flag);
        Ok(self)
    }

    /// Passes one listener, for instance a [`TcpListener`](crate::net::TcpListener). Its type is not checked.
    ///
    /// # Errors
    ///
    /// As [`server`](Self::server) for the name and for dup(2).
    pub fn listener(self, name: &str, listener: &impl AsFd) -> io::Result<Self> {
        let listener = handle::duplicate(listener.as_fd())?;
        self.add(name, listener)
    }

    fn add(mut self, name: &str, listener: OwnedFd) -> io::Result<Self> {
        if !is_name(name) {
            let message = format!("a listener cannot be passed under the name {name:?}");
            return Err(invalid(message));
        }
        self.names.push(name.into());
        self.listeners.push(listener);
        Ok(self)
    }

    /// Starts the process, which blocks until the system has done so, and waits until it is ready. There is no time
    /// limit: use [`timeout`](crate::time::timeout).
    ///
    /// The returned child runs on when it is dropped, and after the end of this process.
    ///
    /// # Cancellation
    ///
    /// The process is killed. The sockets are still open in this process, and no connection in their queues is lost.
    /// Connections that the process has accepted already are.
    ///
    /// # Errors
    ///
    /// `NotFound` or `PermissionDenied` if the program cannot be executed; the OS errors of fork(2) and others;
    /// `UnexpectedEof` if the process has ended, or has closed the descriptor, before it was ready: it is killed then.
    pub async fn start(mut self) -> io::Result<Child> {
        let (ours, theirs) = socket_pair(Type::STREAM)?;
        let mut readiness = UnixStream::adopt(ours)?;
        let mut child = self.spawn(theirs)?;
        if readiness.read([0; 1]).await.0? == 0 {
            child.start_kill()?;
            let status = child.wait().await?;
            let message = format!("the successor has ended before it was ready: {status}");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        child.process.set_kill_on_drop(false);
        for flag in &self.handed_over {
            // Relaxed: the shutdown begins later, on this thread or one that synchronizes with it.
            flag.store(true, Relaxed);
        }
        Ok(child)
    }

    /// Starts the process, with its end of the pair as the last descriptor.
    fn spawn(&mut self, ready: OwnedFd) -> io::Result<Child> {
        let mut descriptors = mem::take(&mut self.listeners);
        let count = descriptors.len();
        descriptors.push(ready);
        let ready_number = FIRST_PASSED as usize + count;
        let own = [
            (COUNT, count.to_string()),
            (NAMES, self.names.join(":")),
            (READY, ready_number.to_string()),
        ];
        let own = own.map(|(name, value)| (name.into(), value.into()));
        let inherited = env::vars_os();
        let program = Program {
            path: self.program.clone(),
            arguments: self.arguments.clone(),
            variables: inherited
                .chain(self.variables.iter().cloned())
                .chain(own)
                .collect(),
        };
        let start = |_: &mut process::Command| program.start_with(descriptors, PID);
        Command::new(&self.program)
            .kill_on_drop(true)
            .spawn_with(start)
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
