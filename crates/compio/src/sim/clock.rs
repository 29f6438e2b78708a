//! The clocks of simulated hosts, for programs.

use std::{rc::Rc, time::SystemTime};

use compio_driver::os::simulated::{HostId, World, current};

use super::{ClockFaults, Error, here::find};

/// The wall clock of the current host. `None` outside of a simulated host.
///
/// `SystemTime::now` of std reads the real clock.
///
/// ```
/// use std::time::SystemTime;
///
/// use compio::sim;
///
/// fn now() -> SystemTime {
///     sim::system_time().unwrap_or_else(SystemTime::now)
/// }
/// ```
pub fn system_time() -> Option<SystemTime> {
    let (world, host) = current()?;
    Some(SystemTime::UNIX_EPOCH + world.wall_time(host))
}

/// The clocks of a host, to set their faults during a run. [`Simulation::clock`](super::Simulation::clock) sets them before it.
///
/// ```
/// use std::time::Duration;
///
/// use compio::{
///     sim::{self, ClockFaults, Simulation},
///     time,
/// };
///
/// fn main() -> Result<(), sim::Error> {
///     let mut simulation = Simulation::builder().build();
///     simulation.client("fast", async {
///         let clock = sim::clock("fast")?;
///         clock.set(ClockFaults {
///             skew_millis: 500,
///             drift_ppm: 100,
///         });
///         time::sleep(Duration::from_secs(1)).await;
///         // A quick clock ends a sleep too early.
///         assert_eq!(sim::elapsed(), Some(Duration::from_nanos(999_900_010)));
///         // Its wall clock goes back, as by NTP.
///         let before = sim::system_time();
///         clock.step(-30_000);
///         assert!(sim::system_time() < before);
///         Ok::<_, sim::Error>(())
///     });
///     simulation.run()?;
///     Ok(())
/// }
/// ```
///
/// # The model
///
/// | clock | its faults |
/// |---|---|
/// | the monotonic clock: [`time::now`](crate::time::now), timers, sleeps | [`drift_ppm`](ClockFaults::drift_ppm). It never goes back. |
/// | the wall clock: [`system_time`], times of files | The same drift, [`skew_millis`](ClockFaults::skew_millis), and [steps](Clock::step). |
/// | the true time: [`elapsed`](super::elapsed), [`Report::elapsed`](super::Report::elapsed), networks, disks, the time limit | None. |
///
/// In the [calm phase](super::Simulation::calm_after) the calls that change clocks have no effect, and clocks keep their faults.
///
/// The clocks of a host go on during a crash, a loss of power and a restart. A timer fires once, at the first nanosecond of the true time
/// at which the clock of its host has reached its deadline. An `Instant` of one host means nothing on another one.
///
/// # Errors
///
/// [`UnknownHost`](super::ErrorKind::UnknownHost), and [`OutsideOfHost`](super::ErrorKind::OutsideOfHost) outside of a simulated
/// host.
pub fn clock(host: &str) -> Result<Clock, Error> {
    let (world, host) = find(host)?;
    Ok(Clock { world, host })
}

/// The clocks of a host, made by [`clock`].
#[derive(Debug)]
pub struct Clock {
    world: Rc<World>,
    host: HostId,
}

impl Clock {
    /// Replaces the faults. The wall clock is off by exactly the skew then, without the error that an earlier drift has left. The
    /// monotonic clock keeps its reading.
    ///
    /// # Panics
    ///
    /// If the drift is not in -500,000..=500,000.
    #[track_caller]
    pub fn set(&self, faults: ClockFaults) {
        self.world.set_clock_faults(self.host, faults);
    }

    /// The faults as they are set.
    pub fn faults(&self) -> ClockFaults {
        self.world.clock_faults(self.host)
    }

    /// Faults by the seed, to be [set](Self::set): skew and drift are each off with a probability of one half. Each call draws others.
    pub fn draw(&self) -> ClockFaults {
        self.world.draw_clock_faults(self.host)
    }

    /// Moves the wall clock forward by this number of milliseconds, or back if it is negative. The monotonic clock does not notice.
    pub fn step(&self, millis: i64) {
        self.world.step_clock(self.host, millis);
    }
}
