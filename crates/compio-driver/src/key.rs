//! [`Key`]: the number of an operation, for backends and the arena.

use std::fmt;

/// Names one operation of one driver: the cell's index and its generation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

#[allow(dead_code, reason = "not every backend needs numbers")]
impl Key {
    /// The two highest bits of a key are free for backends, which mark completions of their own by them.
    pub(crate) const GENERATION_BITS: u32 = 30;

    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The cell's index, a small number: operations in flight at the same time have different indices.
    pub(crate) fn index(self) -> u32 {
        self.index
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self {
            index: bits as u32,
            generation: (bits >> 32) as u32,
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.index, self.generation)
    }
}
