//! What the system tells a process.
//!
//! Signals are the process's: each test has one of its own.

mod support;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;
