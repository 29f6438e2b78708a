//! The results of the runs of many seeds.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::{AssertionCounts, Fault, Report, report::Operations};
use crate::metrics::{OpKind, OpStats};

/// The results of [`run_seeds`](super::run_seeds): the sums of all reports, and the numbers of seeds. As text, it is a table.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    seeds: u64,
    elapsed: Duration,
    steps: u64,
    assertions: BTreeMap<String, AssertionSummary>,
    operations: Operations,
    faults: BTreeMap<Fault, FaultSummary>,
    restarts: u64,
    calm_in: u64,
    longest_recovery: Duration,
}

/// The counts of one assertion over all seeds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AssertionSummary {
    /// The sums over all seeds.
    pub counts: AssertionCounts,
    /// The number of seeds that have evaluated it.
    pub evaluated_in: u64,
    /// The number of seeds in which its condition was true at least once.
    pub held_in: u64,
}

/// The counts of a family of faults over all seeds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultSummary {
    /// How often it has occurred.
    pub occurred: u64,
    /// The number of seeds in which it has occurred.
    pub occurred_in: u64,
    /// The number of seeds in which it was set, with a chance above 0.0 at any time.
    pub set_in: u64,
}

impl Summary {
    /// The number of seeds.
    pub fn seeds(&self) -> u64 {
        self.seeds
    }

    /// The virtual time of all runs together.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// The steps of all runs together: see [`Report::steps`].
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The operations of a kind: see [`Report::operations`].
    pub fn operations(&self, kind: OpKind) -> OpStats {
        self.operations.of(kind)
    }

    /// The counts of a family of faults. `None` if it was set in no run.
    pub fn fault(&self, fault: Fault) -> Option<FaultSummary> {
        self.faults.get(&fault).copied()
    }

    /// The families of faults that were set, with their counts.
    pub fn faults(&self) -> impl Iterator<Item = (Fault, FaultSummary)> {
        self.faults
            .iter()
            .map(|(fault, summary)| (*fault, *summary))
    }

    /// The restarts of all runs together: see [`Report::restarts`].
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// The number of seeds whose [calm phase](super::Simulation::calm_after) has begun before all clients have ended.
    pub fn calm_in(&self) -> u64 {
        self.calm_in
    }

    /// The longest [recovery](Report::recovery).
    pub fn longest_recovery(&self) -> Duration {
        self.longest_recovery
    }

    /// The counts of an assertion. `None` if no seed has evaluated it.
    pub fn assertion(&self, name: &str) -> Option<AssertionSummary> {
        self.assertions.get(name).copied()
    }

    /// The names and counts of all assertions that were evaluated, by name.
    pub fn assertions(&self) -> impl Iterator<Item = (&str, AssertionSummary)> {
        let assertions = self.assertions.iter();
        assertions.map(|(name, summary)| (name.as_str(), *summary))
    }

    pub(super) fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.elapsed += report.elapsed;
        self.steps += report.steps;
        self.operations.add(|kind| report.operations(kind));
        self.restarts += report.restarts;
        if let Some(recovery) = report.recovery {
            self.calm_in += 1;
            self.longest_recovery = self.longest_recovery.max(recovery);
        }
        for (fault, count) in report.faults() {
            let sum = self.faults.entry(fault).or_default();
            sum.occurred += count;
            sum.occurred_in += u64::from(count > 0);
            sum.set_in += 1;
        }
        for (name, counts) in report.assertions() {
            // Most names are known.
            if !self.assertions.contains_key(name) {
                self.assertions
                    .insert(name.to_owned(), AssertionSummary::default());
            }
            let sum = self.assertions.get_mut(name).expect("just inserted");
            sum.counts.evaluated += counts.evaluated;
            sum.counts.held += counts.held;
            sum.counts.is_sometimes |= counts.is_sometimes;
            sum.evaluated_in += 1;
            sum.held_in += u64::from(counts.held > 0);
        }
    }

    /// The `assert_sometimes` whose condition was never true.
    pub(super) fn never_held(&self) -> Vec<String> {
        let never = |counts: AssertionCounts| counts.is_sometimes && counts.held == 0;
        let assertions = self.assertions.iter();
        let names = assertions.filter(|(_, summary)| never(summary.counts));
        names.map(|(name, _)| name.clone()).collect()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seeds,
            elapsed,
            steps,
            restarts,
            calm_in,
            longest_recovery,
            ..
        } = self;
        write!(
            f,
            "seeds: {seeds}, virtual time: {elapsed:?}, steps: {steps}"
        )?;
        if *restarts > 0 {
            write!(f, "\nrestarts: {restarts}")?;
        }
        if *calm_in > 0 {
            write!(
                f,
                "\ncalm phases: {calm_in}, longest recovery: {longest_recovery:?}"
            )?;
        }
        for (name, summary) in &self.assertions {
            let AssertionSummary {
                counts,
                evaluated_in,
                held_in,
            } = summary;
            let AssertionCounts {
                evaluated,
                held,
                is_sometimes,
            } = counts;
            let kind = if *is_sometimes { "sometimes" } else { "always" };
            write!(
                f,
                "\n{kind} `{name}`: true {held} of {evaluated} times, in {held_in} of {evaluated_in} seeds"
            )?;
        }
        for (fault, summary) in &self.faults {
            let FaultSummary {
                occurred,
                occurred_in,
                set_in,
            } = summary;
            write!(
                f,
                "\nfault `{fault}`: {occurred} times, in {occurred_in} of {set_in} seeds"
            )?;
        }
        for &kind in OpKind::ALL {
            let OpStats {
                completed, errors, ..
            } = self.operations(kind);
            if completed > 0 {
                write!(
                    f,
                    "\noperation `{kind}`: {completed} completed, {errors} with an error"
                )?;
            }
        }
        Ok(())
    }
}
