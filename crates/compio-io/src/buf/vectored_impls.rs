//! Vectors, boxes, arrays and tuples of buffers as vectored buffers.
//!
//! All are sound for one reason: the collection owns its buffers, so while it is
//! neither moved nor mutated nor dropped, none of them is. Shared slices allow no
//! change of their buffers, by rule 5 of [`IoBuf`].

use std::{mem::MaybeUninit, rc::Rc, sync::Arc};

use crate::buf::{IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};

/// Gives one buffer its share of `left` bytes.
///
/// # Safety
///
/// The first `left` bytes of `buf` are initialised, or all of its capacity if
/// that is less.
unsafe fn take_share<B: IoBufMut>(buf: &mut B, left: &mut usize) {
    let share = buf.buf_capacity().min(*left);
    // SAFETY: promised by the caller, and within the capacity.
    unsafe { buf.set_init(share) };
    *left -= share;
}

/// Collections of one kind of buffer, all of which iterate alike.
macro_rules! impl_collection {
    ($([$($generics:tt)*] $collection:ty),* $(,)?) => {$(
        // SAFETY: see the head of this file.
        unsafe impl<B: IoBuf, $($generics)*> IoVectoredBuf for $collection {
            fn slices(&self) -> impl Iterator<Item = &[u8]> {
                self.iter().map(IoBuf::as_init)
            }
        }

        // SAFETY: see the head of this file.
        unsafe impl<B: IoBufMut, $($generics)*> IoVectoredBufMut for $collection {
            unsafe fn uninit_slices(&mut self) -> impl Iterator<Item = &mut [MaybeUninit<u8>]> {
                // SAFETY: our caller promises the same for every slice.
                self.iter_mut().map(|buf| unsafe { buf.as_uninit() })
            }

            unsafe fn set_init(&mut self, total: usize) {
                let mut left = total;
                for buf in self.iter_mut() {
                    // SAFETY: the caller promises `total` initialised bytes. The earlier
                    // buffers took the first of them; `left` bytes begin here.
                    unsafe { take_share(buf, &mut left) };
                }
            }
        }
    )*};
}

impl_collection! {
    [] Vec<B>,
    [] Box<[B]>,
    [const N: usize] [B; N],
}

/// Slices of one kind of buffer that others share: to write from.
macro_rules! impl_shared {
    ($($slice:ty),*) => {$(
        // SAFETY: see the head of this file. The shared slice is neither moved
        // nor dropped while this owner exists.
        unsafe impl<B: IoBuf> IoVectoredBuf for $slice {
            fn slices(&self) -> impl Iterator<Item = &[u8]> {
                self.iter().map(IoBuf::as_init)
            }
        }
    )*};
}

impl_shared!(&'static [B], Rc<[B]>, Arc<[B]>);

/// Tuples of different kinds of buffers.
macro_rules! impl_tuple {
    ($($kind:ident $field:tt),*) => {
        // SAFETY: see the head of this file.
        unsafe impl<$($kind: IoBuf),*> IoVectoredBuf for ($($kind,)*) {
            fn slices(&self) -> impl Iterator<Item = &[u8]> {
                [$(self.$field.as_init()),*].into_iter()
            }
        }

        // SAFETY: see the head of this file.
        unsafe impl<$($kind: IoBufMut),*> IoVectoredBufMut for ($($kind,)*) {
            unsafe fn uninit_slices(&mut self) -> impl Iterator<Item = &mut [MaybeUninit<u8>]> {
                // SAFETY: our caller promises the same for every slice.
                [$(unsafe { self.$field.as_uninit() }),*].into_iter()
            }

            unsafe fn set_init(&mut self, total: usize) {
                let mut left = total;
                // SAFETY: as in the collections, field by field.
                $(unsafe { take_share(&mut self.$field, &mut left) };)*
                debug_assert_eq!(left, 0);
            }
        }
    };
}

impl_tuple!(A 0);
impl_tuple!(A 0, B 1);
impl_tuple!(A 0, B 1, C 2);
impl_tuple!(A 0, B 1, C 2, D 3);
impl_tuple!(A 0, B 1, C 2, D 3, E 4);
impl_tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
impl_tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
impl_tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
impl_tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
impl_tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
impl_tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
impl_tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
