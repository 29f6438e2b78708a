//! Reading and writing: the traits and adapters of the crate `compio-io`, the standard streams of the
//! process, and [`pipe()`] as std has it here.
//!
//! A read fills its buffer from the start over its whole capacity and sets its length to the bytes
//! that came; to append, or to read a part, is said by name.
//!
//! # Cancellation
//!
//! Dropping a future cancels the operation under way, and the buffer is lost. Whether bytes are lost
//! with it is said by each reader and writer: reads of the sockets, pipes and standard streams of this
//! crate lose none, and neither does what only passes them on, such as a [`BufReader`]. Loops that
//! gather in the caller's buffer, such as `read_exact` or `read_line`, lose with it what they have
//! gathered: [`lines`](AsyncBufReadExt::lines) and frames gather by themselves, and a
//! [`CancelToken`](crate::runtime::CancelToken) hands the buffer back.

// A crate of its own so that it can be had without a kernel; for users it is this module.
pub use compio_io::io::*;

#[cfg(feature = "fs")]
pub use crate::{
    pipe::{PipeReader, PipeWriter, pipe},
    stdio::{Stderr, Stdin, Stdout, stderr, stdin, stdout},
};
