//! The settings of a simulation.

use std::{ops::RangeInclusive, time::Duration};

use compio_driver::os::simulated::{Settings, World};

use super::Simulation;

/// Builder of a [`Simulation`].
///
/// ```
/// use std::time::Duration;
///
/// use compio::sim::Simulation;
///
/// let simulation = Simulation::builder()
///     .seed(7)
///     .latency(Duration::from_millis(1)..=Duration::from_millis(50))
///     .time_limit(Duration::from_secs(600))
///     .build();
/// assert_eq!(simulation.seed(), 7);
/// ```
#[derive(Debug, Clone)]
pub struct Builder {
    settings: Settings,
    time_limit: Duration,
}

impl Builder {
    pub(super) fn new() -> Self {
        let settings = Settings {
            seed: 0,
            latency: Duration::from_micros(200)..=Duration::from_millis(2),
        };
        Self {
            settings,
            time_limit: Duration::from_secs(24 * 3600),
        }
    }

    /// The seed of all random numbers. 0 by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// The time that a packet takes between two hosts: uniform in this range, 0.2 to 2 milliseconds by default. Inside of one host it is
    /// 20 microseconds.
    ///
    /// # Panics
    ///
    /// If the range is empty.
    #[track_caller]
    pub fn latency(mut self, latency: RangeInclusive<Duration>) -> Self {
        assert!(!latency.is_empty(), "the range of latencies is empty");
        self.settings.latency = latency;
        self
    }

    /// The virtual time after which a run fails. 24 hours by default.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Makes the simulation. It has no hosts yet.
    pub fn build(self) -> Simulation {
        let seed = self.settings.seed;
        Simulation::new(World::new(self.settings), seed, self.time_limit)
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}
