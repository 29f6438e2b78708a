//! Assertions with a name, whose evaluations are counted.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use compio_driver::os::simulated::current;

use super::Error;

/// The counts of one assertion in a run, or in several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AssertionCounts {
    /// How often it was evaluated.
    pub evaluated: u64,
    /// How often its condition was true.
    pub held: u64,
    /// Whether its condition has to be true once only: it is an [`assert_sometimes`].
    pub is_sometimes: bool,
}

/// The counts of all assertions, by name.
pub(super) type Assertions = BTreeMap<String, AssertionCounts>;

thread_local! {
    /// The assertions of the run on this thread.
    static CURRENT: RefCell<Assertions> = const { RefCell::new(BTreeMap::new()) };
    /// The name of an `assert_always` that was false. The panic may have ended a task that no other one waits for.
    static VIOLATED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Takes the counts of the run, for the next one to begin with none.
pub(super) fn take() -> Assertions {
    VIOLATED.take();
    CURRENT.take()
}

/// Takes the name of an `assert_always` that was false.
pub(super) fn take_violated() -> Option<String> {
    VIOLATED.take()
}

/// Those of the names that no assertion has been evaluated for.
pub(super) fn not_reached(names: &BTreeSet<String>, assertions: &Assertions) -> Vec<String> {
    let missing = names.iter().filter(|name| !assertions.contains_key(*name));
    missing.cloned().collect()
}

/// Counts an evaluation, in the current host.
#[track_caller]
pub(super) fn count(condition: bool, name: &str, is_sometimes: bool) {
    assert!(current().is_some(), "{}", Error::outside());
    CURRENT.with_borrow_mut(|assertions| {
        // Most calls find their entry.
        if !assertions.contains_key(name) {
            assertions.insert(name.to_owned(), AssertionCounts::default());
        }
        let counts = assertions.get_mut(name).expect("just inserted");
        counts.evaluated += 1;
        counts.held += u64::from(condition);
        counts.is_sometimes |= is_sometimes;
    });
}

/// Panics if the condition is false, and counts the evaluation. So a test can require that it was evaluated at all: see
/// [`Simulation::must_reach`](super::Simulation::must_reach).
///
/// A false condition fails the run with [`Violated`](super::ErrorKind::Violated) in each task, also in one that no other task waits
/// for.
///
/// ```
/// use compio::sim::{self, Simulation};
///
/// fn main() -> Result<(), sim::Error> {
///     let mut simulation = Simulation::builder().build();
///     simulation.must_reach("no number is lost");
///     simulation.client("counter", async {
///         let sum: u32 = (1..=4).sum();
///         sim::assert_always(sum == 10, "no number is lost");
///     });
///     let report = simulation.run()?;
///     assert_eq!(report.assertion("no number is lost").unwrap().evaluated, 1);
///     Ok(())
/// }
/// ```
///
/// # Panics
///
/// If the condition is false, and outside of a simulated host.
#[track_caller]
pub fn assert_always(condition: bool, name: &str) {
    count(condition, name, false);
    if !condition {
        VIOLATED.set(Some(name.to_owned()));
        panic!("`{name}` does not hold");
    }
}

/// Counts whether the condition is true. Over all seeds of [`run_seeds`](super::run_seeds), it has to be true at least once: a
/// rare state that no seed reaches is not tested.
///
/// ```
/// use compio::sim;
///
/// fn main() -> Result<(), sim::Error> {
///     sim::run_seeds(0..20, |simulation| {
///         simulation.client("dice", async {
///             sim::assert_sometimes(sim::rng().below(6) == 0, "a six");
///         });
///     })?;
///     Ok(())
/// }
/// ```
///
/// # Panics
///
/// Outside of a simulated host.
#[track_caller]
pub fn assert_sometimes(condition: bool, name: &str) {
    count(condition, name, true);
}
