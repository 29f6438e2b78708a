//! Periodic ticks.

use super::{Duration, Instant, Sleep, far_future, now};

/// Ticks every `period`, for the first time at once.
///
/// # Panics
///
/// If `period` is zero.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// compio::task::block_on(async {
///     let begin = Instant::now();
///     let mut interval = compio::time::interval(Duration::from_millis(5));
///     for _ in 0..3 {
///         interval.tick().await;
///     }
///     assert!(begin.elapsed() >= Duration::from_millis(10));
/// });
/// ```
#[cfg_attr(feature = "tracing", track_caller)]
pub fn interval(period: Duration) -> Interval {
    interval_at(now(), period)
}

/// Ticks every `period`, for the first time at `start`.
///
/// # Panics
///
/// If `period` is zero.
#[cfg_attr(feature = "tracing", track_caller)]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(!period.is_zero(), "the period of an interval is zero");
    Interval {
        period,
        missed: MissedTickBehavior::default(),
        sleep: Sleep::new("Interval", start),
    }
}

/// The behaviour of an [`Interval`] after missed ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissedTickBehavior {
    /// The missed ticks follow at once, one after the other, until the schedule is met again.
    #[default]
    Burst,
    /// The schedule restarts: the next tick comes one period after the late one.
    Delay,
    /// They are skipped: the next tick comes at the next time of the schedule.
    Skip,
}

/// A series of ticks, made by [`interval`] and [`interval_at`].
#[derive(Debug)]
pub struct Interval {
    period: Duration,
    missed: MissedTickBehavior,
    sleep: Sleep,
}

impl Interval {
    /// Waits for the next tick, and returns when it was due.
    ///
    /// # Cancellation
    ///
    /// No tick is lost: the next call waits for the same one.
    pub async fn tick(&mut self) -> Instant {
        (&mut self.sleep).await;
        let due = self.sleep.deadline();
        let next = self.after(due, now());
        self.sleep.reset(next);
        due
    }

    /// The deadline of the tick after the one at `due`, at the time `now`.
    fn after(&self, due: Instant, now: Instant) -> Instant {
        let next = due.checked_add(self.period);
        let next = match self.missed {
            MissedTickBehavior::Burst => next,
            MissedTickBehavior::Delay | MissedTickBehavior::Skip
                if next.is_none_or(|next| next > now) =>
            {
                next
            }
            MissedTickBehavior::Delay => now.checked_add(self.period),
            MissedTickBehavior::Skip => {
                let late = now.duration_since(due).as_nanos() % self.period.as_nanos();
                // A remainder is shorter than the period, which is a `Duration`.
                let late =
                    Duration::new((late / 1_000_000_000) as u64, (late % 1_000_000_000) as u32);
                now.checked_add(self.period - late)
            }
        };
        next.unwrap_or_else(|| far_future(now))
    }

    /// The time between two ticks.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Restarts the schedule: the next tick comes one period from now.
    pub fn reset(&mut self) {
        self.sleep.reset(super::after(self.period));
    }

    /// The behaviour after missed ticks.
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed
    }

    /// Sets the behaviour after missed ticks.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed = behavior;
    }
}
