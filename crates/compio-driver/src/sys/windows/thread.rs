//! Threads that end by themselves.

use std::{io, thread};

/// Starts a thread that ends by itself.
///
/// # Errors
///
/// Those of `CreateThread`.
pub fn start_thread(name: &str, code: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let builder = thread::Builder::new().name(name.into());
    builder.spawn(code).map(drop)
}
