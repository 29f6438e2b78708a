//! Child processes.
//!
//! [`Command`] is [`std::process::Command`] with methods that do not block, and the same
//! capabilities: [`Stdio`](std::process::Stdio), [`Output`](std::process::Output) and
//! [`ExitStatus`](std::process::ExitStatus) are std's.
//!
//! ```
//! use compio::process::Command;
//!
//! fn main() -> std::io::Result<()> {
//!     compio::task::block_on(async {
//!     # #[cfg(unix)]
//!         let output = Command::new("echo").arg("hello").output().await?;
//!     # #[cfg(windows)]
//!     # let output = Command::new("cmd").args(["/c", "echo hello"]).output().await?;
//!         assert!(output.status.success());
//!         assert_eq!(output.stdout.trim_ascii(), b"hello");
//!         Ok(())
//!     })
//! }
//! ```
//!
//! # Reaping children
//!
//! The kernel reports the end of a process: on Linux with a pidfd, on macOS and the BSDs with a
//! kqueue, on Windows with the process's handle. There is no handler of `SIGCHLD`, and no thread.
//! Where the system provides no pidfd or kqueue (Linux before 5.3, a seccomp filter, no descriptors
//! left), one thread waits for all awaited children.
//!
//! A dropped [`Child`] continues to run, as with std, unless [`Command::kill_on_drop`] is set. On
//! unix, the parent must read the status of a process that has ended: until then it is a *zombie*,
//! which keeps its process ID. Dropped children are reaped as follows:
//!
//! - A short-lived thread waits for children that the drop has killed.
//! - The others are checked whenever a process is started, has been waited for, or is dropped. A
//!   program that keeps starting processes has few zombies; one that does not has one for each
//!   dropped child.
//!
//! To have no zombies, wait for each child. Other code in the program must not wait for children
//! that it did not start (`waitpid(-1, ..)`), nor ignore `SIGCHLD`: if other code takes the status
//! of a child, the wait fails with `ECHILD`.

mod child;
mod command;
mod pipe;

pub use self::{
    child::Child,
    command::Command,
    pipe::{ChildStderr, ChildStdin, ChildStdout},
};
