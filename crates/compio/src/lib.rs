//! A completion-based, thread-per-core async runtime.
//!
//! A program hands a buffer to the kernel and gets it back with the result. A task stays on the
//! thread that it was spawned on.
//!
//! # Quick start
//!
//! The high-level API performs I/O on files and sockets. Its features are there by default.
//!
#![cfg_attr(feature = "fs", doc = "```rust")]
#![cfg_attr(not(feature = "fs"), doc = "```rust,ignore")]
//! use compio::{fs::File, task::block_on};
//!
//! let buffer = block_on(async {
//!     let file = File::open("Cargo.toml").unwrap();
//!     let (read, buffer) = file.read_at(Vec::with_capacity(1024), 0).await;
//!     let read = read.unwrap();
//!     assert_eq!(read, buffer.len());
//!     String::from_utf8(buffer).unwrap()
//! });
//! println!("{}", buffer);
//! ```
//!
//! The low-level driver can be used by hand, too.
//!
#![cfg_attr(feature = "fs", doc = "```rust")]
#![cfg_attr(not(feature = "fs"), doc = "```rust,ignore")]
//! use compio::{
//!     buf::IntoInner,
//!     driver::{AsRawFd, Driver, Poller},
//!     fs::File,
//!     op::ReadAt,
//! };
//!
//! let driver = Driver::new().unwrap();
//! let file = File::open("Cargo.toml").unwrap();
//! // Attach the `RawFd` to driver first.
//! driver.attach(file.as_raw_fd()).unwrap();
//!
//! // Create operation and push it to the driver.
//! let mut op = ReadAt::new(file.as_raw_fd(), 0, Vec::with_capacity(4096));
//! unsafe { driver.push(&mut op, 0) }.unwrap();
//!
//! // Poll the driver and wait for IO completed.
//! let entry = driver.poll_one(None).unwrap();
//! assert_eq!(entry.user_data(), 0);
//!
//! // Resize the buffer by return value.
//! let n = entry.into_result().unwrap();
//! let mut buffer = op.into_inner().into_inner();
//! unsafe {
//!     buffer.set_len(n);
//! }
//!
//! println!("{}", String::from_utf8(buffer).unwrap());
//! ```
//!
//! # Buffers and results
//!
//! The kernel reads and writes buffers while the program continues, so an operation owns its buffer
//! and returns it at the end, also if it failed: operations return a [`BufResult`],
//! a tuple of result and buffer. A read fills the buffer from its start over its whole capacity and
//! sets its length; [`slice`](buf::IoBuf::slice) chooses a part.
//!
//! # Cancellation
//!
//! Dropping the future of an operation cancels it. A drop never blocks, frees nothing early and leaks
//! nothing. Each operation documents the effect of a late success. Received bytes and accepted
//! connections are not lost: the next receive or accept returns them.
//!
//! # Features
//!
//! | feature | default | contents |
//! |---|---|---|
//! | `runtime` | yes | `task`, `runtime`, `cores`; `metrics`, `dump`, `watchdog` |
//! | `fs` | yes | `fs`, `pipe`, and the standard streams in `io`; with it, `time` |
//! | `net` | yes | `net` |
//! | `time` | yes | `time` |
//! | `process` | yes | `process`; with `net`, on unix, `restart` |
//! | `signal` | yes | `signal` |
//! | `event` | yes | `event` |
//! | `macros` | yes | `#[compio::main]`, `#[compio::test]` |
//! | `test-util` | no | for tests, `time::{pause, advance, resume}` and `#[compio::test(start_paused)]` |
//! | `sim` | no | for tests, `sim`: many hosts with virtual time in one thread, on Linux |
//! | `arrayvec` | no | `arrayvec::ArrayVec` and `ArrayString` as buffers |
//! | `bytes` | no | `bytes::Bytes` and `BytesMut` as buffers |
//! | `memmap2` | no | `memmap2::Mmap` and `MmapMut` as buffers |
//! | `smallvec` | no | `smallvec::SmallVec` as a buffer |
//! | `framed` | no | `framed`: frames out of and into streams |
//! | `serde_json` | no | frames of JSON |
//! | `futures-io` | no | readers and writers of `futures-io`, both ways |
//! | `tokio` | no | readers and writers of `tokio::io`, both ways |
//! | `compat-tokio` | no | `compat::tokio`: libraries that need Tokio's runtime |
//! | `inside-tokio` | no | `compat::tokio::run_until`: compio inside of Tokio, on unix |
//! | `console` | no | `console`: a Unix socket for `compio-console`, on unix |
//! | `histograms` | no | `metrics::record_histograms`: latencies of operations, and durations of polls |
//! | `metrics` | no | `metrics::Publisher`: counters for the recorders of the crate `metrics` |
//! | `tracing` | no | spans of tasks and operations, for subscribers of the crate `tracing` and for tokio-console |
//! | `stream` | no | `futures_core::Stream` for the streams of this crate |
//!
//! Without any there are [`driver`], [`op`], [`buf`] and [`io`].
//!
//! # Examples in this documentation
//!
//! An example with a function `main` is a program. Any other example is the body of an async function that
//! returns [`std::io::Result<()>`](std::io::Result); an example without `.await` and `?` works in any
//! function. Besides compio with all features and std, examples use these crates:
//!
//! ```toml
//! bytes = "1"
//! futures-util = { version = "0.3", features = ["io", "sink"] }
//! tempfile = "3"
//! tokio = { version = "1", features = ["io-util", "macros", "rt"] }
//! ```

pub use compio_driver as driver;
pub use compio_driver::{op, os};
pub use compio_io::buf;
pub use compio_io::buf::BufResult;
#[cfg(feature = "framed")]
pub use compio_io::framed;
#[cfg(feature = "macros")]
pub use compio_macros::{main, test};

#[cfg(feature = "compat-tokio")]
pub mod compat;
#[cfg(all(feature = "console", unix))]
pub use self::sys::console;
#[cfg(feature = "runtime")]
pub mod cores;
#[cfg(feature = "fs")]
mod cursor_io;
#[cfg(feature = "runtime")]
pub mod dump;
#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod entry;
#[cfg(feature = "event")]
pub mod event;
#[cfg(feature = "fs")]
pub mod fs;
pub mod io;
#[cfg(feature = "runtime")]
mod json;
#[cfg(feature = "runtime")]
pub mod metrics;
#[cfg(feature = "net")]
pub mod net;
#[cfg(any(feature = "event", feature = "runtime"))]
#[cfg(feature = "fs")]
pub mod pipe;
#[cfg(feature = "process")]
pub mod process;
#[cfg(all(feature = "net", feature = "process", unix))]
pub mod restart;
#[cfg(feature = "runtime")]
pub mod runtime;
#[cfg(feature = "signal")]
pub mod signal;
#[cfg(all(feature = "sim", not(loom), target_os = "linux", not(compio_portable)))]
pub mod sim;
#[cfg(feature = "fs")]
mod stdio;
#[cfg(any(
    feature = "fs",
    feature = "net",
    feature = "process",
    feature = "signal"
))]
mod sys;
#[cfg(feature = "runtime")]
pub mod task;
#[cfg(feature = "time")]
pub mod time;
#[cfg(feature = "runtime")]
mod trace;
#[cfg(feature = "runtime")]
pub mod watchdog;

/// The examples of the README are tests.
#[cfg(all(doctest, feature = "fs"))]
#[doc = include_str!("../../../README.md")]
mod readme {}

/// So are those of the page about several cores.
#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../../../docs/thread-per-core.md")]
mod thread_per_core {}

/// And those of the pages about programs that hang or are slow.
#[cfg(all(doctest, feature = "runtime", feature = "signal"))]
#[doc = include_str!("../../../docs/finding-out-why-it-hangs.md")]
#[doc = include_str!("../../../docs/finding-out-why-it-is-slow.md")]
mod finding_out {}

/// And those of the page about the export of metrics.
#[cfg(all(doctest, feature = "macros", feature = "metrics", feature = "time"))]
#[doc = include_str!("../../../docs/metrics.md")]
mod export {}

/// And those of the page about simulations.
#[cfg(all(
    doctest,
    feature = "macros",
    feature = "sim",
    target_os = "linux",
    not(compio_portable)
))]
#[doc = include_str!("../../../docs/simulation.md")]
mod simulation_page {}

/// And those of the page about Tokio.
#[cfg(all(doctest, feature = "compat-tokio", feature = "macros"))]
#[doc = include_str!("../../../docs/compat-tokio.md")]
mod compat_tokio {}
