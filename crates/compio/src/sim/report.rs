//! The result of a run.

use std::time::Duration;

use super::assertions::{AssertionCounts, Assertions};

/// The result of a run in which all clients have succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub(super) seed: u64,
    pub(super) elapsed: Duration,
    pub(super) trace_hash: u64,
    pub(super) trace_len: u64,
    pub(super) assertions: Assertions,
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
