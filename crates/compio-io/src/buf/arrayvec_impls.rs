//! `arrayvec::ArrayVec` and `ArrayString` as buffers, under the feature
//! `arrayvec`.
//!
//! A string can only be written from, as bytes read need not be UTF-8.

use std::mem::MaybeUninit;

use arrayvec::{ArrayString, ArrayVec};

use crate::buf::{IoBuf, IoBufMut};

// SAFETY: the bytes are within the value; they stay while it isn't moved.
unsafe impl<const CAPACITY: usize> IoBuf for ArrayVec<u8, CAPACITY> {
    fn as_init(&self) -> &[u8] {
        self
    }

    fn buf_capacity(&self) -> usize {
        CAPACITY
    }
}

// SAFETY: as above; there is always room for as many bytes as the type says.
unsafe impl<const CAPACITY: usize> IoBufMut for ArrayVec<u8, CAPACITY> {
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        let start = self.as_mut_ptr();
        // SAFETY: the address is good for the whole array, borrowed mutably like
        // the vector, and bytes may be uninitialised as `MaybeUninit`.
        unsafe { std::slice::from_raw_parts_mut(start.cast(), CAPACITY) }
    }

    unsafe fn set_init(&mut self, len: usize) {
        // SAFETY: the caller promises `len` initialised bytes within capacity.
        unsafe { self.set_len(len) };
    }
}

// SAFETY: the bytes are within the value; they stay while it isn't moved.
unsafe impl<const CAPACITY: usize> IoBuf for ArrayString<CAPACITY> {
    fn as_init(&self) -> &[u8] {
        self.as_bytes()
    }
}
