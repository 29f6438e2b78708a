//! One simulation for each of many seeds.

use std::{cell::RefCell, env, iter, panic, rc::Rc, thread, time::Duration};

use compio_driver::os::simulated::current;

use super::{
    Builder, Error, ErrorKind, FaultRecord, Outcome, Report, Simulation, Summary, goals::Goals,
    shrink,
};

/// The environment variable with the only seed to run.
const ONLY: &str = "COMPIO_SIM_SEED";

/// The environment variable with the keys of the only faults of this seed.
const FAULTS: &str = "COMPIO_SIM_FAULTS";

/// The environment variable that is `1` if a failure is reduced to the faults that matter.
const SHRINK: &str = "COMPIO_SIM_SHRINK";

/// The faults in the message of a failure that was not reduced: the last ones.
const LAST_FAULTS: usize = 10;

/// The environment variable that is `1` if each seed runs twice.
const TWICE: &str = "COMPIO_SIM_TWICE";

/// Runs a simulation for each seed, until one fails. `build` adds the hosts and clients of each. `#[compio::test(sim)]` makes
/// a test of it.
///
/// With the environment variable `COMPIO_SIM_SEED`, only this seed runs. With `COMPIO_SIM_TWICE=1` each seed runs twice, and two
/// reports that differ are an error with the first difference of the runs. With `COMPIO_SIM_SHRINK=1`, a failure is reduced to the
/// faults that matter: see [`shrink`]. `COMPIO_SIM_FAULTS`, beside the seed, has the [keys](FaultRecord::key) of the only faults that
/// occur, separated by commas.
///
/// Each run has a thread of its own, so that state of a thread, as the keys of hash maps, is new.
///
/// ```
/// use std::time::Duration;
///
/// use compio::{sim, time::sleep};
///
/// fn main() -> Result<(), sim::Error> {
///     let summary = sim::run_seeds(0..20, |simulation| {
///         simulation.set_time_limit(Duration::from_secs(60));
///         simulation.client("sleeper", async {
///             let millis = sim::rng().below(1000);
///             sleep(Duration::from_millis(millis)).await;
///         });
///     })?;
///     println!("{summary}");
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// The error of the first run that fails: see [`Simulation::run`]. [`ErrorKind::Failed`] if `build` returns an error.
/// [`ErrorKind::NoSeeds`] without any seed. [`ErrorKind::NotDeterministic`] if two runs of a seed differ. [`ErrorKind::Nested`] in a
/// simulated host.
///
/// Errors of all seeds together, which a seed of the environment variable does not have: [`ErrorKind::NeverHeld`] if an
/// [`assert_sometimes`](super::assert_sometimes) was true in no run; [`ErrorKind::NeverReached`] and [`ErrorKind::NeverOccurred`] if no
/// run has reached a required [assertion](Simulation::must_reach_sometimes) or [fault](Simulation::must_occur_sometimes).
///
/// # Panics
///
/// If `build` panics, after a message with the seed; if an environment variable is invalid; and if the system starts no thread.
#[track_caller]
pub fn run_seeds<O: Outcome>(
    seeds: impl IntoIterator<Item = u64>,
    build: impl Fn(&mut Simulation) -> O + Sync,
) -> Result<Summary, Error> {
    if current().is_some() {
        return Err(Error::of_no_run(ErrorKind::Nested));
    }
    let (mut summary, mut goals) = (Summary::default(), Goals::default());
    if let Some(seed) = only() {
        let report = run(seed, &build, &mut goals);
        summary.add(&report.map_err(|error| reduced(error, [seed], &build))?);
        return Ok(summary);
    }
    let mut seeds = seeds.into_iter();
    while let Some(seed) = seeds.next() {
        match run(seed, &build, &mut goals) {
            Ok(report) => summary.add(&report),
            Err(error) => return Err(reduced(error, iter::once(seed).chain(seeds), &build)),
        }
    }
    if summary.seeds() == 0 {
        return Err(Error::of_no_run(ErrorKind::NoSeeds));
    }
    goals.check(&summary).map_err(Error::of_no_run)?;
    let names = summary.never_held();
    if !names.is_empty() {
        return Err(Error::of_no_run(ErrorKind::NeverHeld(names)));
    }
    Ok(summary)
}

fn run<O, B>(seed: u64, build: &B, goals: &mut Goals) -> Result<Report, Error>
where
    O: Outcome,
    B: Fn(&mut Simulation) -> O + Sync,
{
    let mut run = || in_thread(|| built(Simulation::builder().seed(seed), build, goals)?.run());
    let report = run()?;
    if !is_set(TWICE) || run().is_ok_and(|again| again == report) {
        return Ok(report);
    }
    let course = || in_thread(|| course(seed, build));
    let kind = ErrorKind::NotDeterministic(first_difference(&course(), &course()));
    Err(Error::new(seed, None, report.elapsed, kind))
}

pub(super) fn is_set(variable: &str) -> bool {
    env::var_os(variable).is_some_and(|value| value == "1")
}

/// The error of the first of these seeds, or a reduced one if it is wanted.
fn reduced<O: Outcome>(
    error: Error,
    seeds: impl IntoIterator<Item = u64>,
    build: &(impl Fn(&mut Simulation) -> O + Sync),
) -> Error {
    if !is_set(SHRINK) || env::var_os(FAULTS).is_some() {
        return error;
    }
    shrink(seeds, build).unwrap_or_else(|| {
        eprintln!("another run took another course, so the faults are not reduced");
        error
    })
}

/// Runs the code in a thread with the name of this one.
pub(super) fn in_thread<T: Send>(code: impl FnOnce() -> T + Send) -> T {
    let mut thread = thread::Builder::new();
    if let Some(name) = thread::current().name() {
        thread = thread.name(name.to_owned());
    }
    let result = thread::scope(|scope| {
        let thread = thread.spawn_scoped(scope, code);
        thread.expect("the system starts a thread").join()
    });
    result.unwrap_or_else(|panic| panic::resume_unwind(panic))
}

/// The simulation with its hosts, with its goals moved to those of all seeds.
pub(super) fn built<O: Outcome>(
    builder: Builder,
    build: &impl Fn(&mut Simulation) -> O,
    goals: &mut Goals,
) -> Result<Simulation, Error> {
    let mut simulation = builder.build();
    let seed = simulation.seed();
    let building = Building { seed };
    let built = build(&mut simulation).into_result();
    drop(building);
    built.map_err(|error| Error::new(seed, None, Duration::ZERO, ErrorKind::failed(error)))?;
    goals.extend(simulation.take_goals());
    if let Some(keys) = only_faults() {
        simulation.restrict_faults(keys.iter().map(String::as_str));
    }
    Ok(simulation)
}

/// The lines of a run, with the hash of the trace at each.
fn course<O: Outcome>(seed: u64, build: &impl Fn(&mut Simulation) -> O) -> Vec<(String, u64)> {
    let lines = Rc::<RefCell<Vec<_>>>::default();
    let into = Rc::clone(&lines);
    let add = move |line: &str, hash| into.borrow_mut().push((line.to_owned(), hash));
    // The result is known: only the lines are of interest.
    let builder = Simulation::builder().seed(seed).on_hashed_line(add);
    let _ = built(builder, build, &mut Goals::default()).and_then(Simulation::run);
    lines.take()
}

/// The first lines that differ, in their text or in the hash.
fn first_difference(one: &[(String, u64)], other: &[(String, u64)]) -> Option<[String; 2]> {
    let len = one.len().max(other.len());
    let at = (0..len).find(|&at| one.get(at) != other.get(at))?;
    let line = |lines: &[(String, u64)]| match lines.get(at) {
        Some((line, _)) => line.clone(),
        None => "the end of the run".to_owned(),
    };
    Some([line(one), line(other)])
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

/// The keys of the environment variable.
#[track_caller]
fn only_faults() -> Option<Vec<String>> {
    let text = env::var_os(FAULTS)?;
    assert!(
        env::var_os(ONLY).is_some(),
        "{FAULTS} has faults of one seed, which {ONLY} must have"
    );
    let text = text.to_string_lossy();
    let keys = text.split(',').filter(|key| !key.is_empty());
    Some(keys.map(str::to_owned).collect())
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

/// The body of a test with `#[compio::test(sim)]`, at this path: prints the summary, or panics with the error and the command that
/// repeats it. No public API.
#[doc(hidden)]
#[track_caller]
pub fn run_test<O: Outcome>(
    path: &str,
    seeds: impl IntoIterator<Item = u64>,
    build: impl Fn(&mut Simulation) -> O + Sync,
) {
    let error = match run_seeds(seeds, build) {
        Ok(summary) => return println!("{summary}"),
        Err(error) => error,
    };
    let Some(seed) = error.seed() else {
        panic!("{error}");
    };
    // Names of tests have no name of the crate.
    let name = path.split_once("::").map_or(path, |(_, name)| name);
    let mut variables = format!("{ONLY}={seed} ");
    if matches!(error.kind(), ErrorKind::NotDeterministic(_)) {
        variables += &format!("{TWICE}=1 ");
    }
    let keys: Vec<&str> = error.faults().iter().map(FaultRecord::key).collect();
    let (mut last_faults, mut advice) = (String::new(), String::new());
    if error.is_reduced() || env::var_os(FAULTS).is_some() {
        variables += &format!("{FAULTS}={} ", keys.join(","));
    } else if !keys.is_empty() {
        let last = keys.len().saturating_sub(LAST_FAULTS);
        let lines = error.faults()[last..].iter();
        let lines: String = lines.map(|fault| format!("\n    {fault}")).collect();
        last_faults = format!("\n\nthe last of {} faults:{lines}", keys.len());
        advice = format!("\n\n    {SHRINK}=1 cargo test {name}\n\nfinds the faults that matter");
    }
    panic!("{error}{last_faults}\n\n    {variables}cargo test {name}\n\nrepeats this run{advice}");
}
