//! The result of a run.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Fault,
    assertions::{AssertionCounts, Assertions},
};
use crate::metrics::{OpKind, OpStats};

/// The result of a run in which all clients have succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub(super) seed: u64,
    pub(super) elapsed: Duration,
    pub(super) trace_hash: u64,
    pub(super) trace_len: u64,
    pub(super) steps: u64,
    pub(super) assertions: Assertions,
    pub(super) operations: Operations,
    pub(super) faults: BTreeMap<Fault, u64>,
    pub(super) restarts: u64,
    pub(super) recovery: Option<Duration>,
}

/// The operations of several runtimes, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Operations([OpStats; OpKind::ALL.len()]);

impl Operations {
    pub(super) fn add(&mut self, of_kind: impl Fn(OpKind) -> OpStats) {
        for &kind in OpKind::ALL {
            let (sum, more) = (&mut self.0[kind as usize], of_kind(kind));
            sum.in_flight += more.in_flight;
            sum.completed += more.completed;
            sum.errors += more.errors;
            sum.bytes += more.bytes;
        }
    }

    pub(super) fn of(&self, kind: OpKind) -> OpStats {
        self.0[kind as usize]
    }
}

impl Report {
    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The virtual time that has passed.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// The hash over each request, result, packet, random number and time of all hosts, with the bytes that they have sent and
    /// written. Two runs of one program with one seed have equal hashes, in the same version of this crate.
    pub fn trace_hash(&self) -> u64 {
        self.trace_hash
    }

    /// The number of records in the hash.
    pub fn trace_len(&self) -> u64 {
        self.trace_len
    }

    /// The number of steps: each runs the ready tasks of one host.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The operations of a kind of all hosts, over all restarts. The end of a program or of the run has cancelled those in flight.
    /// Calls that are no operation of the runtime do not count, such as synchronous opens.
    pub fn operations(&self, kind: OpKind) -> OpStats {
        self.operations.of(kind)
    }

    /// How often a family of faults has occurred. `None` if it was not set: all its chances were 0.0 from the begin to the end.
    pub fn fault(&self, fault: Fault) -> Option<u64> {
        self.faults.get(&fault).copied()
    }

    /// The families of faults that were set, and how often they have occurred.
    pub fn faults(&self) -> impl Iterator<Item = (Fault, u64)> {
        self.faults.iter().map(|(fault, count)| (*fault, *count))
    }

    /// The number of restarts by a [policy](super::Simulation::restart_policy).
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// The time from the begin of the [calm phase](super::Simulation::calm_after) to the end of the last client. `None` if all
    /// clients have ended before.
    pub fn recovery(&self) -> Option<Duration> {
        self.recovery
    }

    /// The counts of an assertion: see [`assert_always`](super::assert_always) and
    /// [`assert_sometimes`](super::assert_sometimes). `None` if it was not evaluated.
    pub fn assertion(&self, name: &str) -> Option<AssertionCounts> {
        self.assertions.get(name).copied()
    }

    /// The names and counts of all assertions that were evaluated, by name.
    pub fn assertions(&self) -> impl Iterator<Item = (&str, AssertionCounts)> {
        let assertions = self.assertions.iter();
        assertions.map(|(name, counts)| (name.as_str(), *counts))
    }
}
