//! Completion-based I/O: traits of readers and writers that take owned buffers,
//! adapters over them, and implementations for memory.
//!
//! | file | holds |
//! |---|---|
//! | `read`, `write` | [`AsyncRead`], [`AsyncWrite`] and, at a position, [`AsyncReadAt`], [`AsyncWriteAt`] |
//! | `read_ext`, `write_ext` | [`AsyncReadExt`], [`AsyncWriteExt`]: loops over `read` and `write` |
//! | `at_ext` | [`AsyncReadAtExt`], [`AsyncWriteAtExt`]: the same at a position |
//! | `buf_read` | [`AsyncBufRead`], [`AsyncBufReadExt`]: readers that own their buffer |
//! | `lines` | [`Lines`], [`Split`]: the lines and segments of buffered readers |
//! | `seek` | [`AsyncSeek`], [`AsyncSize`] |
//! | `cursor` | [`Cursor`]: sequential reads and writes over positioned ones |
//! | `buf_reader`, `buf_writer` | [`BufReader`], [`BufWriter`] |
//! | `poll_reader`, `poll_writer` | [`PollReader`], [`PollWriter`]: operations that outlive their futures |
//! | `reusable_future` | a future that owns its I/O object and buffer |
//! | `take`, `chain` | [`Take`], [`Chain`] |
//! | `join` | [`join()`], [`split`]: a stream of two halves, and two halves of a stream |
//! | `copy` | [`copy()`], [`copy_buf`], [`copy_bidirectional`] |
//! | `duplex` | [`duplex()`]: two connected streams in memory |
//! | `empty` | [`empty()`], [`sink`], [`repeat`] |
//! | `slice_impls` | slices, vectors and cursors as readers and writers |
//! | `futures_io`, `tokio_io`, `compat` | readers and writers of other ecosystems, both ways |
//! | `prelude` | [`prelude`]: all traits by one import |
//! | `forward` | `&mut T`, `Box<T>`, `&T`, `Rc<T>`, `Arc<T>` |
//!
//! # Traits in scope
//!
//! [`AsyncReadExt`] and [`AsyncWriteExt`] have the loops, [`AsyncRead`] and
//! [`AsyncWrite`] have `read`, `write`, `flush` and `shutdown`. `use` both, or the
//! [`prelude`].
//!
//! # Reads and the buffer's length
//!
//! **A read fills the buffer from its start over its whole capacity and sets its
//! length to the bytes read.** It overwrites bytes that the buffer has, and it also
//! shortens the buffer. To append, or to read into a part of the buffer, use
//! [`append`](AsyncReadExt::append),
//! [`read_to_end`](AsyncReadExt::read_to_end) or
//! [`slice`](crate::buf::IoBuf::slice):
//!
//! ```
//! use compio::{
//!     buf::{IntoInner, IoBuf},
//!     io::prelude::*,
//! };
//!
//! # pollster::block_on(async {
//! // Over the old bytes; the length becomes 3.
//! let (_, buffer) = (&b"abc"[..]).read(b"old bytes".to_vec()).await;
//! assert_eq!(buffer, b"abc");
//! // Behind the old bytes.
//! let (_, buffer) = (&b"abc"[..]).append(b"old ".to_vec()).await;
//! assert_eq!(buffer, b"old abc");
//! // Into a part.
//! let (_, part) = (&b"abc"[..]).read(vec![b'-'; 9].slice(2..4)).await;
//! assert_eq!(part.into_inner(), b"--ab-----");
//! # });
//! ```
//!
//! # Cancellation
//!
//! Dropping a future of this module cancels the operation in flight, if there is
//! one. The operation owns the buffer, which is lost. The reader or writer
//! documents whether bytes are lost with it: the kernel may have completed the
//! operation just before. The loops (`read_exact`, `write_all`, `copy` …) can be
//! dropped between two operations as well; the effect of completed operations
//! stays. Each method documents the consequences.
//!
//! There are two ways to lose nothing. The first is not to drop the future: pin it
//! outside of the loop and await it by reference, until it is ready.
//!
//! ```
//! use std::pin::pin;
//!
//! use compio::io::{AsyncRead, AsyncWriteExt, duplex};
//! # async fn select<T>(f: impl Future<Output = T>, _tick: ()) -> Option<T> {
//! #     let mut f = pin!(f);
//! #     std::future::poll_fn(|cx| match f.as_mut().poll(cx) {
//! #         std::task::Poll::Ready(value) => std::task::Poll::Ready(Some(value)),
//! #         std::task::Poll::Pending => std::task::Poll::Ready(None),
//! #     })
//! #     .await
//! # }
//! # fn tick() {}
//!
//! # pollster::block_on(async {
//! let (mut client, mut server) = duplex(64);
//! let mut read = pin!(server.read(Vec::with_capacity(64)));
//! let buffer = loop {
//!     match select(read.as_mut(), tick()).await {
//!         Some((result, buffer)) => break result.map(|_| buffer)?,
//!         None => client.write_all("tick").await.0?,
//!     }
//! };
//! assert_eq!(buffer, b"tick");
//! # std::io::Result::Ok(())
//! # }).unwrap();
//! ```
//!
//! The other is a reader or writer that keeps its operation when a future is
//! dropped: [`PollReader`], [`PollWriter`], and the types of
#![cfg_attr(feature = "framed", doc = "[`framed`](crate::framed).")]
#![cfg_attr(not(feature = "framed"), doc = "`framed`.")]

mod at_ext;
mod buf_read;
mod buf_reader;
mod buf_writer;
mod chain;
#[cfg(any(feature = "futures-io", feature = "tokio"))]
mod compat;
mod copy;
mod cursor;
mod detached;
mod duplex;
mod empty;
mod forward;
#[cfg(feature = "futures-io")]
mod futures_io;
mod join;
mod lines;
mod poll_reader;
mod poll_writer;
pub mod prelude;
mod read;
mod read_ext;
pub(crate) mod reusable_future;
mod seek;
mod slice_impls;
mod take;
#[cfg(feature = "tokio")]
mod tokio_io;
mod write;
mod write_ext;

pub use at_ext::{AsyncReadAtExt, AsyncWriteAtExt};
pub use buf_read::{AsyncBufRead, AsyncBufReadExt};
pub use buf_reader::BufReader;
pub use buf_writer::BufWriter;
pub use chain::Chain;
pub use copy::{copy, copy_bidirectional, copy_buf};
pub use cursor::Cursor;
#[doc(hidden)]
pub use detached::{Detached, DetachedRunner, FindRunner, set_detached_runner};
pub use duplex::{DuplexStream, duplex};
pub use empty::{Empty, Repeat, Sink, empty, repeat, sink};
#[cfg(feature = "futures-io")]
pub use futures_io::FuturesIo;
pub use join::{Join, ReadHalf, WriteHalf, join, split};
pub use lines::{Lines, Split};
pub use poll_reader::PollReader;
pub use poll_writer::PollWriter;
pub use read::{AsyncRead, AsyncReadAt};
pub use read_ext::AsyncReadExt;
pub use seek::{AsyncSeek, AsyncSize};
pub use take::Take;
#[cfg(feature = "tokio")]
pub use tokio_io::TokioIo;
pub use write::{AsyncWrite, AsyncWriteAt};
pub use write_ext::AsyncWriteExt;

use std::io;

use crate::buf::{BufResult, IoBufMut};

/// The default capacity of [`BufReader`] and [`BufWriter`], and the minimum growth
/// for a read that appends, in bytes.
const BUFFER_LEN: usize = 8 * 1024;

/// The length of the read if a vector has less room: the source has probably
/// ended, and then the vector need not grow.
const PROBE_LEN: usize = 32;

/// Where the next read of a loop to the end of a source puts its bytes.
enum Room {
    /// Behind the bytes of the vector itself.
    InPlace,
    /// In a small array, until a read has returned more bytes.
    Probe,
    /// In a separate vector. A file of procfs may return data for the first read only,
    /// which must not be cut to the length of a probe.
    First,
}

impl Room {
    /// The room for the next read into `buf`, to which `total` bytes have been
    /// added.
    fn choose(buf: &mut Vec<u8>, total: usize) -> Self {
        if buf.capacity() == 0 {
            buf.reserve(BUFFER_LEN);
        }
        if buf.capacity() - buf.len() >= PROBE_LEN {
            Self::InPlace
        } else if total > 0 {
            Self::Probe
        } else {
            Self::First
        }
    }
}

/// Appends bytes that were read into another buffer, and makes room for more.
fn add(buf: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() > buf.capacity() - buf.len() {
        buf.reserve(BUFFER_LEN.max(bytes.len()));
    }
    buf.extend_from_slice(bytes);
}

/// Sets the length of `buf` to the `len` bytes that were read into its start.
///
/// Checks the number that the reader returned, because a reader needs no `unsafe`
/// to return a wrong one.
fn settle<B: IoBufMut>(buf: &mut B, len: usize) {
    let initialised = buf.buf_len();
    assert!(
        len <= initialised,
        "a reader claims {len} bytes but initialised {initialised}"
    );
    // SAFETY: the first `initialised` bytes are initialised, and `len` is no more.
    unsafe { buf.set_init(len) };
}

/// The error of a reader that ends before the buffer is full.
fn unexpected_eof() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "failed to fill whole buffer")
}

/// The error of a writer that accepts no more bytes.
fn write_zero() -> io::Error {
    io::Error::new(io::ErrorKind::WriteZero, "failed to write whole buffer")
}

/// The bytes that were read behind a text of length `before`, as text.
fn to_text((read, bytes): BufResult<usize, Vec<u8>>, before: usize) -> BufResult<usize, String> {
    match String::from_utf8(bytes) {
        Ok(text) => (read, text),
        Err(e) => {
            let mut bytes = e.into_bytes();
            bytes.truncate(before);
            // The default applies only if the reader returned another vector.
            let text = String::from_utf8(bytes).unwrap_or_default();
            (read.and_then(|_| Err(invalid_utf8())), text)
        }
    }
}

/// The error of bytes that are not a string.
fn invalid_utf8() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "stream did not contain valid UTF-8",
    )
}
