//! [`FirstBytes`] and [`FirstRoom`]: the one of many buffers that a writer or
//! reader without vectored operations works on. Made by the default methods of
//! the traits in `io`.

use std::mem::MaybeUninit;

use crate::buf::{IntoInner, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};

/// The first of the buffers with something to write; an empty one if there is
/// none.
#[derive(Debug)]
pub(crate) struct FirstBytes<V> {
    inner: V,
    index: usize,
}

impl<V: IoVectoredBuf> FirstBytes<V> {
    pub(crate) fn new(inner: V) -> Self {
        let index = inner.slices().take_while(|slice| slice.is_empty()).count();
        Self { inner, index }
    }
}

impl<V> IntoInner for FirstBytes<V> {
    type Inner = V;

    fn into_inner(self) -> V {
        self.inner
    }
}

// SAFETY: one of the inner slices, which keep the contract, chosen by a number
// that never changes.
unsafe impl<V: IoVectoredBuf> IoBuf for FirstBytes<V> {
    fn as_init(&self) -> &[u8] {
        self.inner.slices().nth(self.index).unwrap_or_default()
    }
}

/// The first of the buffers with room to read into; an empty one if there is
/// none.
#[derive(Debug)]
pub(crate) struct FirstRoom<V> {
    inner: V,
    // None of the buffers before has any capacity.
    index: usize,
    capacity: usize,
}

impl<V: IoVectoredBufMut> FirstRoom<V> {
    pub(crate) fn new(mut inner: V) -> Self {
        // SAFETY: nothing is written.
        let slices = unsafe { inner.uninit_slices() };
        let (index, capacity) = slices
            .map(|room| room.len())
            .enumerate()
            .find(|&(_, capacity)| capacity > 0)
            .unwrap_or_default();
        Self {
            inner,
            index,
            capacity,
        }
    }
}

impl<V> IntoInner for FirstRoom<V> {
    type Inner = V;

    fn into_inner(self) -> V {
        self.inner
    }
}

// SAFETY: one of the inner slices, which keep the contract, chosen by a number
// that never changes. Its capacity does not change either.
unsafe impl<V: IoVectoredBufMut> IoBuf for FirstRoom<V> {
    fn as_init(&self) -> &[u8] {
        self.inner.slices().nth(self.index).unwrap_or_default()
    }

    fn buf_capacity(&self) -> usize {
        self.capacity
    }
}

// SAFETY: as above. As the buffers before have no capacity, the first `len`
// bytes over all the capacities are the first `len` bytes of this buffer.
unsafe impl<V: IoVectoredBufMut> IoBufMut for FirstRoom<V> {
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: our caller promises the same.
        let mut slices = unsafe { self.inner.uninit_slices() };
        slices.nth(self.index).unwrap_or_default()
    }

    unsafe fn set_init(&mut self, len: usize) {
        // SAFETY: our caller promises the same.
        unsafe { self.inner.set_init(len) };
    }
}
