//! How long a thread looks for news before it sleeps.
//!
//! Sleeping and being woken costs some 20 µs; where news tends to come sooner, looking for it is
//! cheaper. The budget is what recent waits would have needed, and falls to nothing where they
//! were long: an idle program sleeps.

use std::{
    hint,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

/// Whether a thread with nothing to do looks for news before it sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SpinPolicy {
    /// It sleeps at once.
    Off,
    /// It looks for as long as recent waits took, if that was short, and at most
    /// [`SPIN_MAX`]; and not at all where more drivers live in this process than it has
    /// processors.
    #[default]
    Adaptive,
    /// It looks for [`SPIN_MAX`], each time.
    Always,
}

/// The longest that a thread looks for news before it sleeps.
pub const SPIN_MAX: Duration = Duration::from_micros(50);

/// Below this a budget is none: one look costs about as much.
const SPIN_MIN: Duration = Duration::from_micros(1);

/// How many drivers there are in this process.
static DRIVERS: AtomicUsize = AtomicUsize::new(0);

pub(crate) struct Spin {
    policy: SpinPolicy,
    budget: Duration,
    processors: usize,
}

impl Spin {
    pub(crate) fn new(policy: SpinPolicy) -> Self {
        // Relaxed: only a count.
        DRIVERS.fetch_add(1, Relaxed);
        Self {
            policy,
            budget: match policy {
                SpinPolicy::Off | SpinPolicy::Adaptive => Duration::ZERO,
                SpinPolicy::Always => SPIN_MAX,
            },
            processors: thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// A wait begins.
    pub(crate) fn start(&self, timeout: Option<Duration>) -> Watch {
        // Relaxed: only a count.
        let crowded = DRIVERS.load(Relaxed) > self.processors;
        let budget = match self.policy {
            SpinPolicy::Off => Duration::ZERO,
            SpinPolicy::Adaptive if crowded => Duration::ZERO,
            SpinPolicy::Adaptive | SpinPolicy::Always => self.budget,
        };
        Watch {
            // An untimed wait that will not spin and learns nothing needs no clock.
            began: (self.policy == SpinPolicy::Adaptive || !budget.is_zero() || timeout.is_some())
                .then(Instant::now),
            budget: budget.min(timeout.unwrap_or(Duration::MAX)),
            timeout,
            looks: 0,
        }
    }

    /// The wait is over. A short one asks for a budget of twice its length, a long one halves it.
    pub(crate) fn learn(&mut self, watch: &Watch) {
        if self.policy != SpinPolicy::Adaptive {
            return;
        }
        let waited = watch.elapsed();
        // What ends with the timeout would not have come sooner for being looked for.
        let timed_out = watch.timeout.is_some_and(|timeout| waited >= timeout);
        self.budget = if waited <= SPIN_MAX && !timed_out {
            self.budget.max(waited * 2).min(SPIN_MAX)
        } else {
            self.budget / 2
        };
        if self.budget < SPIN_MIN {
            self.budget = Duration::ZERO;
        }
    }
}

impl Drop for Spin {
    fn drop(&mut self) {
        // Relaxed: only a count.
        DRIVERS.fetch_sub(1, Relaxed);
    }
}

/// One wait.
pub(crate) struct Watch {
    began: Option<Instant>,
    budget: Duration,
    timeout: Option<Duration>,
    looks: u32,
}

impl Watch {
    pub(crate) fn may_spin(&self) -> bool {
        !self.budget.is_zero()
    }

    /// Waits a moment; whether to look again. The clock is read at every 16th look.
    pub(crate) fn spin(&mut self) -> bool {
        hint::spin_loop();
        self.looks = self.looks.wrapping_add(1);
        !self.looks.is_multiple_of(16) || self.elapsed() < self.budget
    }

    /// What is left of `timeout` for the sleep.
    pub(crate) fn remaining(&self, timeout: Duration) -> Duration {
        if self.looks == 0 {
            return timeout;
        }
        timeout.saturating_sub(self.elapsed())
    }

    fn elapsed(&self) -> Duration {
        self.began.map_or(Duration::ZERO, |began| began.elapsed())
    }
}
