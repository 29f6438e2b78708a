//! Seeded streams of random numbers. Each host has one, and the network has one, so that a draw of one user
//! moves no draw of another.

use std::{ops::RangeInclusive, time::Duration};

/// The splitmix generator of Steele, Lea and Flood: neighbouring seeds are independent.
#[derive(Debug, Clone)]
pub(super) struct Rng(u64);

pub(super) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes the bits of a number. Each input has another output.
pub(super) fn mix(number: u64) -> u64 {
    let mut mixed = number;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

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
        Self(mix(seed) ^ hash_of(name.as_bytes()))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number from 0 to `limit`, exclusive. The limit is not 0.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        // The high half of the product is uniform but for one part in 2^64 / limit.
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
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

    #[test]
    fn below_reaches_each_number() {
        let mut rng = Rng::of_name(1, "network");
        let mut seen = [0; 5];
        for _ in 0..1000 {
            seen[rng.below(5) as usize] += 1;
        }
        assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
    }
}
