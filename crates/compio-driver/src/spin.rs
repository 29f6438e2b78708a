//! How long a thread looks for news before it sleeps.
//!
//! Sleeping and being woken costs some 20 µs; where news tends to come sooner, looking for it is
//! cheaper. The budget is what recent looking would have needed, and falls to nothing where it was
//! in vain: an idle program sleeps. Where others want the processor, looking is no use either: it
//! eats up what the scheduler grants this thread, and whoever is waited for may stand behind it.
//!
//! Two that wait for each other and both sleep wait long: for two wake-ups. Neither can tell from its
//! waits that they would be short if it looked. So it tries now and then, and less often each time
//! that it was in vain: see [`Spin::learn`].

use std::{
    hint, mem,
    time::{Duration, Instant},
};

use crate::oversubscription::CpuShare;

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

/// Of waits up to this length it may be that they were short had the thread looked for news, and not
/// slept: its own wake-up is part of them, and so may be another's, which slept as well.
const AMBIGUOUS_WAIT_MAX: Duration = SPIN_MAX.saturating_mul(4);

/// How long a thread must have waited in such waits, since it last tried whether looking helps, to try
/// it once more.
const PROBE_INTERVAL: Duration = Duration::from_millis(5);

/// How long it must have waited since a try, in such waits or shorter ones, if that has failed: this
/// long after the first one, and twice as long after each that follows.
const PROBE_BACKOFF: Duration = Duration::from_micros(100);

/// More failures than this count no more: it is tried every 0.8 s of such waits.
const FAILURES_MAX: u32 = 14;

/// Below this a budget is none: one look costs about as much.
const SPIN_MIN: Duration = Duration::from_micros(1);

/// A gap of this length between two looks was no look: the thread was not running.
const PREEMPTION_GAP: Duration = Duration::from_micros(100);

/// How long a thread sleeps at once after it was kept from looking by others. Once is an accident.
const COOLDOWN_MIN: Duration = Duration::from_millis(10);

/// How long it does if it is kept again soon: this long at first, and twice as long each time that it
/// was too short.
const COOLDOWN: Duration = Duration::from_millis(100);

/// The longest rest.
const COOLDOWN_MAX: Duration = Duration::from_secs(5);

pub(crate) struct Spin {
    policy: SpinPolicy,
    budget: Duration,
    /// How long to look in the next wait, if more than the budget, to see whether that helps.
    trial: Duration,
    /// How long the thread has waited since the last trial.
    waited: Duration,
    /// How many looks were in vain, less those that found something.
    failures: u32,
    place: CpuShare,
    /// Until then others want the processor.
    cooldown_until: Option<Instant>,
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
            trial: Duration::ZERO,
            waited: Duration::ZERO,
            failures: 0,
            place: CpuShare::take(),
            cooldown_until: None,
            rest: Duration::ZERO,
        }
    }

    /// Whether a wait might begin with a look, as far as that can be told without a clock.
    #[allow(dead_code, reason = "not every backend submits before it looks")]
    pub(crate) fn may_look(&self) -> bool {
        !self.budget.max(self.trial).is_zero()
    }

    /// Whether others can run while this thread looks.
    #[allow(
        dead_code,
        reason = "not every backend has the kernel's threads work for it"
    )]
    pub(crate) fn has_processors_to_spare(&self) -> bool {
        self.place.processors() > 1
    }

    /// A wait begins.
    pub(crate) fn start(&mut self, timeout: Option<Duration>) -> SpinWait {
        // An untimed wait that will not spin and learns nothing needs no clock.
        let began = (self.policy != SpinPolicy::Off || timeout.is_some()).then(Instant::now);
        let trial = mem::take(&mut self.trial);
        let is_suppressed = self.cooldown_until > began || self.place.is_oversubscribed();
        let budget = match self.policy {
            SpinPolicy::Off => Duration::ZERO,
            SpinPolicy::Adaptive if is_suppressed => Duration::ZERO,
            SpinPolicy::Adaptive | SpinPolicy::Always => self.budget.max(trial),
        };
        SpinWait {
            began,
            budget: budget.min(timeout.unwrap_or(Duration::MAX)),
            is_suppressed,
            timeout,
            looks: 0,
            seen: None,
            was_preempted: false,
            is_over: false,
        }
    }

    /// The wait is over. What was found by looking confirms the budget; what was not halves it.
    ///
    /// A wait that was slept through says little about what looking would have done. The sleep itself
    /// may have made it long; or short, if whoever was waited for needed this thread's processor. So
    /// it asks only for a trial. The first is free; after a failure a program has to wait the longer
    /// for the next one, in short waits or doubtful ones alone, the more have failed. One that gains
    /// nothing by looking loses less than 1 ms in its first second of such waits, and 0.1 ms in each
    /// that follows; one whose waits are longer loses nothing.
    pub(crate) fn learn(&mut self, watch: &SpinWait) {
        if self.policy != SpinPolicy::Adaptive {
            return;
        }
        self.learn_from(watch, watch.elapsed());
    }

    fn learn_from(&mut self, watch: &SpinWait, waited: Duration) {
        if watch.was_preempted_until(waited) {
            self.rest(watch, waited);
            return;
        }
        if watch.has_found() {
            self.budget = watch.budget.max(waited * 2).min(SPIN_MAX);
            self.failures = self.failures.saturating_sub(1);
            self.waited = Duration::ZERO;
            return;
        }
        self.budget /= 2;
        if self.budget < SPIN_MIN {
            self.budget = Duration::ZERO;
        }
        self.note_failure(watch);
        // What ends with the timeout would not have come sooner for being looked for.
        let timed_out = watch.timeout.is_some_and(|timeout| waited >= timeout);
        if !timed_out && !watch.is_suppressed && waited <= AMBIGUOUS_WAIT_MAX {
            self.waited += waited;
            if self.waited >= self.price(waited) {
                self.waited = Duration::ZERO;
                self.trial = (waited * 2).clamp(SPIN_MIN, SPIN_MAX);
            }
        }
    }

    /// How long the thread must have waited for a trial, if it has just waited so long.
    fn price(&self, waited: Duration) -> Duration {
        let again = match self.failures {
            0 => Duration::ZERO,
            failures => PROBE_BACKOFF * (1 << (failures - 1)),
        };
        if waited <= SPIN_MAX {
            again
        } else {
            again.max(PROBE_INTERVAL)
        }
    }

    fn note_failure(&mut self, watch: &SpinWait) {
        if watch.looks > 0 {
            self.failures = (self.failures + 1).min(FAILURES_MAX);
        }
    }

    #[cold]
    fn rest(&mut self, watch: &SpinWait, waited: Duration) {
        let Some(began) = watch.began else { return };
        let soon = self.rest.max(COOLDOWN);
        let is_soon = self.cooldown_until.is_some_and(|end| began < end + soon);
        self.rest = if is_soon {
            (self.rest * 2).clamp(COOLDOWN, COOLDOWN_MAX)
        } else {
            COOLDOWN_MIN
        };
        self.cooldown_until = Some(began + waited + self.rest);
        self.budget = Duration::ZERO;
        self.note_failure(watch);
    }
}

/// One wait.
pub(crate) struct SpinWait {
    began: Option<Instant>,
    budget: Duration,
    /// Whether others need the processor.
    is_suppressed: bool,
    timeout: Option<Duration>,
    looks: u32,
    /// When the clock was read last, while looking.
    seen: Option<Duration>,
    /// Whether others had the processor between two looks.
    was_preempted: bool,
    /// Whether there are no more looks.
    is_over: bool,
}

impl SpinWait {
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
        self.was_preempted = self.was_preempted_until(elapsed);
        self.seen = Some(elapsed);
        self.is_over = self.was_preempted || elapsed >= self.budget;
        !self.is_over
    }

    /// Whether the wait has ended while the thread was looking.
    fn has_found(&self) -> bool {
        self.looks > 0 && !self.is_over
    }

    /// Something else than the end of the budget ends the looking.
    #[allow(dead_code, reason = "not every backend has another reason")]
    pub(crate) fn stop(&mut self) {
        self.is_over = true;
    }

    /// Whether others had the processor, if the clock says this and the last look was just now.
    fn was_preempted_until(&self, elapsed: Duration) -> bool {
        // A clock may go back, where the system or the machine has errors.
        let gap = elapsed.saturating_sub(self.seen.unwrap_or(elapsed));
        self.was_preempted || (!self.is_over && gap > PREEMPTION_GAP)
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
        spin.place = CpuShare::roomy();
        spin.budget = SPIN_MAX;
        spin
    }

    /// A wait that began so long ago, and saw the clock for the last time after `seen`.
    fn watch(spin: &mut Spin, ago: Duration, seen: Duration) -> SpinWait {
        let mut watch = spin.start(None);
        watch.began = Some(Instant::now() - ago);
        watch.seen = Some(seen);
        watch
    }

    #[test]
    fn whoever_was_kept_from_looking_rests_longer_each_time() {
        let mut spin = eager();
        for rest in [10, 100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let kept = watch(&mut spin, PREEMPTION_GAP * 3, PREEMPTION_GAP);
            spin.learn(&kept);
            assert_eq!(spin.rest, Duration::from_millis(rest));
            spin.budget = SPIN_MAX;
            assert!(!spin.start(None).may_spin());
        }
        // Long afterwards it is as if there had been none.
        spin.cooldown_until = Some(Instant::now() - COOLDOWN_MAX * 2);
        assert!(spin.start(None).may_spin());
        let kept = watch(&mut spin, PREEMPTION_GAP * 3, PREEMPTION_GAP);
        spin.learn(&kept);
        assert_eq!(spin.rest, COOLDOWN_MIN);
    }

    #[test]
    fn a_sleep_is_no_gap_between_looks() {
        let mut spin = eager();
        let mut slept = watch(&mut spin, SPIN_MAX * 100, PREEMPTION_GAP);
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

    /// One wait of a thread that finds news so soon if it looks, and so late if it sleeps, where it
    /// is known how long it has looked before. How long it has looked and waited.
    fn wait(
        spin: &mut Spin,
        by_looking: Duration,
        by_sleeping: impl Fn(Duration) -> Duration,
    ) -> (Duration, Duration) {
        let mut watch = spin.start(None);
        watch.looks = u32::from(watch.may_spin());
        watch.is_over = by_looking >= watch.budget;
        let looked = by_looking.min(watch.budget);
        let waited = if watch.is_over {
            by_sleeping(looked)
        } else {
            by_looking
        };
        spin.learn_from(&watch, waited);
        (looked, waited)
    }

    /// How long a new thread looks in so many seconds of such waits.
    fn looks_in_vain(seconds: u64, by_sleeping: impl Fn(Duration) -> Duration) -> Duration {
        let mut spin = eager();
        spin.budget = Duration::ZERO;
        let (mut looked, mut waited) = (Duration::ZERO, Duration::ZERO);
        while waited < Duration::from_secs(seconds) {
            let this = wait(&mut spin, Duration::MAX, &by_sleeping);
            looked += this.0;
            waited += this.1;
        }
        looked
    }

    const fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn looking_is_found_to_help_where_both_sides_sleep() {
        let mut spin = eager();
        spin.budget = Duration::ZERO;
        let mut waits = || wait(&mut spin, micros(20), |_| micros(65)).1;
        let slow = (0..1000).take_while(|_| waits() == micros(65)).count();
        assert_eq!(slow as u128, PROBE_INTERVAL.as_micros().div_ceil(65));
        for _ in 0..1000 {
            assert_eq!(waits(), micros(20));
        }
    }

    #[test]
    fn looking_is_tried_at_once_where_the_sleep_was_short() {
        let mut spin = eager();
        spin.budget = Duration::ZERO;
        assert_eq!(wait(&mut spin, micros(15), |_| micros(20)).1, micros(20));
        assert_eq!(wait(&mut spin, micros(15), |_| micros(20)).1, micros(15));
    }

    #[test]
    fn what_never_helps_is_tried_ever_more_seldom() {
        for length in [10, 51, 65, 200] {
            let always_late = |looked: Duration| looked.max(micros(length));
            assert!(looks_in_vain(1, always_late) < micros(1000), "{length} µs");
        }
        assert!(looks_in_vain(11, |_| micros(65)) < micros(2000));
    }

    #[test]
    fn who_needs_this_processor_is_not_kept_away() {
        // The news comes 2 µs after the processor is given up.
        assert!(looks_in_vain(1, |looked| looked + micros(2)) < micros(1000));
    }

    #[test]
    fn what_has_helped_and_ceases_to_is_given_up() {
        let mut spin = eager();
        wait(&mut spin, micros(20), |_| micros(65));
        let looked: Duration = (0..100)
            .map(|_| wait(&mut spin, Duration::MAX, |_| micros(1000)).0)
            .sum();
        assert!(looked < SPIN_MAX * 2);
        assert!(!spin.start(None).may_spin());
    }

    #[test]
    fn nothing_is_tried_in_long_waits_or_for_timers() {
        assert_eq!(looks_in_vain(10, |_| micros(201)), Duration::ZERO);
        let mut spin = eager();
        spin.budget = Duration::ZERO;
        for timeout in [10, 65, 200, 1000].map(micros) {
            for _ in 0..1000 {
                let watch = spin.start(Some(timeout));
                assert!(!watch.may_spin());
                spin.learn_from(&watch, timeout);
            }
        }
    }

    #[test]
    fn nothing_is_tried_in_a_rest() {
        let mut spin = eager();
        let kept = watch(&mut spin, PREEMPTION_GAP * 3, PREEMPTION_GAP);
        spin.learn(&kept);
        spin.cooldown_until = Some(Instant::now() + COOLDOWN_MAX * 100);
        for _ in 0..1000 {
            let (looked, _) = wait(&mut spin, Duration::ZERO, |_| micros(65));
            assert_eq!(looked, Duration::ZERO);
            assert!(!spin.may_look());
        }
    }

    #[test]
    fn nothing_is_tried_by_who_shall_not_look() {
        let mut spin = Spin::new(SpinPolicy::Off);
        for _ in 0..1000 {
            let slept = spin.start(None);
            assert!(!slept.may_spin());
            spin.learn(&slept);
            assert!(!spin.may_look());
        }
    }
}
