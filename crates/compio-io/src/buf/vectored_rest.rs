//! [`VectoredRest`]: many buffers of which the first bytes have been read. Made
//! by `read_vectored_exact` and `read_vectored_exact_at`.

use std::mem::MaybeUninit;

use crate::buf::{IntoInner, IoVectoredBuf, IoVectoredBufMut};

/// The room that is left after a short read, counted over the capacities.
#[derive(Debug)]
pub(crate) struct VectoredRest<V> {
    inner: V,
    // The first `filled` bytes over the capacities are initialised. They are the
    // buffers before number `index`, and `offset` bytes of that one.
    filled: usize,
    index: usize,
    offset: usize,
}

impl<V: IoVectoredBufMut> VectoredRest<V> {
    /// The buffers without their first `filled` bytes, or the buffers themselves
    /// if there is no room behind these.
    ///
    /// # Panics
    ///
    /// If fewer bytes are initialised. A reader needs no `unsafe` to claim a
    /// wrong number or to return other buffers.
    pub(crate) fn new(mut inner: V, filled: usize) -> Result<Self, V> {
        let mut offset = filled;
        // SAFETY: nothing is written.
        let mut rooms = unsafe { inner.uninit_slices() }.map(|room| room.len());
        // The first buffer with room behind the bytes.
        let index = rooms.position(|room| {
            let is_full = room <= offset;
            offset -= if is_full { room } else { 0 };
            !is_full
        });
        drop(rooms);
        let full_buffers = index.unwrap_or(usize::MAX);
        let full: usize = inner.slices().take(full_buffers).map(<[u8]>::len).sum();
        let last = inner.slices().nth(full_buffers).map_or(0, <[u8]>::len);
        // No buffer is longer than its room: equal sums are equal lengths.
        assert!(
            full + offset == filled && offset <= last,
            "a reader claims {filled} bytes but initialised {}",
            full + last.min(offset)
        );
        let Some(index) = index else {
            return Err(inner);
        };
        Ok(Self {
            inner,
            filled,
            index,
            offset,
        })
    }
}

impl<V> IntoInner for VectoredRest<V> {
    type Inner = V;

    fn into_inner(self) -> V {
        self.inner
    }
}

// SAFETY: parts of the inner slices, which keep the contract, chosen by numbers
// that never change. `new` has checked that the first of them reaches to `offset`.
unsafe impl<V: IoVectoredBufMut> IoVectoredBuf for VectoredRest<V> {
    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let mut offset = self.offset;
        self.inner.slices().skip(self.index).map(move |slice| {
            // Only of the first buffer.
            &slice[std::mem::take(&mut offset)..]
        })
    }
}

// SAFETY: as above, and the same parts of the room, in the same number. The first
// `filled` bytes over the inner capacities stay initialised, so that `total` more
// are the first bytes of these parts.
unsafe impl<V: IoVectoredBufMut> IoVectoredBufMut for VectoredRest<V> {
    unsafe fn uninit_slices(&mut self) -> impl Iterator<Item = &mut [MaybeUninit<u8>]> {
        let mut offset = self.offset;
        // SAFETY: our caller promises the same.
        let rooms = unsafe { self.inner.uninit_slices() };
        rooms.skip(self.index).map(move |room| {
            // Only of the first buffer.
            &mut room[std::mem::take(&mut offset)..]
        })
    }

    unsafe fn set_init(&mut self, total: usize) {
        // SAFETY: `filled` bytes are initialised as `new` has checked, and the
        // next `total` as our caller promises.
        unsafe { self.inner.set_init(self.filled + total) };
    }
}
