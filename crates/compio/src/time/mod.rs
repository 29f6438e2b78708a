//! Sleeps, timeouts and intervals.
//!
//! Times are [`std::time`]'s. The kernel hears of no timer but by how long a thread sleeps, so that
//! setting one and taking it back are cheap; one fires with the precision of such a sleep, some
//! 50 µs after its deadline on Linux, and later if a task does not yield.

mod interval;
mod sleep;
mod timeout;

pub use std::time::{Duration, Instant};

pub use self::{
    interval::{Interval, MissedTickBehavior, interval, interval_at},
    sleep::{Sleep, sleep, sleep_until},
    timeout::{Elapsed, Timeout, timeout, timeout_at},
};

/// Where a deadline lies beyond what an [`Instant`] can say: that is never.
fn far_future(now: Instant) -> Instant {
    // 30 years.
    now + Duration::from_secs(86_400 * 365 * 30)
}

fn after(duration: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(duration).unwrap_or_else(|| far_future(now))
}
