//! Counters that one thread writes and all threads read.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that one thread changes and all threads read.
///
/// A change is a load and a store, without the cost of an atomic addition: one of two threads that change it at
/// the same time loses its change.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// A counter of zero.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds to it. It wraps around.
    #[inline]
    pub fn add(&self, count: u64) {
        // Relaxed: a counter orders no other access.
        let value = self.0.load(Ordering::Relaxed);
        self.set(value.wrapping_add(count));
    }

    /// Replaces it.
    #[inline]
    pub fn set(&self, value: u64) {
        // Relaxed: as in `add`.
        self.0.store(value, Ordering::Relaxed);
    }

    /// Its value.
    #[inline]
    pub fn get(&self) -> u64 {
        // Relaxed: as in `add`.
        self.0.load(Ordering::Relaxed)
    }
}
