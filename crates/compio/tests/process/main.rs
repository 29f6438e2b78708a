//! Real child processes.
//!
//! Tests of every system have this program as their child, see [`child`]. Tests of unix alone use the
//! shell.

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
