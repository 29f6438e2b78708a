//! The timers of one runtime: a heap of deadlines, beside the wakers that they concern.
//!
//! Timers are set far more often than they fire, so that taking one back must be cheap: its waker
//! goes, its deadline stays in the heap until it comes up or until more than half of the heap is
//! such dead wood.

#![cfg_attr(
    not(feature = "time"),
    expect(dead_code, reason = "only `time` sets timers")
)]

use std::{cmp::Reverse, collections::BinaryHeap, mem, task::Waker, time::Instant};

use slab::Slab;

use super::Inner;

/// Dead wood that is not worth a sweep.
const DEAD_FREE: usize = 64;

/// Names one timer for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerKey {
    /// Grows with each timer: among equal deadlines, the older fires first.
    number: u64,
    slot: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Timers {
    deadlines: BinaryHeap<Reverse<(Instant, TimerKey)>>,
    live: Slab<(u64, Waker)>,
    next_number: u64,
    /// Empty; kept for its memory.
    spare: Vec<Waker>,
}

impl Timers {
    pub(crate) fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    pub(crate) fn insert(&mut self, deadline: Instant, waker: Waker) -> TimerKey {
        let number = self.next_number;
        self.next_number += 1;
        let slot = self.live.insert((number, waker));
        let key = TimerKey { number, slot };
        self.deadlines.push(Reverse((deadline, key)));
        key
    }

    /// The waker of a timer that has neither fired nor been taken back.
    pub(crate) fn get(&self, key: TimerKey) -> Option<&Waker> {
        let (number, waker) = self.live.get(key.slot)?;
        (*number == key.number).then_some(waker)
    }

    /// Exchanges the waker; returns the one to be dropped.
    pub(crate) fn replace(&mut self, key: TimerKey, waker: Waker) -> Waker {
        match self.live.get_mut(key.slot) {
            Some((number, known)) if *number == key.number => mem::replace(known, waker),
            Some(_) | None => waker,
        }
    }

    /// Takes a timer back; returns its waker, unless it has fired.
    pub(crate) fn remove(&mut self, key: TimerKey) -> Option<Waker> {
        self.get(key)?;
        let (_, waker) = self.live.remove(key.slot);
        if self.deadlines.len() > 2 * self.live.len() + DEAD_FREE {
            let live = &self.live;
            self.deadlines
                .retain(|Reverse((_, key))| is_live(live, *key));
        }
        Some(waker)
    }

    /// When the next timer is to fire.
    pub(crate) fn next_deadline(&mut self) -> Option<Instant> {
        loop {
            let Reverse((deadline, key)) = *self.deadlines.peek()?;
            if is_live(&self.live, key) {
                return Some(deadline);
            }
            self.deadlines.pop();
        }
    }

    /// The wakers of all timers that are due, in the order of their deadlines. They have fired.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<Waker> {
        let mut due = mem::take(&mut self.spare);
        while let Some(deadline) = self.next_deadline()
            && deadline <= now
        {
            if let Some(Reverse((_, key))) = self.deadlines.pop() {
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
}

/// Timers as `time` uses them: no waker is cloned or dropped while they are borrowed.
impl Inner {
    /// Wakes `waker` at `deadline`, unless it is taken back.
    pub(crate) fn set_timer(&self, deadline: Instant, waker: Waker) -> TimerKey {
        self.timers.borrow_mut().insert(deadline, waker)
    }

    /// Whether the timer has yet to fire; then it shall wake this waker.
    pub(crate) fn renew_timer(&self, key: TimerKey, waker: &Waker) -> bool {
        let known = match self.timers.borrow().get(key) {
            None => return false,
            Some(known) => known.will_wake(waker),
        };
        if !known {
            // Cloned and dropped outside: both run code of the waker's maker.
            let waker = waker.clone();
            let old = self.timers.borrow_mut().replace(key, waker);
            drop(old);
        }
        true
    }

    pub(crate) fn clear_timer(&self, key: TimerKey) {
        let waker = self.timers.borrow_mut().remove(key);
        drop(waker);
    }
}

fn is_live(live: &Slab<(u64, Waker)>, key: TimerKey) -> bool {
    live.get(key.slot)
        .is_some_and(|(number, _)| *number == key.number)
}

#[cfg(test)]
mod tests;
