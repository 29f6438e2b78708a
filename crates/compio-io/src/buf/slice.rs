//! [`Slice`]: a part of one buffer.

use std::{
    mem::MaybeUninit,
    ops::{Bound, Deref, DerefMut, RangeBounds},
};

use crate::buf::{IntoInner, IoBuf, IoBufMut};

/// A part of a buffer: an operation neither reads nor writes outside it.
///
/// Made by [`IoBuf::slice`]. It derefs to its initialised bytes. A read into the
/// slice lengthens the buffer to the end of the bytes read, if the buffer was
/// shorter, and never shortens it. So the number of bytes read is the result of
/// the operation, not the slice's length.
///
/// The slice's initialised bytes can be changed in place if the buffer is an
/// [`IoBufMut`]. The whole buffer is read-only until
/// [`into_inner`](IntoInner::into_inner): shortening it would leave a gap of
/// uninitialised bytes before the slice.
///
/// ```
/// use compio::buf::{IntoInner, IoBuf, IoBufMut};
///
/// let mut buffer = Vec::with_capacity(16);
/// buffer.extend_from_slice(b"abc");
/// let mut window = buffer.slice(1..10);
/// assert_eq!(&window[..], b"bc");
/// assert_eq!(window.buf_capacity(), 9);
/// window.init_from(b"xyz");
/// assert_eq!(window.into_inner(), b"axyz");
/// ```
#[derive(Debug)]
pub struct Slice<B> {
    inner: B,
    // begin <= inner.buf_len() and begin <= end <= inner.buf_capacity().
    begin: usize,
    end: usize,
}

impl<B: IoBuf> Slice<B> {
    pub(crate) fn new(inner: B, range: impl RangeBounds<usize>) -> Self {
        let (len, capacity) = (inner.buf_len(), inner.buf_capacity());
        let begin = match range.start_bound() {
            Bound::Included(&begin) => begin,
            Bound::Excluded(&before) => before
                .checked_add(1)
                .expect("slice begins behind usize::MAX"),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last.checked_add(1).expect("slice ends behind usize::MAX"),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => capacity,
        };
        assert!(begin <= end, "slice begins at {begin} but ends at {end}");
        assert!(
            begin <= len,
            "slice begins at {begin}, behind the {len} initialised bytes"
        );
        assert!(
            end <= capacity,
            "slice ends at {end}, behind the capacity of {capacity}"
        );
        Self { inner, begin, end }
    }
}

impl<B> Slice<B> {
    /// The start of the slice, in bytes from the buffer's start.
    pub fn begin(&self) -> usize {
        self.begin
    }

    /// The end of the slice, in bytes from the buffer's start. The last bytes
    /// before it may be uninitialised.
    pub fn end(&self) -> usize {
        self.end
    }

    /// The whole buffer.
    pub fn as_inner(&self) -> &B {
        &self.inner
    }
}

impl<B> IntoInner for Slice<B> {
    type Inner = B;

    fn into_inner(self) -> B {
        self.inner
    }
}

impl<B: IoBuf> Deref for Slice<B> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_init()
    }
}

impl<B: IoBufMut> DerefMut for Slice<B> {
    /// ```
    /// use compio::buf::{IntoInner, IoBuf};
    ///
    /// let mut window = b"abcdef".to_vec().slice(2..4);
    /// window.make_ascii_uppercase();
    /// assert_eq!(window.into_inner(), b"abCDef");
    /// ```
    fn deref_mut(&mut self) -> &mut [u8] {
        let initialised = self.buf_len();
        // SAFETY: the slice is handed out as `u8`s, which are initialised.
        let room = unsafe { self.as_uninit() };
        // SAFETY: `as_init` begins at the same address, and its length is the
        // number of initialised bytes of the slice.
        unsafe { room[..initialised].assume_init_mut() }
    }
}

impl<B: IoBufMut> AsMut<[u8]> for Slice<B> {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl<B: IoBuf> AsRef<[u8]> for Slice<B> {
    fn as_ref(&self) -> &[u8] {
        self.as_init()
    }
}

// SAFETY: a part of the inner buffer, which keeps the contract, chosen by two
// numbers that never change; the capacity given is that part of the inner one.
unsafe impl<B: IoBuf> IoBuf for Slice<B> {
    fn as_init(&self) -> &[u8] {
        let init = self.inner.as_init();
        &init[self.begin..self.end.min(init.len())]
    }

    fn buf_capacity(&self) -> usize {
        self.end - self.begin
    }
}

// SAFETY: as above; both slices begin `begin` bytes into the inner ones, and
// this one ends within the inner capacity. `set_init` never shortens the inner
// buffer, so `begin` stays within the initialised bytes.
unsafe impl<B: IoBufMut> IoBufMut for Slice<B> {
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: our caller promises the same.
        let room = unsafe { self.inner.as_uninit() };
        &mut room[self.begin..self.end]
    }

    unsafe fn set_init(&mut self, len: usize) {
        let before = self.inner.buf_len();
        // A cheap check. Without it, a gap would count as initialised bytes if the
        // inner buffer's length changed unexpectedly.
        assert!(self.begin <= before, "the buffer shrank inside its slice");
        // SAFETY: `begin` bytes are initialised as asserted, the next `len` as
        // our caller promises; and `before` bytes are in any case.
        unsafe { self.inner.set_init(before.max(self.begin + len)) };
    }
}

/// The part of a buffer behind its first `begin` initialised bytes. Smaller than a
/// [`Slice`] by one field.
pub(crate) struct Rest<B> {
    pub(crate) inner: B,
    pub(crate) begin: usize,
}

// SAFETY: a part of the inner buffer, which keeps the contract, chosen by a
// number that does not change while this is lent.
unsafe impl<B: IoBuf> IoBuf for Rest<B> {
    #[inline]
    fn as_init(&self) -> &[u8] {
        &self.inner.as_init()[self.begin..]
    }

    #[inline]
    fn buf_capacity(&self) -> usize {
        self.inner.buf_capacity() - self.begin
    }
}
