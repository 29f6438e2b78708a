//! The hash over each request, result and time of a run. Two runs with equal hashes took the same course.

use std::time::Duration;

use super::rng::{STEP, mix};

#[derive(Debug)]
pub(super) struct Trace {
    hash: u64,
    records: u64,
}

/// The type of a record. The numbers are part of the hash.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mark {
    Submit = 1,
    Result = 2,
    Event = 3,
    Bytes = 4,
    Call = 5,
    Random = 6,
    Job = 7,
    Host = 8,
    Cancel = 9,
    Link = 10,
}

impl Trace {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            hash: mix(seed),
            records: 0,
        }
    }

    /// Adds a record.
    pub(super) fn add(&mut self, now: Duration, mark: Mark, values: &[u64]) {
        self.records += 1;
        self.push(mark as u64);
        self.push(now.as_nanos() as u64);
        for value in values {
            self.push(*value);
        }
    }

    /// Adds the content of a transfer.
    pub(super) fn add_bytes(&mut self, now: Duration, bytes: &[u8]) {
        self.add(now, Mark::Bytes, &[bytes.len() as u64]);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.push(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.push(u64::from_le_bytes(word));
        }
    }

    /// One multiplication: the high and the low half of the product depend on all bits.
    fn push(&mut self, value: u64) {
        let product = u128::from(self.hash ^ value) * u128::from(STEP);
        self.hash = (product as u64 ^ (product >> 64) as u64).wrapping_add(STEP);
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }
}
