//! Reading and writing: the traits and adapters of the crate `compio-io`, the standard streams of the
//! process, and [`pipe()`], as in [`std::io`].
//!
//! A read fills its buffer from the start over its whole capacity, and sets its length to the
//! number of bytes read. Separate methods append, or read a part.
//!
//! # Cancellation
//!
//! Dropping a future cancels the operation in flight, and the buffer is lost. Each reader and writer
//! documents whether bytes are lost with it. Reads of the sockets, pipes and standard streams of this
//! crate lose none, nor do adapters without a buffer of the caller, such as a [`BufReader`]. Loops
//! that fill the caller's buffer, such as `read_exact` or `read_line`, lose the bytes they have read
//! so far. [`lines`](AsyncBufReadExt::lines) and frames have buffers of their own, and a
//! [`CancelToken`](crate::runtime::CancelToken) returns the buffer.

// A separate crate, so that it can be used without a kernel; for users it is this module.
pub use compio_io::io::*;

#[cfg(feature = "fs")]
pub use crate::{
    pipe::{PipeReader, PipeWriter, pipe},
    stdio::{Stderr, Stdin, Stdout, stderr, stdin, stdout},
};
