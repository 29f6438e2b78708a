//! The system's clock, which no test pauses.

use std::{
    iter::{self, Empty},
    task::Waker,
    time::{Duration, Instant},
};

use compio_driver::os_calls::clock;

use crate::runtime::Inner;

/// The time for deadlines of the entered runtime.
#[inline(always)]
pub(crate) fn now() -> Instant {
    clock::now()
}

impl Inner {
    /// The time for deadlines.
    #[inline(always)]
    pub(crate) fn now(&self) -> Instant {
        clock::now()
    }

    /// The time for the records of tasks and operations. `now` is a reading of the clock of the timers.
    #[inline(always)]
    pub(in crate::runtime) fn time_of_records(&self, now: Option<Instant>) -> Instant {
        now.unwrap_or_else(clock::now)
    }

    /// Whether the clock is paused and the loop has no reason to wait.
    #[inline(always)]
    pub(in crate::runtime) fn skip_idle_time(&self, _is_woken: impl Fn() -> bool) -> bool {
        false
    }

    /// There are no advances without a pause.
    #[inline(always)]
    pub(in crate::runtime) fn end_advances(&self) -> Empty<Waker> {
        iter::empty()
    }

    /// The longest wait of the loop, if the clock is paused.
    #[inline(always)]
    pub(in crate::runtime) fn paused_wait(&self) -> Option<Option<Duration>> {
        None
    }
}
