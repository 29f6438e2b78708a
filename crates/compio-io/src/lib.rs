//! Owned-buffer traits and completion-based I/O traits of compio.
//!
//! Completion-based I/O hands a buffer to the kernel and gets it back with the
//! result. So a buffer is *owned* by the operation while it runs, and every
//! operation returns it, whether it succeeded or not:
//!
//! - [`buf`]: the traits of owned buffers ([`buf::IoBuf`], [`buf::IoBufMut`] and
//!   their vectored forms), slices of buffers, and [`buf::BufResult`], the pair
//!   that an operation returns.
//! - [`io`]: the traits of readers and writers that take such buffers, adapters
//!   over them, and implementations for memory.
//! - [`coop`]: the budget of operations that complete without waiting.
//! - `framed`: frames out of and into readers and writers, by a codec.
//!
//! There is no operating system and no runtime in this crate: readers that talk
//! to a kernel are in the driver's crate, and any executor can poll the futures
//! here. They need not be `Send`.
//!
//! ```
//! use compio_io::buf::IoBuf;
//! use compio_io::io::AsyncReadExt;
//!
//! # pollster::block_on(async {
//! let mut source: &[u8] = b"owned buffers come and go";
//! let (result, word) = source.read_exact(Vec::with_capacity(16).slice(..5)).await;
//! result.unwrap();
//! assert_eq!(&word[..], b"owned");
//! # });
//! ```
//!
//! # Features
//!
//! No feature is enabled by default.
//!
//! - `bytes`: buffer traits for `bytes::Bytes` and `bytes::BytesMut`.
//! - `framed`: the module `framed`, frames out of and into streams.
//! - `serde_json`: frames of JSON in `framed`.
//! - `futures-io`, `tokio`: adapters for readers and writers of these crates, both ways.

pub mod buf;
pub mod coop;
#[doc(hidden)]
pub mod counter;
#[cfg(feature = "framed")]
pub mod framed;
pub mod io;
#[doc(hidden)]
pub mod panics;
#[doc(hidden)]
pub mod waiters;
