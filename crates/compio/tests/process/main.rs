//! Child processes, real ones.
//!
//! What runs on every system has this very program as its child, see [`child`]; what only unix has
//! is tried with the shell.

mod child;
mod exchange;
mod lives;
mod streams;
mod support;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;
#[cfg(target_os = "linux")]
mod without_pidfd;
