//! The assertions and faults that at least one seed has to reach.

use std::collections::BTreeSet;

use super::{ErrorKind, Fault, Summary};

#[derive(Debug, Default)]
pub(super) struct Goals {
    pub(super) assertions: BTreeSet<String>,
    pub(super) faults: BTreeSet<Fault>,
}

impl Goals {
    pub(super) fn extend(&mut self, other: Self) {
        self.assertions.extend(other.assertions);
        self.faults.extend(other.faults);
    }

    pub(super) fn check(self, summary: &Summary) -> Result<(), ErrorKind> {
        let assertions = self.assertions.into_iter();
        let missing: Vec<_> = assertions
            .filter(|name| summary.assertion(name).is_none())
            .collect();
        if !missing.is_empty() {
            return Err(ErrorKind::NeverReached(missing));
        }
        let has_occurred = |fault| {
            let summary = summary.fault(fault);
            summary.is_some_and(|summary| summary.occurred > 0)
        };
        let faults = self.faults.into_iter();
        let missing: Vec<_> = faults.filter(|&fault| !has_occurred(fault)).collect();
        if !missing.is_empty() {
            return Err(ErrorKind::NeverOccurred(missing));
        }
        Ok(())
    }
}
