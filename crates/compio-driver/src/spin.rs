//! Adaptive spinning before parking.
//!
//! Sleeping and waking costs some 20 µs. If completions tend to arrive sooner, spinning is cheaper. The
//! budget is the spin time that recent waits needed. It falls to zero if spins fail: an idle program sleeps.
//! If other threads want the CPU, spinning does not help either: it uses up this thread's time slice, and
//! the awaited thread may be queued behind it.
//!
//! If two threads wait for each other and both sleep, each wait is long: it contains two wake-ups. Neither
//! thread can tell from its waits that they would be short with spinning. So it tries a spin now and then,
//! less often after each failure: see [`Spin::learn`].

#![allow(
    dead_code,
    reason = "io_uring uses all of it, IOCP a part, and readiness does not spin"
)]

use std::{
    hint, mem,
    time::{Duration, Instant},
};

use crate::{os_calls::clock, oversubscription::CpuShare};

/// Whether an idle thread spins before it sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SpinPolicy {
    /// The thread sleeps at once.
    Off,
    /// The thread spins for as long as recent waits took, if they were short, and at most
    /// [`SPIN_MAX`]. It does not spin if this process has more drivers than CPUs for them, or if other
    /// threads have just preempted it.
    #[default]
    Adaptive,
    /// The thread spins for [`SPIN_MAX`], each time.
    Always,
}

/// The longest spin before a sleep.
pub const SPIN_MAX: Duration = Duration::from_micros(50);

/// Waits up to this length might have been short with spinning instead of sleeping: they contain the
/// thread's own wake-up, and perhaps the wake-up of another thread, which slept as well.
const AMBIGUOUS_WAIT_MAX: Duration = SPIN_MAX.saturating_mul(4);

/// The total length of ambiguous waits after one trial spin and before the next.
const PROBE_INTERVAL: Duration = Duration::from_millis(5);

/// The total length of ambiguous or shorter waits after a failed trial: this long after the first
/// failure, and twice as long after each further one.
const PROBE_BACKOFF: Duration = Duration::from_micros(100);

/// Further failures are not counted: then there is a trial every 0.8 s of such waits.
const FAILURES_MAX: u32 = 14;

/// A smaller budget counts as zero: one spin iteration costs about as much.
const SPIN_MIN: Duration = Duration::from_micros(1);

/// If two spin iterations are this far apart, the thread was preempted.
const PREEMPTION_GAP: Duration = Duration::from_micros(100);

/// The cooldown without spinning after a preemption. It is short, since a single one may be an accident.
const COOLDOWN_MIN: Duration = Duration::from_millis(10);

/// The cooldown after another preemption soon afterwards: this long at first, and doubled each time
/// it was too short.
const COOLDOWN: Duration = Duration::from_millis(100);

/// The longest cooldown.
const COOLDOWN_MAX: Duration = Duration::from_secs(5);

pub(crate) struct Spin {
    policy: SpinPolicy,
    budget: Duration,
    /// The length of a trial spin in the next wait, if more than the budget.
    trial: Duration,
    /// The total length of waits since the last trial.
    waited: Duration,
    /// The number of failed spins minus the number of successful ones.
    failures: u32,
    place: CpuShare,
    /// No spinning until then, since other threads want the CPU.
    cooldown_until: Option<Instant>,
    /// The length of the last cooldown.
    rest: Duration,
    /// Waits that have begun with a spin.
    spins: u64,
    /// Those among them that have ended during the spin.
    hits: u64,
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
            spins: 0,
            hits: 0,
        }
    }

    /// Waits that have begun with a spin, and those among them that have ended during the spin.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.spins, self.hits)
    }

    /// Whether the next wait may begin with a spin. Does not read the clock.
    pub(crate) fn may_spin(&self) -> bool {
        !self.budget.max(self.trial).is_zero()
    }

    /// Whether other threads can run while this thread spins.
    pub(crate) fn has_processors_to_spare(&self) -> bool {
        self.place.processors() > 1
    }

    /// Begins a wait.
    pub(crate) fn start(&mut self, timeout: Option<Duration>) -> SpinWait {
        // An untimed wait that will not spin and learns nothing needs no clock.
        let began = (self.policy != SpinPolicy::Off || timeout.is_some()).then(clock::now);
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

    /// Ends a wait. A successful spin confirms the budget, any other wait halves it.
    ///
    /// A wait without a spin says little about the effect of spinning. The sleep itself may have made it
    /// long. Or the sleep made it short, if the awaited thread needed this thread's CPU. So such a wait only
    /// leads to a trial. The first trial is free. After failures the next one follows after more short or
    /// ambiguous waits, the more the more trials have failed. A program that gains nothing by spinning
    /// loses less than 1 ms in its first second of such waits, and 0.1 ms in each later second. A program
    /// with longer waits loses nothing.
    pub(crate) fn learn(&mut self, watch: &SpinWait) {
        if watch.looks > 0 {
            self.spins += 1;
            self.hits += u64::from(watch.has_found());
        }
        if self.policy != SpinPolicy::Adaptive {
            return;
        }
        self.learn_from(watch, watch.spent());
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
        // A wait that ended by timeout would not have been shorter with spinning.
        let timed_out = watch.timeout.is_some_and(|timeout| waited >= timeout);
        if !timed_out && !watch.is_suppressed && waited <= AMBIGUOUS_WAIT_MAX {
            self.waited += waited;
            if self.waited >= self.price(waited) {
                self.waited = Duration::ZERO;
                self.trial = (waited * 2).clamp(SPIN_MIN, SPIN_MAX);
            }
        }
    }

    /// The total length of waits that a trial requires, if the last wait took `waited`.
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
    /// Whether other threads need the CPU.
    is_suppressed: bool,
    timeout: Option<Duration>,
    looks: u32,
    /// The last reading of the clock during the spin.
    seen: Option<Duration>,
    /// Whether the thread was preempted between two iterations.
    was_preempted: bool,
    /// Whether the spin has ended.
    is_over: bool,
}

impl SpinWait {
    pub(crate) fn may_spin(&self) -> bool {
        !self.budget.is_zero()
    }

    /// One spin iteration. Returns whether to poll again. Reads the clock at every 16th iteration.
    pub(crate) fn spin(&mut self) -> bool {
        hint::spin_loop();
        self.looks = self.looks.wrapping_add(1);
        if !self.looks.is_multiple_of(16) && self.looks != 1 {
            return true;
        }
        let elapsed = self.spent();
        self.was_preempted = self.was_preempted_until(elapsed);
        self.seen = Some(elapsed);
        self.is_over = self.was_preempted || elapsed >= self.budget;
        !self.is_over
    }

    /// Whether the wait has ended during the spin.
    fn has_found(&self) -> bool {
        self.looks > 0 && !self.is_over
    }

    /// Ends the spin for another reason than the end of the budget.
    pub(crate) fn stop(&mut self) {
        self.is_over = true;
    }

    /// Whether the thread was preempted, if the clock shows `elapsed` right after the last iteration.
    fn was_preempted_until(&self, elapsed: Duration) -> bool {
        // A faulty system or machine may have a clock that goes backwards.
        let gap = elapsed.saturating_sub(self.seen.unwrap_or(elapsed));
        self.was_preempted || (!self.is_over && gap > PREEMPTION_GAP)
    }

    /// The rest of `timeout`, for the sleep.
    pub(crate) fn remaining(&self, timeout: Duration) -> Duration {
        if self.looks == 0 {
            return timeout;
        }
        timeout.saturating_sub(self.spent())
    }

    /// The time since the wait began.
    fn spent(&self) -> Duration {
        self.began
            .map_or(Duration::ZERO, |began| clock::now() - began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A spin with the largest budget.
    fn eager() -> Spin {
        let mut spin = Spin::new(SpinPolicy::Adaptive);
        // Other tests have drivers too; this one is not oversubscribed by them.
        spin.place = CpuShare::roomy();
        spin.budget = SPIN_MAX;
        spin
    }

    /// A wait that began `ago` before now, and last read the clock after `seen`.
    fn watch(spin: &mut Spin, ago: Duration, seen: Duration) -> SpinWait {
        let mut watch = spin.start(None);
        watch.began = Some(clock::now() - ago);
        watch.seen = Some(seen);
        watch
    }

    #[test]
    fn each_further_preemption_lengthens_the_cooldown() {
        let mut spin = eager();
        for rest in [10, 100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let kept = watch(&mut spin, PREEMPTION_GAP * 3, PREEMPTION_GAP);
            spin.learn(&kept);
            assert_eq!(spin.rest, Duration::from_millis(rest));
            spin.budget = SPIN_MAX;
            assert!(!spin.start(None).may_spin());
        }
        // Long afterwards, earlier preemptions have no effect.
        spin.cooldown_until = Some(clock::now() - COOLDOWN_MAX * 2);
        assert!(spin.start(None).may_spin());
        let kept = watch(&mut spin, PREEMPTION_GAP * 3, PREEMPTION_GAP);
        spin.learn(&kept);
        assert_eq!(spin.rest, COOLDOWN_MIN);
    }

    #[test]
    fn a_sleep_after_the_spin_is_no_preemption() {
        let mut spin = eager();
        let mut slept = watch(&mut spin, SPIN_MAX * 100, PREEMPTION_GAP);
        slept.stop();
        spin.learn(&slept);
        assert_eq!(spin.rest, Duration::ZERO);
        assert_eq!(spin.budget, SPIN_MAX / 2);
    }

    #[test]
    fn a_clock_that_goes_backwards_shows_no_preemption() {
        let mut spin = eager();
        let watch = watch(&mut spin, Duration::ZERO, SPIN_MAX * 1000);
        spin.learn(&watch);
        assert_eq!(spin.rest, Duration::ZERO);
    }

    /// One wait of a thread. A spin finds a completion after `by_looking`. A sleep takes `by_sleeping`, which
    /// depends on the length of the spin before it. Returns the lengths of the spin and of the wait.
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

    /// The total length of a new thread's failing spins in so many seconds of such waits.
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
    fn a_trial_finds_that_spinning_helps_if_both_sides_sleep() {
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
    fn a_short_sleep_is_followed_by_a_trial_at_once() {
        let mut spin = eager();
        spin.budget = Duration::ZERO;
        assert_eq!(wait(&mut spin, micros(15), |_| micros(20)).1, micros(20));
        assert_eq!(wait(&mut spin, micros(15), |_| micros(20)).1, micros(15));
    }

    #[test]
    fn failing_trials_become_ever_rarer() {
        for length in [10, 51, 65, 200] {
            let always_late = |looked: Duration| looked.max(micros(length));
            assert!(looks_in_vain(1, always_late) < micros(1000), "{length} µs");
        }
        assert!(looks_in_vain(11, |_| micros(65)) < micros(2000));
    }

    #[test]
    fn spinning_stops_if_the_awaited_thread_needs_this_processor() {
        // The completion arrives 2 µs after the thread has released the CPU.
        assert!(looks_in_vain(1, |looked| looked + micros(2)) < micros(1000));
    }

    #[test]
    fn spinning_that_no_longer_helps_stops() {
        let mut spin = eager();
        wait(&mut spin, micros(20), |_| micros(65));
        let looked: Duration = (0..100)
            .map(|_| wait(&mut spin, Duration::MAX, |_| micros(1000)).0)
            .sum();
        assert!(looked < SPIN_MAX * 2);
        assert!(!spin.start(None).may_spin());
    }

    #[test]
    fn long_waits_and_timers_lead_to_no_trial() {
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
    fn a_cooldown_has_no_trial() {
        let mut spin = eager();
        let kept = watch(&mut spin, PREEMPTION_GAP * 3, PREEMPTION_GAP);
        spin.learn(&kept);
        spin.cooldown_until = Some(clock::now() + COOLDOWN_MAX * 100);
        for _ in 0..1000 {
            let (looked, _) = wait(&mut spin, Duration::ZERO, |_| micros(65));
            assert_eq!(looked, Duration::ZERO);
            assert!(!spin.may_spin());
        }
    }

    #[test]
    fn policy_off_never_spins() {
        let mut spin = Spin::new(SpinPolicy::Off);
        for _ in 0..1000 {
            let slept = spin.start(None);
            assert!(!slept.may_spin());
            spin.learn(&slept);
            assert!(!spin.may_spin());
        }
    }
}
