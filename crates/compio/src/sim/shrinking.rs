//! The reduction of a failure to the faults that matter.
//!
//! Delta debugging by removal, after Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing Input, 2002: smaller and
//! smaller parts of the faults are suppressed, as long as the run still fails in the same way.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    mem::{Discriminant, discriminant},
    panic::{self, PanicHookInfo},
    sync::Once,
    time::Duration,
};

use super::{
    Error, ErrorKind, Fault, FaultRecord, Outcome, Report, Simulation,
    error::Reduction,
    goals::Goals,
    seeds::{built, in_thread},
};

/// The most seeds after the first one that fails.
const SEEDS_MAX: usize = 2000;

/// The most runs of a search.
const RUNS_MAX: usize = 200;

/// The virtual time of a reduced run is twice the time of the failure, and this.
const MORE_TIME: Duration = Duration::from_secs(60);

/// Reduces a failure to the faults that matter: runs the simulation of a seed again and again with a part of its faults suppressed, as
/// long as it fails in the same way. Returns the error of a last run, with the remaining [faults](Error::faults). `None` if no seed
/// fails.
///
/// ```
/// use std::{future::pending, io, time::Duration};
///
/// use compio::{
///     fs,
///     sim::{self, DiskFaults, Unsynced},
///     time::sleep,
/// };
///
/// /// Forgets to sync.
/// async fn database() -> io::Result<()> {
///     let is_first = sim::elapsed() == Some(Duration::ZERO);
///     assert!(is_first || fs::try_exists("/data").await?, "the data are lost");
///     fs::write("/data", "content").await.0?;
///     pending().await
/// }
///
/// let error = sim::shrink([7], |simulation| {
///     simulation.host("db-1", database);
///     let unsynced = Unsynced::Lost;
///     simulation.disk("db-1", DiskFaults { unsynced, ..DiskFaults::default() });
///     simulation.client("operator", async {
///         for second in 1..=20 {
///             sleep(Duration::from_secs(1)).await;
///             if second == 18 {
///                 sim::power_loss("db-1")?;
///             } else {
///                 sim::crash("db-1")?;
///             }
///             sleep(Duration::from_millis(300)).await;
///             sim::restart("db-1")?;
///         }
///         Ok::<_, sim::Error>(())
///     });
/// });
/// let error = error.unwrap();
/// let faults: Vec<String> = error.faults().iter().map(ToString::to_string).collect();
/// assert_eq!(faults, [
///     "at 23.1s: loss of power of db-1, for 300ms",
///     "at 23.1s: db-1: loss of unsynced changes of names: data",
/// ]);
/// ```
///
/// # The faults
///
/// Faults are the chance faults of links, disks and completions, unsynced changes that are lost with the power, and
/// the calls [`crash`](super::crash), [`power_loss`](super::power_loss), [`partition`](super::partition), [`hold`](super::hold), and
/// [`restart`](super::restart) of a program that runs. A suppressed fault has no effect. A restart of a program that does not run is no
/// fault, nor is a [`repair`](super::repair) or a [`release`](super::release). Settings stay: chances, latencies, bandwidths, capacities, clocks.
///
/// The others occur at the same times as before. A program may take another course without a fault, and a fault that meets no
/// operation at its time meets the next one then. So a failure that depends on chance in many places is reduced less.
///
/// # The search
///
/// Of the first seed that fails, and of 2,000 further ones that fail in the same way, it takes the one with the fewest faults.
/// It suppresses all faults, then each family, then smaller and smaller parts, then each single fault. After 200 runs it ends,
/// and the message of the error says so. Otherwise no single fault of the result can be suppressed. A run that does not fail ends
/// after twice the virtual time of the failure and a minute.
///
/// Two failures are the same if they have the same [`ErrorKind`], and
///
/// - the same name of an [`assert_always`](super::assert_always) or [`invariant`](Simulation::invariant),
/// - the same place of a panic in the code,
/// - the same message without its digits, of an error that a program has returned,
/// - the same assertions that were not evaluated.
///
/// Only the last run prints its panics. For this, the first call adds a panic hook to the process. It passes all other panics on.
///
/// # Panics
///
/// If `build` panics, and if the system starts no thread.
pub fn shrink<O: Outcome>(
    seeds: impl IntoIterator<Item = u64>,
    build: impl Fn(&mut Simulation) -> O + Sync,
) -> Option<Error> {
    // The failure of a seed, if there is one.
    let fail = |seed, restrict: &(dyn Fn(&mut Simulation) + Sync), is_shown| {
        in_thread(|| {
            let builder = Simulation::builder().seed(seed);
            let built = built(builder, &build, &mut Goals::default());
            run(
                || {
                    let mut simulation = built?;
                    restrict(&mut simulation);
                    simulation.run()
                },
                is_shown,
            )
        })
    };
    let failure_of = |seed| {
        let (failure, error) = fail(seed, &|_| (), false)?;
        Some((seed, failure, error))
    };
    let mut seeds = seeds.into_iter();
    let (mut seed, failure, mut error) = seeds.find_map(failure_of)?;
    for (other, same, shorter) in seeds.take(SEEDS_MAX).filter_map(failure_of) {
        if same == failure && shorter.faults().len() < error.faults().len() {
            (seed, error) = (other, shorter);
        }
    }
    let time_limit = if matches!(error.kind(), ErrorKind::TimeLimit(_)) {
        Duration::MAX
    } else {
        error.at() * 2 + MORE_TIME
    };
    let fails_with = |faults: &[&FaultRecord], is_shown| {
        let restrict = |simulation: &mut Simulation| {
            simulation.restrict_faults(faults.iter().map(|fault| fault.key()));
            simulation.restrict_time(time_limit);
        };
        let (again, error) = fail(seed, &restrict, is_shown)?;
        (again == failure).then_some(error)
    };
    let mut search = Search {
        fails_with: |faults: &[&FaultRecord]| fails_with(faults, false),
        runs: 1,
        is_cut: false,
    };
    let kept = search.reduce(error.faults().to_vec());
    let reduction = Reduction {
        of: error.faults().len(),
        runs: search.runs + 1,
        is_cut: search.is_cut,
    };
    let last = fails_with(&kept.iter().collect::<Vec<_>>(), true)?;
    Some(last.with_reduction(reduction))
}

struct Search<F> {
    /// The error of a run with these faults, if it is the same failure.
    fails_with: F,
    runs: usize,
    is_cut: bool,
}

impl<F: Fn(&[&FaultRecord]) -> Option<Error>> Search<F> {
    /// The faults that matter.
    fn reduce(&mut self, all: Vec<FaultRecord>) -> Vec<FaultRecord> {
        let families: BTreeSet<Fault> = all.iter().map(FaultRecord::fault).collect();
        let mut kept = all.clone();
        self.suppress(&mut kept, |_, _| true);
        for family in families {
            self.suppress(&mut kept, |_, fault| fault.fault() == family);
        }
        let mut size = kept.len() / 2;
        while size > 0 {
            let mut begin = 0;
            let mut is_reduced = false;
            while begin < kept.len() {
                let part = begin..begin + size;
                if self.suppress(&mut kept, |index, _| part.contains(&index)) {
                    is_reduced = true;
                } else {
                    begin += size;
                }
            }
            // A single fault that mattered may not matter without later ones.
            if size > 1 || !is_reduced {
                size /= 2;
            }
        }
        kept
    }

    /// Suppresses a part of the faults, if the run still fails. Returns whether it does.
    fn suppress(
        &mut self,
        kept: &mut Vec<FaultRecord>,
        is_suppressed: impl Fn(usize, &FaultRecord) -> bool,
    ) -> bool {
        let all = kept.iter().enumerate();
        let rest = all.filter(|(index, fault)| !is_suppressed(*index, fault));
        let rest: Vec<&FaultRecord> = rest.map(|(_, fault)| fault).collect();
        if rest.len() == kept.len() {
            return false;
        }
        // One run is left for the check.
        self.is_cut |= self.runs + 1 == RUNS_MAX;
        if self.is_cut {
            return false;
        }
        self.runs += 1;
        let Some(error) = (self.fails_with)(&rest) else {
            return false;
        };
        // Some of the others may not have occurred.
        *kept = error.faults().to_vec();
        true
    }
}

/// The properties in which two failures have to be equal.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    kind: Discriminant<ErrorKind>,
    detail: String,
}

/// Runs a simulation by this code. Returns its error.
fn run(code: impl FnOnce() -> Result<Report, Error>, is_shown: bool) -> Option<(Failure, Error)> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !record(info) {
                previous(info);
            }
        }));
    });
    let _recording = Recording::begin(is_shown);
    let error = code().err()?;
    let kind = error.kind();
    let detail = if let ErrorKind::Violated { name, .. } = kind {
        name.clone()
    } else if let ErrorKind::Panic(message) = kind {
        place_of(message).unwrap_or_else(|| without_digits(message))
    } else if let ErrorKind::Failed(error) = kind {
        without_digits(&error.to_string())
    } else if let ErrorKind::NotReached(names) = kind {
        names.join(", ")
    } else {
        String::new()
    };
    let kind = discriminant(kind);
    Some((Failure { kind, detail }, error))
}

fn without_digits(text: &str) -> String {
    text.replace(|char: char| char.is_ascii_digit(), "")
}

/// The panics of this thread, until it is dropped.
struct Recording(());

thread_local! {
    static PANICS: RefCell<Option<Panics>> = const { RefCell::new(None) };
}

struct Panics {
    is_shown: bool,
    /// By message.
    places: BTreeMap<String, String>,
}

impl Recording {
    fn begin(is_shown: bool) -> Self {
        let places = BTreeMap::new();
        PANICS.set(Some(Panics { is_shown, places }));
        Self(())
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        PANICS.set(None);
    }
}

/// The place of the panic with this message in the code.
fn place_of(message: &str) -> Option<String> {
    PANICS.with_borrow(|panics| panics.as_ref()?.places.get(message).cloned())
}

/// Records a panic. Returns whether it is not to be printed.
fn record(info: &PanicHookInfo<'_>) -> bool {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let message = info.payload_as_str().unwrap_or_default().to_owned();
    let record = |panics: &RefCell<Option<Panics>>| match &mut *panics.borrow_mut() {
        Some(panics) => {
            panics.places.insert(message, place);
            !panics.is_shown
        }
        None => false,
    };
    PANICS.try_with(record).unwrap_or(false)
}
