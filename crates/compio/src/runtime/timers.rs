//! The timers of one runtime: a heap of deadlines, beside the wakers that they concern.
//!
//! Timers are set far more often than they fire, so that taking one back must be cheap: its waker
//! goes, its deadline stays in the heap until it comes up or until more than half of the heap is
//! such dead wood.
//!
//! A timer fires at the next full grain of time behind its deadline, so that many of them share one
//! wake of the thread. The grain is a small part of how long the timer runs.

#![cfg_attr(
    not(feature = "time"),
    expect(dead_code, reason = "only `time` sets timers")
)]

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    mem,
    task::Waker,
    time::{Duration, Instant},
};

use slab::Slab;

use super::Inner;

/// Dead wood that is not worth a sweep.
const DEAD_FREE: usize = 64;

/// The coarsest grain, as a power of two in nanoseconds: about a millisecond.
const GRAIN_MAX_BITS: u32 = 20;

/// A timer may fire later by this part of its time, as a power of two: a sixteenth.
const GRAIN_PART_BITS: u32 = 4;

/// Names one timer for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerKey {
    /// Grows with each timer: among equal deadlines, the older fires first.
    number: u64,
    slot: usize,
}

/// Nanoseconds since the timers' epoch.
type Nanos = u64;

#[derive(Debug)]
pub(crate) struct Timers {
    epoch: Instant,
    /// When each fires, and its deadline, which decides the order of those that fire together.
    deadlines: BinaryHeap<Reverse<(Nanos, Nanos, TimerKey)>>,
    live: Slab<(u64, Waker)>,
    next_number: u64,
    /// Empty; kept for its memory.
    spare: Vec<Waker>,
}

impl Timers {
    pub(crate) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            deadlines: BinaryHeap::new(),
            live: Slab::new(),
            next_number: 0,
            spare: Vec::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    pub(crate) fn insert(&mut self, deadline: Instant, now: Instant, waker: Waker) -> TimerKey {
        let number = self.next_number;
        self.next_number += 1;
        let slot = self.live.insert((number, waker));
        let key = TimerKey { number, slot };
        let (deadline, now) = (self.nanos(deadline), self.nanos(now));
        let fires = round_up(deadline, grain_bits(deadline.saturating_sub(now)));
        self.deadlines.push(Reverse((fires, deadline, key)));
        key
    }

    /// The waker of a timer that has neither fired nor been taken back.
    pub(crate) fn get(&self, key: TimerKey) -> Option<&Waker> {
        let (number, waker) = self.live.get(key.slot)?;
        (*number == key.number).then_some(waker)
    }

    /// Exchanges the waker; returns the one to be dropped, which is the given one if the timer has
    /// fired or been taken back.
    pub(crate) fn replace(&mut self, key: TimerKey, waker: Waker) -> Result<Waker, Waker> {
        match self.live.get_mut(key.slot) {
            Some((number, known)) if *number == key.number => Ok(mem::replace(known, waker)),
            Some(_) | None => Err(waker),
        }
    }

    /// Takes a timer back; returns its waker, unless it has fired.
    pub(crate) fn remove(&mut self, key: TimerKey) -> Option<Waker> {
        self.get(key)?;
        let (_, waker) = self.live.remove(key.slot);
        if self.deadlines.len() > 2 * self.live.len() + DEAD_FREE {
            let live = &self.live;
            self.deadlines
                .retain(|Reverse((_, _, key))| is_live(live, *key));
        }
        Some(waker)
    }

    /// When the next timer fires.
    pub(crate) fn next(&mut self) -> Option<Instant> {
        let fires = self.next_nanos()?;
        self.epoch.checked_add(Duration::from_nanos(fires))
    }

    fn next_nanos(&mut self) -> Option<Nanos> {
        loop {
            let Reverse((fires, _, key)) = *self.deadlines.peek()?;
            if is_live(&self.live, key) {
                return Some(fires);
            }
            self.deadlines.pop();
        }
    }

    /// The wakers of all timers that are due, in order. They have fired.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<Waker> {
        let now = self.nanos(now);
        let mut due = mem::take(&mut self.spare);
        while let Some(fires) = self.next_nanos()
            && fires <= now
        {
            if let Some(Reverse((_, _, key))) = self.deadlines.pop() {
                due.push(self.live.remove(key.slot).1);
            }
        }
        due
    }

    /// Takes back the emptied list of [`take_due`](Self::take_due).
    pub(crate) fn give_back(&mut self, list: Vec<Waker>) {
        debug_assert!(list.is_empty());
        self.spare = list;
    }

    /// Takes all timers back; returns their wakers.
    pub(crate) fn clear(&mut self) -> Slab<(u64, Waker)> {
        self.deadlines.clear();
        mem::take(&mut self.live)
    }

    /// What lies before the epoch is due anyway; what lies 500 years behind it never is.
    fn nanos(&self, instant: Instant) -> Nanos {
        let since = instant.saturating_duration_since(self.epoch);
        Nanos::try_from(since.as_nanos()).unwrap_or(Nanos::MAX)
    }
}

/// The grain of a timer that runs this long.
fn grain_bits(run: Nanos) -> u32 {
    run.checked_ilog2()
        .map_or(0, |bits| bits.saturating_sub(GRAIN_PART_BITS))
        .min(GRAIN_MAX_BITS)
}

fn round_up(time: Nanos, bits: u32) -> Nanos {
    let rest = (1 << bits) - 1;
    time.saturating_add(rest) & !rest
}

/// Timers as `time` uses them: no waker is cloned or dropped while they are borrowed.
impl Inner {
    /// Wakes `waker` at `deadline`, unless it is taken back.
    pub(crate) fn set_timer(&self, deadline: Instant, now: Instant, waker: Waker) -> TimerKey {
        self.timers.borrow_mut().insert(deadline, now, waker)
    }

    /// Whether the timer has yet to fire; then it shall wake this waker.
    pub(crate) fn renew_timer(&self, key: TimerKey, waker: &Waker) -> bool {
        let known = match self.timers.borrow().get(key) {
            None => return false,
            Some(known) => known.will_wake(waker),
        };
        if known {
            return true;
        }
        // Cloned and dropped outside: both run code of the waker's maker, which may fire the timer.
        let waker = waker.clone();
        let replaced = self.timers.borrow_mut().replace(key, waker);
        replaced.is_ok()
    }

    /// Takes a timer back; returns its waker, unless it has fired.
    pub(crate) fn take_timer(&self, key: TimerKey) -> Option<Waker> {
        self.timers.borrow_mut().remove(key)
    }
}

fn is_live(live: &Slab<(u64, Waker)>, key: TimerKey) -> bool {
    live.get(key.slot)
        .is_some_and(|(number, _)| *number == key.number)
}

#[cfg(test)]
mod tests;
