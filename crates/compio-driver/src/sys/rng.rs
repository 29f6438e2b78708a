//! Repeatable random numbers, for the simulated system and for random tests.

/// The splitmix generator of Steele, Lea and Flood: neighbouring seeds are independent.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

pub(crate) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes the bits of a number. Each input has another output.
pub(crate) fn mix(number: u64) -> u64 {
    let mut mixed = number;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number from 0 to `limit`, exclusive. The limit is not 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        // The high half of the product is uniform but for one part in 2^64 / limit.
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_reaches_each_number() {
        let mut rng = Rng::new(1);
        let mut seen = [0; 5];
        for _ in 0..1000 {
            seen[rng.below(5) as usize] += 1;
        }
        assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
    }
}
