//! One simulation for each of many seeds.

use std::{env, thread, time::Duration};

use super::{
    Error, ErrorKind, Outcome, Report, Simulation,
    assertions::{self, Assertions},
};

/// The environment variable with the only seed to run.
const ONLY: &str = "COMPIO_SIM_SEED";

/// Runs a simulation for each seed, until one fails. `build` adds the hosts and clients of each. `#[compio::test(sim)]` makes
/// a test of it.
///
/// With the environment variable `COMPIO_SIM_SEED`, only this seed runs.
///
/// ```
/// use std::time::Duration;
///
/// use compio::{sim, time::sleep};
///
/// fn main() -> Result<(), sim::Error> {
///     sim::run_seeds(0..20, |simulation| {
///         simulation.client("sleeper", async {
///             let millis = sim::rng().below(1000);
///             sleep(Duration::from_millis(millis)).await;
///         });
///     })
/// }
/// ```
///
/// # Errors
///
/// The error of the first run that fails: see [`Simulation::run`]. [`ErrorKind::Failed`] if `build` returns an error.
/// [`ErrorKind::NoSeeds`] without any seed, and [`ErrorKind::NeverHeld`] if an
/// [`assert_sometimes`](super::assert_sometimes) was true in no run.
///
/// # Panics
///
/// If `build` panics, after a message with the seed; and if the environment variable is no number.
#[track_caller]
pub fn run_seeds<O: Outcome>(
    seeds: impl IntoIterator<Item = u64>,
    build: impl Fn(&mut Simulation) -> O,
) -> Result<(), Error> {
    if let Some(seed) = only() {
        return run(seed, &build).map(drop);
    }
    let mut last = None;
    let mut assertions = Assertions::new();
    for seed in seeds {
        let report = run(seed, &build)?;
        assertions::merge(&mut assertions, &report.assertions);
        last = Some(report);
    }
    let Some(last) = last else {
        return Err(Error::new(0, None, Duration::ZERO, ErrorKind::NoSeeds));
    };
    let names = assertions::never_held(&assertions);
    if !names.is_empty() {
        let kind = ErrorKind::NeverHeld(names);
        return Err(Error::new(last.seed, None, last.elapsed, kind));
    }
    Ok(())
}

fn run<O: Outcome>(seed: u64, build: &impl Fn(&mut Simulation) -> O) -> Result<Report, Error> {
    let mut simulation = Simulation::builder().seed(seed).build();
    let building = Building { seed };
    let built = build(&mut simulation).into_result();
    drop(building);
    built.map_err(|error| Error::new(seed, None, Duration::ZERO, ErrorKind::Failed(error)))?;
    simulation.run()
}

/// The seed of the environment variable.
#[track_caller]
fn only() -> Option<u64> {
    let text = env::var_os(ONLY)?;
    let seed = text.to_str().and_then(|text| text.parse().ok());
    let Some(seed) = seed else {
        panic!("{ONLY} is {text:?}, which is no seed");
    };
    Some(seed)
}

/// Reports the seed if the code that builds a simulation panics.
struct Building {
    seed: u64,
}

impl Drop for Building {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the simulation with seed {} was not complete", self.seed);
        }
    }
}

/// The body of a test with `#[compio::test(sim)]`, at this path: panics with the error, and with the command that repeats it. No public
/// API.
#[doc(hidden)]
#[track_caller]
pub fn run_test<O: Outcome>(
    path: &str,
    seeds: impl IntoIterator<Item = u64>,
    build: impl Fn(&mut Simulation) -> O,
) {
    if let Err(error) = run_seeds(seeds, build) {
        // Names of tests have no name of the crate.
        let name = path.split_once("::").map_or(path, |(_, name)| name);
        let seed = error.seed();
        panic!("{error}\n\n    {ONLY}={seed} cargo test {name}\n\nrepeats this run");
    }
}
