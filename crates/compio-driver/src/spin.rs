//! How long a thread looks for news before it sleeps.
//!
//! Sleeping and being woken costs some 20 µs; where news tends to come sooner, looking for it is
//! cheaper. The budget is what recent waits would have needed, and falls to nothing where they
//! were long: an idle program sleeps. Where others want the processor, looking is no use either: it
//! eats up what the scheduler grants this thread, and whoever is waited for may stand behind it.

use std::{
    hint,
    time::{Duration, Instant},
};

use crate::crowd::Place;

/// Whether a thread with nothing to do looks for news before it sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SpinPolicy {
    /// It sleeps at once.
    Off,
    /// It looks for as long as recent waits took, if that was short, and at most
    /// [`SPIN_MAX`]; and not at all where more drivers live in this process than there are
    /// processors for them, or where others have just wanted the processor.
    #[default]
    Adaptive,
    /// It looks for [`SPIN_MAX`], each time.
    Always,
}

/// The longest that a thread looks for news before it sleeps.
pub const SPIN_MAX: Duration = Duration::from_micros(50);

/// Below this a budget is none: one look costs about as much.
const SPIN_MIN: Duration = Duration::from_micros(1);

/// A gap of this length between two looks was no look: the thread was not running.
const GAP: Duration = Duration::from_micros(100);

/// How long a thread sleeps at once after it was kept from looking by others: this long at first, and
/// twice as long each time that it was too short.
const REST: Duration = Duration::from_millis(100);

/// The longest rest.
const REST_MAX: Duration = Duration::from_secs(5);

pub(crate) struct Spin {
    policy: SpinPolicy,
    budget: Duration,
    place: Place,
    /// Until then others want the processor.
    rest_until: Option<Instant>,
    /// How long the last rest was.
    rest: Duration,
}

impl Spin {
    pub(crate) fn new(policy: SpinPolicy) -> Self {
        Self {
            policy,
            budget: match policy {
                SpinPolicy::Off | SpinPolicy::Adaptive => Duration::ZERO,
                SpinPolicy::Always => SPIN_MAX,
            },
            place: Place::take(),
            rest_until: None,
            rest: Duration::ZERO,
        }
    }

    /// Whether a wait might begin with a look, as far as that can be told without a clock.
    pub(crate) fn may_look(&self) -> bool {
        !self.budget.is_zero()
    }

    /// A wait begins.
    pub(crate) fn start(&mut self, timeout: Option<Duration>) -> Watch {
        // An untimed wait that will not spin and learns nothing needs no clock.
        let began = (self.policy != SpinPolicy::Off || timeout.is_some()).then(Instant::now);
        let budget = match self.policy {
            SpinPolicy::Off => Duration::ZERO,
            SpinPolicy::Adaptive if self.rest_until > began || self.place.is_crowded() => {
                Duration::ZERO
            }
            SpinPolicy::Adaptive | SpinPolicy::Always => self.budget,
        };
        Watch {
            began,
            budget: budget.min(timeout.unwrap_or(Duration::MAX)),
            timeout,
            looks: 0,
            seen: None,
            was_kept: false,
            is_over: false,
        }
    }

    /// The wait is over. A short one asks for a budget of twice its length, a long one halves it.
    pub(crate) fn learn(&mut self, watch: &Watch) {
        if self.policy != SpinPolicy::Adaptive {
            return;
        }
        let waited = watch.elapsed();
        if watch.was_kept_until(waited) {
            self.rest(watch, waited);
            return;
        }
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

    #[cold]
    fn rest(&mut self, watch: &Watch, waited: Duration) {
        let Some(began) = watch.began else { return };
        let is_soon = self.rest_until.is_some_and(|end| began < end + self.rest);
        self.rest = if is_soon {
            (self.rest * 2).min(REST_MAX)
        } else {
            REST
        };
        self.rest_until = Some(began + waited + self.rest);
        self.budget = Duration::ZERO;
    }
}

/// One wait.
pub(crate) struct Watch {
    began: Option<Instant>,
    budget: Duration,
    timeout: Option<Duration>,
    looks: u32,
    /// When the clock was read last, while looking.
    seen: Option<Duration>,
    /// Whether others had the processor between two looks.
    was_kept: bool,
    /// Whether there are no more looks.
    is_over: bool,
}

impl Watch {
    pub(crate) fn may_spin(&self) -> bool {
        !self.budget.is_zero()
    }

    /// Waits a moment; whether to look again. The clock is read at every 16th look.
    pub(crate) fn spin(&mut self) -> bool {
        hint::spin_loop();
        self.looks = self.looks.wrapping_add(1);
        if !self.looks.is_multiple_of(16) && self.looks != 1 {
            return true;
        }
        let elapsed = self.elapsed();
        self.was_kept = self.was_kept_until(elapsed);
        self.seen = Some(elapsed);
        self.is_over = self.was_kept || elapsed >= self.budget;
        !self.is_over
    }

    /// Something else than the end of the budget ends the looking.
    #[allow(dead_code, reason = "not every backend has another reason")]
    pub(crate) fn stop(&mut self) {
        self.is_over = true;
    }

    /// Whether others had the processor, if the clock says this and the last look was just now.
    fn was_kept_until(&self, elapsed: Duration) -> bool {
        // A clock may go back, where the system or the machine has errors.
        let gap = elapsed.saturating_sub(self.seen.unwrap_or(elapsed));
        self.was_kept || (!self.is_over && gap > GAP)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A spin with the largest budget.
    fn eager() -> Spin {
        let mut spin = Spin::new(SpinPolicy::Adaptive);
        // As many drivers as other tests have: this one is not crowded.
        spin.place = Place::roomy();
        spin.budget = SPIN_MAX;
        spin
    }

    /// A wait that began so long ago, and saw the clock for the last time after `seen`.
    fn watch(spin: &mut Spin, ago: Duration, seen: Duration) -> Watch {
        let mut watch = spin.start(None);
        watch.began = Some(Instant::now() - ago);
        watch.seen = Some(seen);
        watch
    }

    #[test]
    fn whoever_was_kept_from_looking_rests_longer_each_time() {
        let mut spin = eager();
        for rest in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let kept = watch(&mut spin, GAP * 3, GAP);
            spin.learn(&kept);
            assert_eq!(spin.rest, Duration::from_millis(rest));
            spin.budget = SPIN_MAX;
            assert!(!spin.start(None).may_spin());
        }
        // Long afterwards it is as if there had been none.
        spin.rest_until = Some(Instant::now() - REST_MAX * 2);
        assert!(spin.start(None).may_spin());
        let kept = watch(&mut spin, GAP * 3, GAP);
        spin.learn(&kept);
        assert_eq!(spin.rest, REST);
    }

    #[test]
    fn a_sleep_is_no_gap_between_looks() {
        let mut spin = eager();
        let mut slept = watch(&mut spin, SPIN_MAX * 100, GAP);
        slept.stop();
        spin.learn(&slept);
        assert_eq!(spin.rest, Duration::ZERO);
        assert_eq!(spin.budget, SPIN_MAX / 2);
    }

    #[test]
    fn a_clock_that_goes_back_shows_no_gap() {
        let mut spin = eager();
        let watch = watch(&mut spin, Duration::ZERO, SPIN_MAX * 1000);
        spin.learn(&watch);
        assert_eq!(spin.rest, Duration::ZERO);
    }
}
