//! The settings of a simulation.

use std::{fmt, hash::RandomState, ops::RangeInclusive, time::Duration};

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
#[derive(Debug)]
pub struct Builder {
    settings: Settings,
    time_limit: Duration,
    step_limit: u64,
    on_line: Option<OnLine>,
}

/// Takes the lines of the course.
pub(super) struct OnLine(pub(super) Box<TakeLine>);

type TakeLine = dyn FnMut(&str, u64);

impl fmt::Debug for OnLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnLine").finish_non_exhaustive()
    }
}

impl Builder {
    pub(super) fn new() -> Self {
        let settings = Settings {
            seed: 0,
            latency: Duration::from_micros(200)..=Duration::from_millis(2),
            shuffle: None,
        };
        Self {
            settings,
            time_limit: Duration::from_secs(24 * 3600),
            step_limit: u64::MAX,
            on_line: None,
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
        check_latency(&latency);
        self.settings.latency = latency;
        self
    }

    /// Whether the order of all that is ready together is shuffled: the tasks of a host, its completions, the hosts, and the events of
    /// one moment. Tasks that are ready together precede tasks that they wake, so that none starves. Packets of a TCP connection and
    /// transfers of one direction of a socket keep their order.
    ///
    /// By default half of the seeds shuffle. In the others, tasks run in the order of their wakes, as in a real runtime: a program is
    /// tested with both.
    ///
    /// ```
    /// use std::{cell::Cell, rc::Rc};
    ///
    /// use compio::{
    ///     sim::{self, Simulation},
    ///     task,
    /// };
    ///
    /// /// Relies on the order of two tasks.
    /// async fn program() {
    ///     let config = Rc::new(Cell::new(None));
    ///     let into = Rc::clone(&config);
    ///     task::spawn(async move { into.set(Some(7)) }).detach();
    ///     let serve = task::spawn(async move { config.get().expect("no configuration") });
    ///     serve.await.unwrap();
    /// }
    ///
    /// fn main() {
    ///     let found = sim::run_seeds(0..20, |simulation| {
    ///         simulation.client("program", program());
    ///     });
    ///     println!("{}", found.unwrap_err());
    /// }
    /// ```
    pub fn shuffle(mut self, shuffles: bool) -> Self {
        self.settings.shuffle = Some(shuffles);
        self
    }

    /// The virtual time after which a run fails. 24 hours by default.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// The number of steps after which a run fails: each runs the ready tasks of one host. Without a limit by default.
    ///
    /// It bounds the real time of a run, and a seed fails in each run or in none.
    pub fn step_limit(mut self, limit: u64) -> Self {
        self.step_limit = limit;
        self
    }

    /// Code that gets the course of the run as text: a line with the virtual time for each request of a host, its result, and each
    /// packet at its arrival. Numbers such as `#3` stand for handles. Two runs with one seed give the same lines, so that a
    /// comparison finds the first effect of chance that no seed determines.
    ///
    /// ```
    /// use compio::{fs, sim::Simulation};
    ///
    /// fn main() -> Result<(), compio::sim::Error> {
    ///     let print = |line: &str| eprintln!("{line}");
    ///     let mut simulation = Simulation::builder().on_line(print).build();
    ///     simulation.client("writer", async { fs::write("/file", "content").await.0 });
    ///     simulation.run()?;
    ///     Ok(())
    /// }
    /// ```
    pub fn on_line(self, mut code: impl FnMut(&str) + 'static) -> Self {
        self.on_hashed_line(move |line, _| code(line))
    }

    /// As [`on_line`](Self::on_line), with the hash of the trace at the line.
    pub(super) fn on_hashed_line(mut self, code: impl FnMut(&str, u64) + 'static) -> Self {
        self.on_line = Some(OnLine(Box::new(code)));
        self
    }

    /// Makes the simulation. It has no hosts yet.
    pub fn build(self) -> Simulation {
        let seed = self.settings.seed;
        draw_hash_keys(self.settings.clone());
        let world = World::new(self.settings);
        let mut simulation = Simulation::new(world, seed, self.time_limit, self.step_limit);
        if let Some(OnLine(code)) = self.on_line {
            simulation.on_hashed_line(code);
        }
        simulation
    }
}

#[track_caller]
pub(super) fn check_latency(latency: &RangeInclusive<Duration>) {
    assert!(!latency.is_empty(), "the range of latencies is empty");
}

/// Makes the first `RandomState` of the thread, whose random keys all later ones use, in a host of this seed: `override_libc` takes
/// the keys from there. Otherwise the first one may be outside of a host.
fn draw_hash_keys(settings: Settings) {
    let world = World::new(settings);
    if let Ok(host) = world.add_host("", None) {
        let _entered = world.enter(host);
        drop(RandomState::new());
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}
