//! `smallvec::SmallVec` as a buffer, under the feature `smallvec`.

use std::mem::MaybeUninit;

use smallvec::{Array, SmallVec};

use crate::buf::{IoBuf, IoBufMut};

// SAFETY: the bytes are within the value or in a heap block that it alone owns.
// They move, grow and die only with the value or by mutation.
unsafe impl<A: Array<Item = u8> + 'static> IoBuf for SmallVec<A> {
    fn as_init(&self) -> &[u8] {
        self
    }

    fn buf_capacity(&self) -> usize {
        self.capacity()
    }
}

// SAFETY: as above. Setting the length moves no bytes between the value and the
// heap, so address and capacity stay.
unsafe impl<A: Array<Item = u8> + 'static> IoBufMut for SmallVec<A> {
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        let (start, capacity) = (self.as_mut_ptr(), self.capacity());
        // SAFETY: the address is good for `capacity` bytes, borrowed mutably like
        // the vector, and bytes may be uninitialised as `MaybeUninit`.
        unsafe { std::slice::from_raw_parts_mut(start.cast(), capacity) }
    }

    unsafe fn set_init(&mut self, len: usize) {
        // SAFETY: the caller promises `len` initialised bytes within capacity.
        unsafe { self.set_len(len) };
    }
}
