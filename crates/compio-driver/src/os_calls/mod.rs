//! The `Os` seam: all system calls on handles and paths that are not requests, and all readings of the
//! clock.
//!
//! A [`Backend`](crate::sys) executes requests. Everything else that this crate and `compio` ask of the
//! system passes a function of this module. The functions have static dispatch and are inlined: they cost
//! nothing. A simulator of the system adds one dispatch inside each of them, and the layers above stay as
//! they are.
//!
//! # The contract
//!
//! - The layers above treat a handle as an opaque ID. They borrow it as [`BorrowedFd`](crate::BorrowedFd),
//!   own it as [`OwnedFd`](crate::OwnedFd) or [`SharedFd`](crate::SharedFd), and pass it to a request or to
//!   this module. They call no method of `std` or `socket2` that makes a system call.
//! - Arguments and results are plain data.
//! - A function makes its call on the calling thread, and may block unless its documentation says
//!   otherwise. The callers use the thread pool.
//! - An error is the OS error of the named call.
//!
//! `cargo xtask structure` checks that `compio` and this crate make such calls in no other place.
//!
//! # Outside of the seam
//!
//! - The backends with their own handles and clocks: a simulator replaces them as a whole.
//! - Child processes and signals: other programs and the system act on them.
//! - The type of the standard streams (`is_terminal`), and their reads on Windows.
//! - Waits of threads: the thread pool's, and the wait for child processes.

pub mod clock;
pub mod file;
pub mod handle;
pub mod path;
pub mod resolve;
pub mod socket;

/// The calls that only one kind of system has, with its variants of common arguments and results:
/// `unix/`, `windows.rs`.
pub use crate::sys::system_calls as system;
