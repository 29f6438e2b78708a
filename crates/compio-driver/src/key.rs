//! [`Key`]: the number of an operation, for backends and the arena.

use std::fmt;

/// Names one operation of one driver: the cell's index and its generation.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The cell's index, a small number: operations in flight at the same time have different indices.
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl Key {
    /// The two highest bits of a key's user data are free for backends, which mark completions of their own
    /// by them.
    pub(crate) const GENERATION_BITS: u32 = 30;
}

/// The key as the user data of a request.
impl From<Key> for u64 {
    #[inline]
    fn from(key: Key) -> Self {
        Self::from(key.generation) << 32 | Self::from(key.index)
    }
}

impl From<u64> for Key {
    #[inline]
    fn from(bits: u64) -> Self {
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
