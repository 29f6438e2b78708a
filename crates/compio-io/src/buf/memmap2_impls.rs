//! Memory maps of the `memmap2` crate as buffers, under the feature `memmap2`.
//!
//! The maps of a file are made by `unsafe` functions. Their caller promises that
//! the file is neither changed nor truncated elsewhere while the map exists,
//! which is rule 2 of [`IoBuf`]. A page behind the end of a truncated file has no
//! memory: an access from the program raises `SIGBUS`, and a system call answers
//! `EFAULT` or moves fewer bytes (mmap(2), read(2)).

use std::mem::MaybeUninit;

use memmap2::{Mmap, MmapMut};

use crate::buf::{IoBuf, IoBufMut};

// SAFETY: the map stays at its address until it is dropped; a leaked map stays
// until the process ends. The value holds an address, so moving it does not move the bytes. No
// safe method writes to them; the maker of the map has promised that nothing else
// does.
unsafe impl IoBuf for Mmap {
    fn as_init(&self) -> &[u8] {
        self
    }
}

// SAFETY: as for `Mmap`; safe code writes to the bytes through `&mut` only.
unsafe impl IoBuf for MmapMut {
    fn as_init(&self) -> &[u8] {
        self
    }
}

// SAFETY: as above. The map is writable and all its bytes are initialised, by the
// file or as zeros. The length is fixed.
unsafe impl IoBufMut for MmapMut {
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: our caller promises the same.
        unsafe { (**self).as_uninit() }
    }

    unsafe fn set_init(&mut self, len: usize) {
        debug_assert!(len <= self.len());
    }
}
