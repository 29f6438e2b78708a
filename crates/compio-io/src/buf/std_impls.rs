//! The types of the standard library as buffers.
//!
//! Pointers to buffers are buffers: `Box`, `Rc`, `Arc` and `&'static` of any
//! buffer, sized or not. Rule 5 of [`IoBuf`] is the reason that the shared ones
//! are sound.
//!
//! A string can only be written from, as bytes read need not be UTF-8.

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

// SAFETY: the bytes are the value itself, which has no size and so moves only
// with its owner.
unsafe impl IoBuf for [u8] {
    fn as_init(&self) -> &[u8] {
        self
    }
}

// SAFETY: as above; all bytes are always initialised, the length is fixed.
unsafe impl IoBufMut for [u8] {
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        uninit(self)
    }

    unsafe fn set_init(&mut self, len: usize) {
        debug_assert!(len <= self.len());
    }
}

// SAFETY: as for `[u8]`.
unsafe impl IoBuf for str {
    fn as_init(&self) -> &[u8] {
        self.as_bytes()
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

/// Bytes that are borrowed mutably for `'static`.
///
/// Not a blanket over `&'static mut B`. With one, a call of a `&self` method on a
/// `buf: &mut B`, such as `buf.buf_len()`, resolves to the borrow as the buffer
/// and no longer compiles. A `Vec::leak` is such a slice.
macro_rules! borrow_mutably {
    ($([$($generics:tt)*] $bytes:ty),*) => {$(
        // SAFETY: borrowed for `'static`, and by no other reference.
        unsafe impl<$($generics)*> IoBuf for &'static mut $bytes {
            fn as_init(&self) -> &[u8] {
                *self
            }
        }

        // SAFETY: as above; all bytes are always initialised, the length is fixed.
        unsafe impl<$($generics)*> IoBufMut for &'static mut $bytes {
            unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
                uninit(*self)
            }

            unsafe fn set_init(&mut self, len: usize) {
                debug_assert!(len <= self.len());
            }
        }
    )*};
}

borrow_mutably!([] [u8], [const N: usize] [u8; N]);

// SAFETY: the string is the only owner of its heap block, which moves, grows
// and dies only by mutation.
unsafe impl IoBuf for String {
    fn as_init(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// Owners of a buffer that others share.
macro_rules! share {
    ($($pointer:ty),*) => {$(
        // SAFETY: the inner buffer keeps the contract. It is neither moved nor
        // dropped while this owner exists, and moving this owner does not move
        // it. Safe code gets a `&mut` to it only from a sole owner (`get_mut`,
        // `make_mut`, `try_unwrap`), which is this one. The other owners have
        // `&B`, by which rule 5 allows no change, on any thread.
        unsafe impl<B: IoBuf + ?Sized> IoBuf for $pointer {
            fn as_init(&self) -> &[u8] {
                (**self).as_init()
            }

            /// The length: a shared buffer has no room that anyone may fill.
            fn buf_capacity(&self) -> usize {
                self.buf_len()
            }
        }
    )*};
}

share!(&'static B, Rc<B>, Arc<B>);
