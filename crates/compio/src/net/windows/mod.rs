//! Named pipes. Empty on systems other than Windows.

#[cfg(windows)]
pub mod named_pipe;
