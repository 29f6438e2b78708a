//! The parts that differ by system: the socket of the program, and signals that end this one.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use unix::{Stream, connect, on_end_signal, write};

#[cfg(not(unix))]
mod other;
#[cfg(not(unix))]
pub(crate) use other::{Stream, connect, on_end_signal, write};

/// Whether a program can be observed on this system.
pub const HAS_UNIX_SOCKETS: bool = cfg!(unix);
