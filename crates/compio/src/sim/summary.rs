//! The results of the runs of many seeds.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::{AssertionCounts, Report};

/// The results of [`run_seeds`](super::run_seeds): the sums of all reports, and the numbers of seeds. As text, it is a table.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    seeds: u64,
    elapsed: Duration,
    assertions: BTreeMap<String, AssertionSummary>,
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

impl Summary {
    /// The number of seeds.
    pub fn seeds(&self) -> u64 {
        self.seeds
    }

    /// The virtual time of all runs together.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
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
        let Self { seeds, elapsed, .. } = self;
        write!(f, "seeds: {seeds}, virtual time: {elapsed:?}")?;
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
            let quantifier = if *is_sometimes { "sometimes" } else { "always" };
            write!(
                f,
                "\n{quantifier} `{name}`: true {held} of {evaluated} times, in {held_in} of {evaluated_in} seeds"
            )?;
        }
        Ok(())
    }
}
