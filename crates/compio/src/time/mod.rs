//! Sleeps, timeouts and intervals.
//!
//! Times are [`std::time`]'s. Timers exist only in user space: the kernel knows just the time limit
//! of a thread's wait, so setting and removing one are cheap. A timer never fires early. It fires
//! with the precision of a sleep, some 50 µs on Linux, or when a busy task yields. It fires later if
//! other timers are due soon after it: by up to a sixteenth of its time and at most by a
//! millisecond, so that many timers share one wake of the thread.
//!
//! # Time in tests
//!
//! With the feature `test-util`, `pause` stops the time of a runtime. It jumps to the next deadline when no task is ready, so
//! that hours pass in milliseconds. `advance` moves it, and `resume` continues it.
//!
//! All timers of this crate follow the clock of their runtime, and so do limits that are made of them, as those of
//! `compio-http`. [`now`] reads it. [`Instant::now`] reads the system's clock: it neither stops nor jumps, and
//! its difference from a paused time means nothing. A library that computes deadlines should call [`now`],
//! so that its users can test it in paused time. Without the feature, both are the same.
//!
//! # Platform differences
//!
//! On Windows, waits of less than 100 ms end by a high-resolution timer, within about a millisecond. Longer
//! waits, and all waits before Windows 10 1803, end with a tick of the system's clock: up to 15.6 ms late,
//! unless a program has requested a shorter tick by `timeBeginPeriod`.

mod interval;
#[cfg(feature = "test-util")]
mod pause;
mod sleep;
mod timeout;

pub use std::time::{Duration, Instant};

#[cfg(feature = "test-util")]
pub use self::pause::{advance, pause, resume};
pub use self::{
    interval::{Interval, MissedTickBehavior, interval, interval_at},
    sleep::{Sleep, sleep, sleep_until},
    timeout::{CancelAfter, Elapsed, Timeout, cancel_after, timeout, timeout_at},
};
use crate::runtime;

/// The time of the entered runtime's clock, which timers follow. Outside of a runtime, the system's.
///
/// It is [`Instant::now`], unless a test has paused the time of the runtime by `pause`, of the feature `test-util`.
///
/// ```
/// use std::time::Duration;
///
/// use compio::time;
///
/// compio::task::block_on(async {
///     let deadline = time::now() + Duration::from_millis(5);
///     time::sleep_until(deadline).await;
///     assert!(time::now() >= deadline);
/// });
/// ```
#[inline]
pub fn now() -> Instant {
    runtime::now()
}

/// A deadline that never comes, in the place of one that an [`Instant`] cannot represent.
#[cold]
fn far_future(now: Instant) -> Instant {
    // 30 years.
    now + Duration::from_secs(86_400 * 365 * 30)
}

#[inline]
fn after(duration: Duration) -> Instant {
    let now = now();
    now.checked_add(duration).unwrap_or_else(|| far_future(now))
}
