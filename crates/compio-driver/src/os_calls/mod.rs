//! The `Os` seam: all system calls on handles and paths that are not requests, and all readings of the
//! clock.
//!
//! A backend executes requests. Everything else that this crate and `compio` ask of the system passes a
//! function of this module. Dispatch is static, and calls that may be frequent are inlined: the seam costs
//! nothing. Each function begins with `in_simulation`: with the feature `sim`, the macro passes the call to the
//! simulated system if a simulated host makes it. Otherwise the macro is empty.
//!
//! # The contract
//!
//! - The layers above treat a handle as an opaque ID. They borrow it as [`BorrowedFd`](crate::BorrowedFd),
//!   own it as [`OwnedFd`](crate::OwnedFd) or [`SharedFd`](crate::SharedFd), and pass it to a request or to
//!   this module. They call no method of `std` or `socket2` that makes a system call.
//! - A function makes its call on the calling thread. The head of its file says whether it may block; then
//!   callers use the thread pool, except where their own documentation names a call on this thread.
//! - An error is the OS error of the named call.
//!
//! `cargo xtask structure` checks that no other file of `compio` and this crate makes such calls, and lists
//! the exceptions.
//!
//! # Platform differences
//!
//! `sys/mod.rs`, the only platform switch, selects `unix/`, `linux.rs` or `windows.rs`. These have the calls
//! of one kind of system, and the parts of common calls that differ. The calls on named pipes and the file
//! locks of Windows are public: they are in `sys/windows/`.
//!
//! # Outside of the seam
//!
//! - The backends with their own handles and clocks: a simulated host has another backend.
//! - Child processes and signals: other programs and the system act on them. Descriptors that pass between
//!   processes by their numbers are in `unix/inherit.rs`, with the start of the child that gets them.
//! - The type of the standard streams (`is_terminal`), and their transfers on Windows.
//! - Waits of threads: of the thread pool, and for child processes.
//! - The drop of an [`OwnedFd`](crate::OwnedFd), on unix a type of std: a connection that was accepted, or a
//!   file that was opened, for a future that has been dropped. [`SharedFd`](crate::SharedFd) closes through
//!   the seam, and with the feature `sim`, so do these.

use std::io;

use crate::sys::in_simulation;

pub mod clock;
pub mod cpu;
pub mod describe;
pub mod file;
pub mod handle;
pub mod path;
pub mod resolve;
pub mod socket;

/// The calls that only one kind of system has, with its variants of common arguments and results:
/// `unix/`, `windows.rs`.
pub use crate::sys::system_calls as system;

/// Whether a simulated host is current.
#[inline(always)]
pub(crate) fn is_in_simulation() -> bool {
    in_simulation!(is_here());
    false
}

/// A random number for the order of the ready tasks, if a simulated host does not run them in the order of their wakes.
#[cfg(feature = "sim")]
#[inline]
pub fn task_order() -> Option<u64> {
    in_simulation!(task_order());
    None
}

/// Checks that no simulated host is current. For calls that a simulation does not have, and that do not pass a function of this
/// module: child processes, signals, threads.
///
/// # Errors
///
/// `Unsupported` in a simulated host. `what` names the missing feature.
#[inline(always)]
pub fn outside_of_simulation(what: &str) -> io::Result<()> {
    let _ = what;
    in_simulation!(refuse_here(what));
    Ok(())
}
