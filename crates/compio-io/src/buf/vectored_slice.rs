//! [`VectoredSlice`]: many buffers without their first bytes.
//!
//! For writing only. A slice for reads would have to count over capacities
//! while this one counts over initialised bytes, and could leave gaps.

use crate::buf::{IntoInner, IoVectoredBuf};

/// Buffers without their first bytes, for instance the unwritten bytes after a
/// short write.
///
/// Buffers that are skipped as a whole, and empty ones, are left out.
///
/// ```
/// use compio::buf::{IoVectoredBuf, VectoredSlice};
///
/// let rest = VectoredSlice::new(("head", "body"), 6);
/// assert_eq!(rest.slices().collect::<Vec<_>>(), [b"dy"]);
/// ```
#[derive(Debug)]
pub struct VectoredSlice<V> {
    inner: V,
    begin: usize,
}

impl<V: IoVectoredBuf> VectoredSlice<V> {
    /// `inner` without its first `begin` bytes, counted over the initialised
    /// bytes of all its buffers.
    ///
    /// # Panics
    ///
    /// If there are fewer than `begin` bytes.
    pub fn new(inner: V, begin: usize) -> Self {
        let total = inner.total_len();
        assert!(
            begin <= total,
            "slice begins at {begin}, behind the {total} initialised bytes"
        );
        Self { inner, begin }
    }
}

impl<V> VectoredSlice<V> {
    /// How many bytes are skipped.
    pub fn begin(&self) -> usize {
        self.begin
    }

    /// The buffers, whole.
    pub fn as_inner(&self) -> &V {
        &self.inner
    }
}

impl<V> IntoInner for VectoredSlice<V> {
    type Inner = V;

    fn into_inner(self) -> V {
        self.inner
    }
}

// SAFETY: parts of the inner slices, which keep the contract, chosen by a number
// that never changes.
unsafe impl<V: IoVectoredBuf> IoVectoredBuf for VectoredSlice<V> {
    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let mut skip = self.begin;
        self.inner.slices().filter_map(move |slice| {
            let skipped = skip.min(slice.len());
            skip -= skipped;
            let rest = &slice[skipped..];
            (!rest.is_empty()).then_some(rest)
        })
    }
}
