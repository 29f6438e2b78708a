//! Seeded streams of random numbers. Each host has one, and the network has one, so that a draw of one user
//! moves no draw of another.

use std::{ops::RangeInclusive, time::Duration};

pub(super) use crate::sys::rng::{Rng, STEP, mix};

/// The number of a name: the FNV-1a hash, which no version of std changes.
pub(super) fn hash_of(bytes: &[u8]) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325_u64;
    bytes.iter().fold(start, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Rng {
    /// The stream of this name. It depends on seed and name only, so other hosts do not change it.
    pub(super) fn of_name(seed: u64, name: &str) -> Self {
        Self::new(mix(seed) ^ hash_of(name.as_bytes()))
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

    /// With this probability a part of the length, at least 1. Otherwise all of it.
    pub(super) fn part_of(&mut self, len: usize, chance: f64) -> usize {
        if len > 1 && self.chance(chance) {
            1 + self.below(len as u64 - 1) as usize
        } else {
            len
        }
    }

    /// Puts the elements into a random order.
    pub(super) fn shuffle<T>(&mut self, elements: &mut [T]) {
        for last in (1..elements.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            elements.swap(last, other);
        }
    }

    /// A time that is uniform in the range. A range of one time draws no number.
    pub(super) fn time_in(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let width = (*range.end() - *range.start()).as_nanos() as u64;
        let more = if width == 0 {
            0
        } else {
            self.below(width.saturating_add(1))
        };
        *range.start() + Duration::from_nanos(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_of_a_name_depends_on_seed_and_name() {
        let first = |seed, name| Rng::of_name(seed, name).next();
        assert_eq!(first(7, "a"), first(7, "a"));
        assert_ne!(first(7, "a"), first(7, "b"));
        assert_ne!(first(7, "a"), first(8, "a"));
    }
}
