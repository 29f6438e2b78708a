//! Builder of a child process.

use std::{
    ffi::OsStr,
    io,
    path::Path,
    process::{self, ExitStatus, Output, Stdio},
};

use compio_driver::os_calls::outside_of_simulation;

use super::Child;
use crate::sys;

/// A process to be started: [`std::process::Command`] with asynchronous waits.
///
/// The methods have std's names and meanings; `spawn`, `status` and `output` start the process at
/// once, on this thread, and block it until the OS has done so. By default, the child shares this
/// process's input, output and error streams.
///
/// ```
/// use std::process::Stdio;
///
/// use compio::{
///     io::{AsyncReadExt, AsyncWriteExt},
///     process::Command,
/// };
///
/// fn main() -> std::io::Result<()> {
/// # #[cfg(unix)]
///     compio::task::block_on(async {
///         let mut child = Command::new("tr")
///             .args(["a-z", "A-Z"])
///             .stdin(Stdio::piped())
///             .stdout(Stdio::piped())
///             .spawn()?;
///         let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
///
///         stdin.write_all("hello").await.0?;
///         drop(stdin); // Or else it waits for more.
///         let (read, text) = stdout.read_to_end(Vec::new()).await;
///         assert_eq!((read?, text), (5, b"HELLO".to_vec()));
///         assert!(child.wait().await?.success());
///         std::io::Result::Ok(())
///     })?;
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Command {
    pub(crate) std: process::Command,
    kill_on_drop: bool,
    has_stdin: bool,
    has_stdout: bool,
    has_stderr: bool,
}

impl Command {
    /// Starts `program`, with std's search rules, no arguments, and this process's environment and
    /// directory.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            std: process::Command::new(program),
            kill_on_drop: false,
            has_stdin: false,
            has_stdout: false,
            has_stderr: false,
        }
    }

    /// The command of std.
    pub fn as_std(&self) -> &process::Command {
        &self.std
    }

    /// The command of std, for changes. See [`output`](Self::output) about streams that are set
    /// there.
    pub fn as_std_mut(&mut self) -> &mut process::Command {
        self.has_stdin = true;
        &mut self.std
    }

    /// Converts to std's command. [`kill_on_drop`](Self::kill_on_drop) is lost.
    pub fn into_std(self) -> process::Command {
        self.std
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.std.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args<I, S>(&mut self, args: I) -> &mut Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.std.args(args);
        self
    }

    /// Sets a variable of the child's environment.
    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.std.env(key, value);
        self
    }

    /// Sets variables of the child's environment.
    pub fn envs<I, K, V>(&mut self, vars: I) -> &mut Self
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.std.envs(vars);
        self
    }

    /// Removes a variable from the child's environment.
    pub fn env_remove(&mut self, key: impl AsRef<OsStr>) -> &mut Self {
        self.std.env_remove(key);
        self
    }

    /// Clears the child's environment.
    pub fn env_clear(&mut self) -> &mut Self {
        self.std.env_clear();
        self
    }

    /// The directory that the child starts in. For programs named by a relative path see std.
    pub fn current_dir(&mut self, dir: impl AsRef<Path>) -> &mut Self {
        self.std.current_dir(dir);
        self
    }

    /// The input of the child: inherited by default, and empty for [`output`](Self::output).
    pub fn stdin(&mut self, stdin: impl Into<Stdio>) -> &mut Self {
        self.std.stdin(stdin);
        self.has_stdin = true;
        self
    }

    /// The output of the child: inherited by default, and a pipe for [`output`](Self::output).
    pub fn stdout(&mut self, stdout: impl Into<Stdio>) -> &mut Self {
        self.std.stdout(stdout);
        self.has_stdout = true;
        self
    }

    /// The error output of the child: as for [`stdout`](Self::stdout).
    pub fn stderr(&mut self, stderr: impl Into<Stdio>) -> &mut Self {
        self.std.stderr(stderr);
        self.has_stderr = true;
        self
    }

    /// Whether a [`Child`], or a future that owns it, kills the process when it is dropped before
    /// the process has been waited for. By default it does not.
    ///
    /// Only the process itself is killed, not its children. See [the
    /// module](super#reaping-children) about zombies.
    pub fn kill_on_drop(&mut self, kill_on_drop: bool) -> &mut Self {
        self.kill_on_drop = kill_on_drop;
        self
    }

    /// The value of [`kill_on_drop`](Self::kill_on_drop).
    pub fn get_kill_on_drop(&self) -> bool {
        self.kill_on_drop
    }

    /// Starts the process. It needs no polling to run.
    ///
    /// The call blocks until the OS has started the process, a millisecond or so; on unix, until
    /// the program has been found and started.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) if there is no such program;
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) if it is not executable for this user;
    /// the OS error if there are no processes or descriptors left; [`Unsupported`](io::ErrorKind::Unsupported) in a simulated
    /// host.
    pub fn spawn(&mut self) -> io::Result<Child> {
        self.spawn_with(process::Command::spawn)
    }

    /// As [`spawn`](Self::spawn), with a function that starts std's command in another way.
    ///
    /// # Errors
    ///
    /// The errors of the function.
    pub fn spawn_with(
        &mut self,
        with: impl FnOnce(&mut process::Command) -> io::Result<process::Child>,
    ) -> io::Result<Child> {
        outside_of_simulation("child processes")?;
        sys::sweep();
        Ok(Child::new(with(&mut self.std)?, self.kill_on_drop))
    }

    /// Starts the process now, and waits for its end. Its ends of pipes are closed at once.
    ///
    /// # Cancellation
    ///
    /// As of [`Child::wait`]. The child is dropped: it continues, or is killed if
    /// [`kill_on_drop`](Self::kill_on_drop) is set.
    ///
    /// # Errors
    ///
    /// As of [`spawn`](Self::spawn) and [`Child::wait`].
    pub fn status(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + use<> {
        let child = self.spawn();
        async {
            let mut child = child?;
            drop((child.stdin.take(), child.stdout.take(), child.stderr.take()));
            child.wait().await
        }
    }

    /// Starts the process now, reads its output, and waits for its end. By default it has no input, and
    /// pipes for both outputs.
    ///
    /// Streams that were set with [`as_std_mut`](Self::as_std_mut), or before the conversion from
    /// std's command, are unknown here. The input stays as it is. Output and error output become
    /// pipes, and afterwards inherited.
    ///
    /// # Cancellation
    ///
    /// As of [`status`](Self::status). The output read so far is lost.
    ///
    /// # Errors
    ///
    /// As of [`spawn`](Self::spawn) and [`Child::wait_with_output`].
    pub fn output(&mut self) -> impl Future<Output = io::Result<Output>> + use<> {
        if !self.has_stdin {
            self.std.stdin(Stdio::null());
        }
        if !self.has_stdout {
            self.std.stdout(Stdio::piped());
        }
        if !self.has_stderr {
            self.std.stderr(Stdio::piped());
        }
        let child = self.spawn();
        // The command may start another process, with other settings.
        if !self.has_stdin {
            self.std.stdin(Stdio::inherit());
        }
        if !self.has_stdout {
            self.std.stdout(Stdio::inherit());
        }
        if !self.has_stderr {
            self.std.stderr(Stdio::inherit());
        }
        async { child?.wait_with_output().await }
    }
}

impl From<process::Command> for Command {
    fn from(std: process::Command) -> Self {
        Self {
            std,
            kill_on_drop: false,
            has_stdin: true,
            has_stdout: false,
            has_stderr: false,
        }
    }
}
