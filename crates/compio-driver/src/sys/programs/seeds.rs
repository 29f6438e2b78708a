//! The seeds of random programs, and their draws: `COMPIO_SEED=7` runs the random programs of that seed alone,
//! `COMPIO_SEEDS=100000` runs that number of seeds instead of the usual number.

use std::{env, ops::Range, thread};

use crate::sys::rng::Rng;

impl Rng {
    /// A number from 0 to `sides`, exclusive. `sides` is not 0.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.below(sides as u64) as usize
    }

    /// True with a probability of `chance` percent.
    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.roll(100) < chance
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())]
    }

    /// Another generator, determined by the state of this one.
    pub(crate) fn fork(&mut self) -> Self {
        Self::new(self.next())
    }
}

/// As many seeds as `count`, unless the environment sets others. Prints the seed of a program that
/// panics.
pub(crate) fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let seeds = match number("COMPIO_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("COMPIO_SEEDS").unwrap_or(count),
    };
    Seeds {
        left: seeds,
        now: None,
    }
}

struct Seeds {
    left: Range<u64>,
    now: Option<u64>,
}

impl Iterator for Seeds {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.now = self.left.next();
        self.now
    }
}

impl Drop for Seeds {
    fn drop(&mut self) {
        if let Some(seed) = self.now
            && thread::panicking()
        {
            eprintln!("COMPIO_SEED={seed} repeats this");
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(value.parse().expect("a number"))
}
