//! Which types of the standard library are buffers.
//!
//! Not among them: `Rc<Vec<u8>>` and other shared owners of a growable type
//! (a blanket over `Rc<T>` would let another handle mutate a `T` with interior
//! mutability), and strings as targets of reads (bytes read need not be UTF-8).

use std::{mem::MaybeUninit, rc::Rc, sync::Arc};

use crate::buf::{IoBuf, IoBufMut};

/// Whole slices of initialised bytes, as the target of a read.
fn uninit(bytes: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    let (start, len) = (bytes.as_mut_ptr(), bytes.len());
    // SAFETY: same memory, same layout, same borrow. `MaybeUninit` allows to
    // make bytes uninitialised: the callers are all `as_uninit`, whose own
    // callers promise not to.
    unsafe { std::slice::from_raw_parts_mut(start.cast(), len) }
}

// SAFETY: the vector is the only owner of its heap block, which moves, grows
// and dies only by mutation.
unsafe impl IoBuf for Vec<u8> {
    fn as_init(&self) -> &[u8] {
        self
    }

    fn buf_capacity(&self) -> usize {
        self.capacity()
    }
}

// SAFETY: as above, and the block is as long as the capacity says.
unsafe impl IoBufMut for Vec<u8> {
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        let (start, capacity) = (self.as_mut_ptr(), self.capacity());
        // SAFETY: the block is ours for `capacity` bytes, borrowed mutably like
        // the vector, and bytes may be uninitialised as `MaybeUninit`.
        unsafe { std::slice::from_raw_parts_mut(start.cast(), capacity) }
    }

    unsafe fn set_init(&mut self, len: usize) {
        // SAFETY: the caller promises `len` initialised bytes within capacity.
        unsafe { self.set_len(len) };
    }
}

// SAFETY: the bytes are the value itself; they stay while it isn't moved.
unsafe impl<const N: usize> IoBuf for [u8; N] {
    fn as_init(&self) -> &[u8] {
        self
    }
}

// SAFETY: as above; all bytes are always initialised, the length is fixed.
unsafe impl<const N: usize> IoBufMut for [u8; N] {
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        uninit(self)
    }

    unsafe fn set_init(&mut self, len: usize) {
        debug_assert!(len <= N);
    }
}

// SAFETY: the box is the only owner of its heap block.
unsafe impl IoBuf for Box<[u8]> {
    fn as_init(&self) -> &[u8] {
        self
    }
}

// SAFETY: as above; all bytes are always initialised, the length is fixed.
unsafe impl IoBufMut for Box<[u8]> {
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        uninit(self)
    }

    unsafe fn set_init(&mut self, len: usize) {
        debug_assert!(len <= self.len());
    }
}

// SAFETY: the box is the only owner of the inner buffer, which keeps the
// contract; while the box is neither moved nor mutated nor dropped, the inner
// buffer isn't either.
unsafe impl<B: IoBuf + ?Sized> IoBuf for Box<B> {
    fn as_init(&self) -> &[u8] {
        (**self).as_init()
    }

    fn buf_capacity(&self) -> usize {
        (**self).buf_capacity()
    }
}

// SAFETY: as above.
unsafe impl<B: IoBufMut + ?Sized> IoBufMut for Box<B> {
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: our caller promises the same.
        unsafe { (**self).as_uninit() }
    }

    unsafe fn set_init(&mut self, len: usize) {
        // SAFETY: our caller promises the same.
        unsafe { (**self).set_init(len) };
    }
}

// SAFETY: borrowed for ever, and shared borrows of bytes forbid writes.
unsafe impl IoBuf for &'static [u8] {
    fn as_init(&self) -> &[u8] {
        self
    }
}

// SAFETY: borrowed for ever, and shared borrows of bytes forbid writes.
unsafe impl<const N: usize> IoBuf for &'static [u8; N] {
    fn as_init(&self) -> &[u8] {
        *self
    }
}

// SAFETY: borrowed for ever, and shared borrows of strings forbid writes.
unsafe impl IoBuf for &'static str {
    fn as_init(&self) -> &[u8] {
        self.as_bytes()
    }
}

// SAFETY: borrowed for ever and by nobody else.
unsafe impl IoBuf for &'static mut [u8] {
    fn as_init(&self) -> &[u8] {
        self
    }
}

// SAFETY: as above; all bytes are always initialised, the length is fixed.
unsafe impl IoBufMut for &'static mut [u8] {
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        uninit(self)
    }

    unsafe fn set_init(&mut self, len: usize) {
        debug_assert!(len <= self.len());
    }
}

// SAFETY: the string is the only owner of its heap block, which moves, grows
// and dies only by mutation.
unsafe impl IoBuf for String {
    fn as_init(&self) -> &[u8] {
        self.as_bytes()
    }
}

// SAFETY: the handle keeps the block alive, and while it exists beside another
// handle safe code has no way to write (`Rc::get_mut` wants to be alone; bytes
// have no interior mutability).
unsafe impl IoBuf for Rc<[u8]> {
    fn as_init(&self) -> &[u8] {
        self
    }
}

// SAFETY: as for `Rc<[u8]>`, across threads too.
unsafe impl IoBuf for Arc<[u8]> {
    fn as_init(&self) -> &[u8] {
        self
    }
}
