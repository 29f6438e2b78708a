//! Detached threads.

use std::{io, thread};

/// Starts a detached thread.
///
/// # Errors
///
/// The OS error of `CreateThread`.
pub fn start_thread(name: &str, code: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let builder = thread::Builder::new().name(name.into());
    builder.spawn(code).map(drop)
}
