//! Seeded streams of random numbers. Each host has one, and the network has one, so that a draw of one user
//! moves no draw of another.
//!
//! Each stream begins anew at each moment of the virtual time. So the numbers of a moment do not depend on earlier draws: a run in which
//! a fault is suppressed takes a similar course.

use std::{cell::Cell, ops::RangeInclusive, rc::Rc, time::Duration};

use super::events::LAST;
use crate::sys::rng;
pub(super) use crate::sys::rng::{STEP, mix};

/// The virtual time of a world.
pub(super) type Clock = Rc<Cell<Duration>>;

#[derive(Debug, Clone)]
pub(super) struct Rng {
    clock: Clock,
    /// The number of the stream.
    stream: u64,
    /// The moment of the last draw.
    moment: Duration,
    of_moment: rng::Rng,
}

/// The number of a name: the FNV-1a hash, which no version of std changes.
pub(super) fn hash_of(bytes: &[u8]) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325_u64;
    bytes.iter().fold(start, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Rng {
    /// The stream of this name. It depends on seed, name and time only, so other hosts do not change it.
    pub(super) fn of_name(seed: u64, name: &str, clock: &Clock) -> Self {
        let stream = mix(seed) ^ hash_of(name.as_bytes());
        Self {
            clock: Rc::clone(clock),
            stream,
            moment: Duration::ZERO,
            of_moment: rng::Rng::new(stream),
        }
    }

    fn of_moment(&mut self) -> &mut rng::Rng {
        let now = self.clock.get();
        if now != self.moment {
            self.moment = now;
            self.of_moment = rng::Rng::new(self.stream ^ mix(now.as_nanos() as u64));
        }
        &mut self.of_moment
    }

    pub(super) fn next(&mut self) -> u64 {
        self.of_moment().next()
    }

    /// A number from 0 to `limit`, exclusive. The limit is not 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.of_moment().below(limit)
    }

    /// True with this probability. A probability of zero draws no number.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.fraction() < probability
    }

    /// A number from 0.0 to 1.0, exclusive.
    pub(super) fn fraction(&mut self) -> f64 {
        // 53 bits, which a `f64` represents exactly.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with a probability of one half.
    pub(super) fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }

    /// Puts the elements into a random order.
    pub(super) fn shuffle<T>(&mut self, elements: &mut [T]) {
        for last in (1..elements.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            elements.swap(last, other);
        }
    }

    /// A time that is uniform in the range. A range of one time draws no number. Times that are longer than all of the virtual time are
    /// as long as it, so that no sum of a few overflows.
    pub(super) fn time_in(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let [start, end] = [range.start(), range.end()].map(|time| *time.min(&LAST));
        let width = (end - start).as_nanos() as u64;
        let more = if width == 0 {
            0
        } else {
            self.below(width.saturating_add(1))
        };
        start + Duration::from_nanos(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_of_a_name_depends_on_seed_and_name() {
        let first = |seed, name| Rng::of_name(seed, name, &Clock::default()).next();
        assert_eq!(first(7, "a"), first(7, "a"));
        assert_ne!(first(7, "a"), first(7, "b"));
        assert_ne!(first(7, "a"), first(8, "a"));
    }

    #[test]
    fn times_have_the_range_up_to_the_last_moment() {
        let mut rng = Rng::of_name(7, "a", &Clock::default());
        let mut times = |range| [(); 100].map(|()| rng.time_in(&range));
        let second = Duration::from_secs(1);
        let all = times(second..=Duration::MAX);
        assert!(all.iter().all(|time| (second..=LAST).contains(time)));
        assert!(all.iter().any(|time| *time > LAST / 2));
        assert_eq!(times(Duration::MAX..=Duration::MAX), [LAST; 100]);
        assert_eq!(times(second..=second), [second; 100]);
    }

    #[test]
    fn numbers_of_a_moment_do_not_depend_on_earlier_draws() {
        let clock = Clock::default();
        let [mut rng, mut other] = [(); 2].map(|()| Rng::of_name(7, "a", &clock));
        let mut numbers = Vec::new();
        for second in 0..100 {
            clock.set(Duration::from_secs(second));
            if second % 3 == 0 {
                other.next();
                continue;
            }
            numbers.extend([rng.next(), rng.next()]);
            assert_eq!([other.next(), other.next()], numbers[numbers.len() - 2..]);
        }
        let count = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), count);
    }
}
