//! Fixtures of the tests: each exists once. Test binaries of all crates are the callers.
//!
//! Of the project, this crate knows the buffer traits only. Fixtures over a driver or a runtime are in
//! `tests/support/` of the crate that they test.

pub mod allocator;
pub mod buffer;
pub mod check;
pub mod future;
pub mod process;
pub mod random;
pub mod socket;
pub mod sys;
#[cfg(feature = "tls")]
pub mod tls;
pub mod waker;

use std::time::Duration;

/// A limit that only a hang exceeds, on a busy machine and under Wine, too.
pub const LONG: Duration = Duration::from_secs(120);
