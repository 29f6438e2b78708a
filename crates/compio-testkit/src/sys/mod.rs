//! The fixtures that differ between systems.

#[cfg(target_os = "linux")]
pub mod seccomp;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::{is_inherited, is_readable, on_wine, processor_time};
#[cfg(windows)]
pub use windows::{is_signalled, named_pipe, on_wine, pipe_name, processor_time};
