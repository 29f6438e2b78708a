//! Child processes.
//!
//! [`Command`] is [`std::process::Command`] with methods that do not block, and knows no more than
//! it: [`Stdio`](std::process::Stdio), [`Output`](std::process::Output) and
//! [`ExitStatus`](std::process::ExitStatus) are std's.
//!
//! ```
//! use compio::process::Command;
//!
//! # fn main() -> std::io::Result<()> {
//! compio::task::block_on(async {
//!     # #[cfg(unix)]
//!     let output = Command::new("echo").arg("hello").output().await?;
//!     # #[cfg(windows)]
//!     # let output = Command::new("cmd").args(["/c", "echo hello"]).output().await?;
//!     assert!(output.status.success());
//!     assert_eq!(output.stdout.trim_ascii(), b"hello");
//!     # Ok(())
//! })
//! # }
//! ```
//!
//! # Who waits for a child
//!
//! The end of a process is awaited by the kernel: on Linux by a pidfd, on macOS and the BSDs by a
//! kqueue, on Windows by the process's handle. There is no handler of `SIGCHLD`, and no thread.
//! Where the system has no pidfd or kqueue to give (Linux before 5.3, a seccomp filter, no
//! descriptors left), one thread waits for all awaited children.
//!
//! A [`Child`] that is dropped goes on, as with std, unless [`Command::kill_on_drop`] was asked
//! for. On unix somebody has to ask for the status of a process that has ended: until then it is a
//! *zombie*, which holds its number. Of children that were dropped,
//!
//! - those that were killed by it are waited for by a short-lived thread;
//! - the others are looked at whenever a process is started, has been waited for, or is dropped, so
//!   that a program that goes on starting processes has few zombies, and one that does not has as
//!   many as it has left behind.
//!
//! To be sure that there is none, wait. Nothing else in the program may wait for children that it
//! did not start (`waitpid(-1, ..)`), nor ignore `SIGCHLD`: a child whose status somebody else has
//! taken is reported by an error, `ECHILD`.

mod child;
mod command;
mod pipe;

pub use self::{
    child::Child,
    command::Command,
    pipe::{ChildStderr, ChildStdin, ChildStdout},
};
