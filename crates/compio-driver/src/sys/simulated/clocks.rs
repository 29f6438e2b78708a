//! The clocks of hosts, which may differ from the true virtual time.
//!
//! The monotonic clock of a host has a rate of its own. The wall clock is the monotonic one plus an offset, which steps change.
//! The arithmetic is exact in nanoseconds, so that a timer is due when its event occurs.

use std::time::{Duration, Instant};

use super::{
    rng::Rng,
    symbols, with_current,
    world::{HostId, State, World},
};

/// The time between 1970 and the time zero of each world: the begin of the year 2000.
pub(super) const EPOCH: Duration = Duration::from_secs(946_684_800);

const MILLION: i32 = 1_000_000;

/// The largest drift, in parts per million.
const DRIFT_MAX: i32 = 500_000;

const NANOS_PER_MILLI: i128 = 1_000_000;

/// The settings of a host's clocks. The default are clocks that show the true virtual time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClockFaults {
    /// The milliseconds by which the wall clock is ahead of the true time; behind it if negative.
    pub skew_millis: i64,
    /// The rate of both clocks: the parts per million by which they run too fast; too slow if negative. With 100 they gain 8.64
    /// seconds a day.
    pub drift_ppm: i32,
}

impl ClockFaults {
    /// # Panics
    ///
    /// If the drift is not in -500,000..=500,000.
    #[track_caller]
    fn check(&self) {
        assert!(
            (-DRIFT_MAX..=DRIFT_MAX).contains(&self.drift_ppm),
            "a drift of {} ppm is not in -500,000..=500,000",
            self.drift_ppm
        );
    }
}

/// The clocks of a host.
#[derive(Debug)]
pub(super) struct Clocks {
    faults: ClockFaults,
    /// The true time of the last change of the rate, and the reading of the monotonic clock then.
    changed_at: Duration,
    reading: Duration,
    /// The nanoseconds by which the wall clock is ahead of the monotonic one.
    offset: i128,
    rng: Rng,
}

/// The clocks of a host, as std and as the functions of the C library return them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Readings {
    pub(super) instant: Instant,
    pub(super) monotonic: Duration,
    /// The time since 1970.
    pub(super) wall: Duration,
}

impl Clocks {
    pub(super) fn new(rng: Rng) -> Self {
        Self {
            faults: ClockFaults::default(),
            changed_at: Duration::ZERO,
            reading: Duration::ZERO,
            offset: 0,
            rng,
        }
    }

    /// The parts of a million that pass on the clocks in a million parts of the true time.
    fn rate(&self) -> u128 {
        u128::from((MILLION + self.faults.drift_ppm).unsigned_abs())
    }

    /// The monotonic clock at this true time.
    fn monotonic(&self, now: Duration) -> Duration {
        let since = now - self.changed_at;
        if self.faults.drift_ppm == 0 {
            return self.reading + since;
        }
        let passed = since.as_nanos() * self.rate() / MILLION as u128;
        self.reading + Duration::from_nanos_u128(passed)
    }

    /// The first true time at which the monotonic clock has shown this much more than now.
    pub(super) fn after(&self, now: Duration, time: Duration) -> Option<Duration> {
        if self.faults.drift_ppm == 0 {
            return now.checked_add(time);
        }
        let target = self.monotonic(now).checked_add(time)?;
        let since = (target - self.reading).as_nanos() * MILLION as u128;
        let since = since.div_ceil(self.rate());
        let is_in_range = since <= Duration::MAX.as_nanos();
        let since = is_in_range.then(|| Duration::from_nanos_u128(since))?;
        self.changed_at.checked_add(since)
    }

    /// The wall clock at this reading of the monotonic one, since 1970. It does not go back further, nor to times that `SystemTime`
    /// does not have.
    fn wall(&self, monotonic: Duration) -> Duration {
        let monotonic = EPOCH + monotonic;
        if self.offset == 0 {
            return monotonic;
        }
        let nanos = monotonic.as_nanos() as i128 + self.offset;
        let last = Duration::from_secs(i64::MAX as u64).as_nanos();
        Duration::from_nanos_u128(u128::try_from(nanos).unwrap_or(0).min(last))
    }

    fn set(&mut self, now: Duration, faults: ClockFaults) {
        self.reading = self.monotonic(now);
        self.changed_at = now;
        let error = now.as_nanos() as i128 - self.reading.as_nanos() as i128;
        self.offset = error + i128::from(faults.skew_millis) * NANOS_PER_MILLI;
        self.faults = faults;
    }

    /// Settings by the seed. Skew and drift are each off with a probability of one half.
    fn draw(&mut self) -> ClockFaults {
        // From a millisecond to half an hour, by powers of two. NTP corrects up to 500 parts per million.
        let (millis, ppm) = (1 << self.rng.below(22), 1 + self.rng.below(500));
        let mut signed = |size: u64| match self.rng.below(4) {
            0 => size as i64,
            1 => -(size as i64),
            _ => 0,
        };
        ClockFaults {
            skew_millis: signed(millis),
            drift_ppm: signed(ppm) as i32,
        }
    }
}

impl World {
    /// The wall clock of a host, since 1970.
    pub fn wall_time(&self, host: HostId) -> Duration {
        self.state().wall_time(host)
    }

    pub(super) fn readings(&self, host: HostId) -> Readings {
        let state = self.state();
        let clocks = &state.hosts[host].clocks;
        let monotonic = clocks.monotonic(state.now);
        Readings {
            instant: self.base + monotonic,
            monotonic: EPOCH + monotonic,
            wall: clocks.wall(monotonic),
        }
    }

    /// Sets the new readings of a host that is current.
    fn show(&self, host: HostId) {
        if with_current(|_, current| current == host) == Some(true) {
            symbols::set_clocks(Some(self.readings(host)));
        }
    }

    /// Replaces the settings of a host's clocks. The wall clock steps to the new skew.
    ///
    /// # Panics
    ///
    /// If the drift is not in -500,000..=500,000.
    #[track_caller]
    pub fn set_clock_faults(&self, host: HostId, faults: ClockFaults) {
        faults.check();
        let mut state = self.state();
        if state.is_calm {
            return;
        }
        state.hosts[host].clocks.set(self.now(), faults);
        drop(state);
        self.show(host);
        // The next timer of its loop is due at another time.
        self.make_ready(host);
    }

    /// Moves the wall clock of a host.
    pub fn step_clock(&self, host: HostId, millis: i64) {
        let mut state = self.state();
        if state.is_calm {
            return;
        }
        state.hosts[host].clocks.offset += i128::from(millis) * NANOS_PER_MILLI;
        drop(state);
        self.show(host);
    }

    /// The settings of a host's clocks.
    pub fn clock_faults(&self, host: HostId) -> ClockFaults {
        self.state().hosts[host].clocks.faults.clone()
    }

    /// Settings by the seed. Skew and drift are each off with a probability of one half.
    pub fn draw_clock_faults(&self, host: HostId) -> ClockFaults {
        self.state().hosts[host].clocks.draw()
    }
}

impl State {
    /// The wall clock of a host, since 1970.
    pub(super) fn wall_time(&self, host: HostId) -> Duration {
        let clocks = &self.hosts[host].clocks;
        clocks.wall(clocks.monotonic(self.now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::simulated::rng::Clock;

    #[test]
    fn timer_is_due_at_the_first_nanosecond_that_reaches_it() {
        let mut rng = Rng::of_name(1, "timers", &Clock::default());
        let mut now = Duration::ZERO;
        let mut clocks = Clocks::new(Rng::of_name(1, "clocks", &Clock::default()));
        for drift_ppm in [0, 1, -1, 100, -77, DRIFT_MAX, -DRIFT_MAX] {
            clocks.set(
                now,
                ClockFaults {
                    skew_millis: 0,
                    drift_ppm,
                },
            );
            for _ in 0..1000 {
                let power = rng.below(50);
                let wait = Duration::from_nanos(1 + rng.below(1 << power));
                let target = clocks.monotonic(now) + wait;
                now = clocks.after(now, wait).unwrap();
                assert!(clocks.monotonic(now) >= target, "{drift_ppm} ppm, {wait:?}");
                let before = clocks.monotonic(now - Duration::from_nanos(1));
                assert!(before < target, "{drift_ppm} ppm, {wait:?}");
            }
        }
        assert_eq!(clocks.after(now, Duration::MAX), None);
    }

    #[test]
    fn wall_clock_stops_at_1970() {
        let mut clocks = Clocks::new(Rng::of_name(1, "clocks", &Clock::default()));
        let faults = ClockFaults {
            skew_millis: i64::MIN,
            drift_ppm: 0,
        };
        clocks.set(Duration::ZERO, faults);
        assert_eq!(clocks.wall(Duration::from_secs(1)), Duration::ZERO);
    }

    #[test]
    fn wall_clock_stops_at_the_last_system_time() {
        let mut clocks = Clocks::new(Rng::of_name(1, "clocks", &Clock::default()));
        clocks.offset = i128::from(i64::MAX) * NANOS_PER_MILLI * 10_000;
        let wall = clocks.wall(Duration::from_secs(1));
        assert!(
            std::time::SystemTime::UNIX_EPOCH
                .checked_add(wall)
                .is_some()
        );
    }
}
