//! The types of the `bytes` crate as buffers; under the feature `bytes`.
//!
//! `Bytes` can only be read from: its bytes are shared.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};

use crate::buf::{IoBuf, IoBufMut};

// SAFETY: the handle keeps its block alive, and shared blocks are never written
// to. It holds an address, so moving it does not move the bytes.
unsafe impl IoBuf for Bytes {
    fn as_init(&self) -> &[u8] {
        self
    }
}

// SAFETY: the handle keeps its block alive and is alone in its part of it.
unsafe impl IoBuf for BytesMut {
    fn as_init(&self) -> &[u8] {
        self
    }

    fn buf_capacity(&self) -> usize {
        self.capacity()
    }
}

// SAFETY: as above; the part reaches from the first byte over the capacity.
unsafe impl IoBufMut for BytesMut {
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        // Of an empty `BytesMut` the spare capacity is all of it. An address
        // taken by deref would be good for the initialised bytes only.
        let initialised = self.len();
        // SAFETY: no bytes are claimed to be initialised.
        unsafe { self.set_len(0) };
        let room = self.spare_capacity_mut();
        let (start, capacity) = (room.as_mut_ptr(), room.len());
        // SAFETY: so many bytes were initialised on entry, and none was touched.
        unsafe { self.set_len(initialised) };
        // SAFETY: the address and the length of a slice borrowed from `self`,
        // which `set_len` neither moved nor wrote to; still borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(start, capacity) }
    }

    unsafe fn set_init(&mut self, len: usize) {
        // SAFETY: the caller promises `len` initialised bytes within capacity.
        unsafe { self.set_len(len) };
    }
}
