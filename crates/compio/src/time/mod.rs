//! Sleeps, timeouts and intervals.
//!
//! Times are [`std::time`]'s. Timers exist only in user space: the kernel knows just the time limit
//! of a thread's wait, so setting and removing one are cheap. A timer never fires early. It fires
//! with the precision of a sleep, some 50 µs on Linux, or when a busy task yields. It fires later if
//! other timers are due soon after it: by up to a sixteenth of its time and at most by a
//! millisecond, so that many timers share one wake of the thread.
//!
//! # Platform differences
//!
//! On Windows, waits of less than 100 ms end by a high-resolution timer, within about a millisecond. Longer
//! waits, and all waits before Windows 10 1803, end with a tick of the system's clock: up to 15.6 ms late,
//! unless a program has requested a shorter tick by `timeBeginPeriod`.

mod interval;
mod sleep;
mod timeout;

pub use std::time::{Duration, Instant};

use compio_driver::os_calls::clock;

pub use self::{
    interval::{Interval, MissedTickBehavior, interval, interval_at},
    sleep::{Sleep, sleep, sleep_until},
    timeout::{CancelAfter, Elapsed, Timeout, cancel_after, timeout, timeout_at},
};

/// A deadline that never comes, in the place of one that an [`Instant`] cannot represent.
#[cold]
fn far_future(now: Instant) -> Instant {
    // 30 years.
    now + Duration::from_secs(86_400 * 365 * 30)
}

#[inline]
fn after(duration: Duration) -> Instant {
    let now = clock::now();
    now.checked_add(duration).unwrap_or_else(|| far_future(now))
}
