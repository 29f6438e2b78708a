//! The time of the loop, for records of tasks and operations.
//!
//! A reading of the clock costs as much as a short operation. So the loop reads it after each turn that was allowed to wait,
//! and otherwise after each sixteenth turn: that is the granularity of the times.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use compio_driver::os_calls::clock;

/// The number of turns without a wait after which the clock is read.
const TURNS: u32 = 16;

pub(super) struct LoopClock {
    /// The time zero.
    epoch: Instant,
    /// The turns since the last reading.
    turns: Cell<u32>,
}

impl LoopClock {
    pub(super) fn new() -> Self {
        Self {
            epoch: clock::now(),
            turns: Cell::new(0),
        }
    }

    pub(super) fn epoch(&self) -> Instant {
        self.epoch
    }

    /// Counts a turn without a wait. Returns whether to read the clock.
    pub(super) fn is_due(&self) -> bool {
        self.turns.set(self.turns.get() + 1);
        self.turns.get() >= TURNS
    }

    /// Takes a reading of the clock. Returns the time since `epoch`.
    pub(super) fn set(&self, now: Instant) -> Duration {
        self.turns.set(0);
        now.saturating_duration_since(self.epoch)
    }
}
