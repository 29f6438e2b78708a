//! The timers of a runtime.
//!
//! Timers are set far more often than they fire. So setting and removing one are both cheap: see
//! [`Wheels`].
//!
//! A timer fires when its deadline has passed and the thread is awake. The thread continues to sleep
//! for a small part of a timer's time, if other timers are due by then: many timers share one wake.

#![cfg_attr(
    not(feature = "time"),
    expect(dead_code, reason = "only `time` sets timers")
)]

mod wheel;

use std::{
    mem,
    task::Waker,
    time::{Duration, Instant},
};

use compio_driver::os_calls::clock;

pub(crate) use self::wheel::TimerKey;
use self::wheel::{Nanos, Wheels};
use super::Inner;

/// The maximum delay of a timer behind its deadline, in nanoseconds: about a millisecond.
const LATE_MAX: u32 = 1 << 20;

/// The maximum delay as a part of its time.
const LATE_PART: u64 = 16;

/// The number of wakers for which an emptied list keeps memory.
const KEPT: usize = 1024;

#[derive(Debug)]
pub(crate) struct Timers {
    epoch: Instant,
    /// The last reading of the clock.
    seen: Instant,
    wheels: Wheels,
    /// Empty; kept for its memory.
    wakers: Vec<Waker>,
}

impl Timers {
    pub(crate) fn new() -> Self {
        let epoch = clock::now();
        Self {
            epoch,
            seen: epoch,
            wheels: Wheels::new(),
            wakers: Vec::new(),
        }
    }

    /// The number of timers.
    pub(crate) fn len(&self) -> usize {
        self.wheels.alive()
    }

    /// Tag and deadline of each timer, in no order.
    pub(crate) fn records(&self) -> impl Iterator<Item = (u32, Instant)> {
        let records = self.wheels.records();
        records.filter_map(|(tag, nanos)| {
            let deadline = self.epoch.checked_add(Duration::from_nanos(nanos))?;
            Some((tag, deadline))
        })
    }

    pub(crate) fn insert(
        &mut self,
        deadline: Instant,
        now: Instant,
        waker: Waker,
        tag: u32,
    ) -> TimerKey {
        let (deadline, now) = (self.nanos(deadline), self.nanos(now));
        let late_max = late_max(deadline.saturating_sub(now));
        self.wheels.insert(deadline, late_max, waker, tag)
    }

    /// The waker of a timer that has neither fired nor been removed.
    pub(crate) fn get(&self, key: TimerKey) -> Option<&Waker> {
        self.wheels.get(key)
    }

    /// Replaces the waker; returns the one to drop, which is the given one if the timer has fired
    /// or been removed.
    pub(crate) fn replace(
        &mut self,
        key: TimerKey,
        waker: Waker,
        tag: u32,
    ) -> Result<Waker, Waker> {
        self.wheels.replace(key, waker, tag)
    }

    /// Moves the deadline of a timer that has neither fired nor been removed. Its waker and its tag stay.
    pub(crate) fn reset(
        &mut self,
        key: TimerKey,
        deadline: Instant,
        now: Instant,
    ) -> Option<TimerKey> {
        let tag = self.wheels.tag(key)?;
        let waker = self.wheels.remove(key)?;
        Some(self.insert(deadline, now, waker, tag))
    }

    /// Removes a timer; returns its waker, unless it has fired.
    pub(crate) fn remove(&mut self, key: TimerKey) -> Option<Waker> {
        self.wheels.remove(key)
    }

    /// The time of the next check for due timers.
    pub(crate) fn next(&mut self) -> Option<Instant> {
        let next = self.wheels.next()?;
        self.epoch.checked_add(Duration::from_nanos(next))
    }

    /// The earliest deadline. A wake at [`next`](Self::next) may be later, as it serves several timers.
    #[cfg(any(feature = "sim", feature = "test-util"))]
    pub(crate) fn first_deadline(&self) -> Option<Instant> {
        let first = self.wheels.first_deadline()?;
        self.epoch.checked_add(Duration::from_nanos(first))
    }

    /// Takes the wakers of all due timers, in order. These timers have fired.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<Waker> {
        self.seen = now;
        let mut wakers = mem::take(&mut self.wakers);
        self.wheels.take(self.nanos(now), &mut wakers);
        wakers
    }

    /// Returns the emptied list of [`take_due`](Self::take_due).
    pub(crate) fn give_back(&mut self, mut list: Vec<Waker>) {
        debug_assert!(list.is_empty());
        list.shrink_to(KEPT);
        self.wakers = list;
    }

    /// Removes all timers; returns their wakers.
    pub(crate) fn clear(&mut self) -> impl Iterator<Item = Waker> + use<> {
        self.wheels.clear()
    }

    /// Whether timers of this instant can be due.
    #[cfg(feature = "test-util")]
    pub(crate) fn can_represent(&self, instant: Instant) -> bool {
        self.nanos(instant) < Nanos::MAX
    }

    /// Nanoseconds since the epoch. Instants before it are due, instants after 500 years are never
    /// due.
    fn nanos(&self, instant: Instant) -> Nanos {
        let since = instant.saturating_duration_since(self.epoch);
        since
            .as_secs()
            .checked_mul(1_000_000_000)
            .and_then(|nanos| nanos.checked_add(since.subsec_nanos().into()))
            .unwrap_or(Nanos::MAX)
    }
}

/// How late a timer of this duration may fire.
fn late_max(run: Nanos) -> u32 {
    u32::try_from(run / LATE_PART).map_or(LATE_MAX, |part| part.min(LATE_MAX))
}

/// Timers for `time`: no waker is cloned or dropped while the timers are borrowed.
impl Inner {
    /// Wakes `waker` at `deadline`, unless the timer is removed.
    pub(crate) fn set_timer(&self, deadline: Instant, now: Instant, waker: Waker) -> TimerKey {
        self.wake_outer();
        let tag = self.tag();
        self.timers.borrow_mut().insert(deadline, now, waker, tag)
    }

    /// Moves the deadline of a timer, for the task that waits for it. `None` if it has fired or been removed.
    pub(crate) fn reset_timer(&self, key: TimerKey, deadline: Instant) -> Option<TimerKey> {
        self.wake_outer();
        // Moves the waker, and runs no code of it.
        let now = self.now();
        self.timers.borrow_mut().reset(key, deadline, now)
    }

    /// Whether the timer is pending. If so, `waker` replaces its waker.
    pub(crate) fn renew_timer(&self, key: TimerKey, waker: &Waker) -> bool {
        let known = match self.timers.borrow().get(key) {
            None => return false,
            Some(known) => known.will_wake(waker),
        };
        if known {
            return true;
        }
        // Cloned and dropped outside: both run user code (the waker's vtable), which may fire the
        // timer.
        let waker = waker.clone();
        let tag = self.tag();
        let replaced = self.timers.borrow_mut().replace(key, waker, tag);
        replaced.is_ok()
    }

    /// Whether a reading of the clock has reached it. `false` proves nothing.
    pub(crate) fn has_seen(&self, deadline: Instant) -> bool {
        deadline <= self.timers.borrow().seen
    }

    /// Removes a timer; returns its waker, unless it has fired.
    pub(crate) fn take_timer(&self, key: TimerKey) -> Option<Waker> {
        self.timers.borrow_mut().remove(key)
    }
}

#[cfg(test)]
mod tests;
