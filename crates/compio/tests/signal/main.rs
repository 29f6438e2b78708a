//! Signals and console events.
//!
//! A signal affects the whole process: each test uses a different one.

mod support;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;
