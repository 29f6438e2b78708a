//! [`Aligned`]: bytes on the heap that begin at an aligned address.

use std::{
    alloc::{self, Layout, handle_alloc_error},
    fmt,
    mem::MaybeUninit,
    num::NonZero,
    ops::{Deref, DerefMut},
    ptr::NonNull,
    slice,
};

use crate::buf::{IoBuf, IoBufMut};

/// A growable buffer on the heap, as `Vec<u8>`, whose first byte has an aligned address.
///
/// Direct I/O transfers whole blocks from and to such buffers. The alignment is a power of two, and the
/// capacity is a multiple of it. So a read into the whole capacity has an aligned length, too.
///
/// A [`Slice`](super::Slice) of it is aligned if its begin is.
///
/// ```
/// use compio::buf::{Aligned, IoBuf};
///
/// let mut buffer = Aligned::with_capacity(5000, 4096);
/// assert_eq!(buffer.capacity(), 8192);
/// buffer.extend_from_slice(b"record");
/// // The rest of the block is zeros.
/// buffer.resize(4096, 0);
/// assert_eq!(buffer[..8], *b"record\0\0");
/// assert!(buffer.as_ptr().addr().is_multiple_of(4096));
///
/// let second_block = buffer.slice(4096..);
/// assert_eq!(second_block.buf_capacity(), 4096);
/// ```
pub struct Aligned {
    /// Dangling if the layout has no bytes.
    start: NonNull<u8>,
    /// The first `len` bytes are initialised.
    len: usize,
    /// The block on the heap: its size is the capacity.
    layout: Layout,
}

impl Aligned {
    /// An empty buffer with room for `capacity` bytes, rounded up to a multiple of `alignment`. Without
    /// capacity it does not allocate.
    ///
    /// # Panics
    ///
    /// If `alignment` is not a power of two, or the capacity exceeds `isize::MAX` bytes. As with [`Vec`], a
    /// lack of memory aborts the process.
    pub fn with_capacity(capacity: usize, alignment: usize) -> Self {
        // SAFETY: the function passes on a layout that has bytes.
        Self::allocate(capacity, alignment, |layout| unsafe {
            alloc::alloc(layout)
        })
    }

    /// `len` zeros.
    ///
    /// # Panics
    ///
    /// As for [`with_capacity`](Self::with_capacity).
    ///
    /// ```
    /// use compio::buf::Aligned;
    ///
    /// assert_eq!(Aligned::zeroed(3, 512)[..], [0; 3]);
    /// ```
    pub fn zeroed(len: usize, alignment: usize) -> Self {
        // SAFETY: the function passes on a layout that has bytes.
        let mut buffer = Self::allocate(len, alignment, |layout| unsafe {
            alloc::alloc_zeroed(layout)
        });
        buffer.len = len;
        buffer
    }

    fn allocate(capacity: usize, alignment: usize, call: impl FnOnce(Layout) -> *mut u8) -> Self {
        assert!(
            alignment.is_power_of_two(),
            "the alignment {alignment} is not a power of two"
        );
        let layout = layout(capacity, alignment);
        let start = match layout.size() {
            0 => NonNull::without_provenance(
                NonZero::new(alignment).expect("a power of two is not zero"),
            ),
            _ => NonNull::new(call(layout)).unwrap_or_else(|| handle_alloc_error(layout)),
        };
        Self {
            start,
            len: 0,
            layout,
        }
    }

    /// The alignment of the first byte.
    pub fn alignment(&self) -> usize {
        self.layout.align()
    }

    /// The bytes that there is room for, the initialised ones included.
    pub fn capacity(&self) -> usize {
        self.layout.size()
    }

    /// Makes room for `additional` bytes behind the initialised ones. Growing moves the bytes to another
    /// address, and at least doubles the capacity.
    ///
    /// # Panics
    ///
    /// If the capacity exceeds `isize::MAX` bytes.
    pub fn reserve(&mut self, additional: usize) {
        if additional <= self.capacity() - self.len {
            return;
        }
        let needed = self.len.checked_add(additional).expect("capacity overflow");
        let mut grown = Self::with_capacity(needed.max(2 * self.capacity()), self.layout.align());
        grown.init_from(self);
        *self = grown;
    }

    /// Appends bytes.
    ///
    /// # Panics
    ///
    /// As for [`reserve`](Self::reserve).
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.spare_capacity_mut()[..bytes.len()].write_copy_of_slice(bytes);
        self.len += bytes.len();
    }

    /// Sets the length. Further bytes are cut off; missing bytes become `value`.
    ///
    /// # Panics
    ///
    /// As for [`reserve`](Self::reserve).
    pub fn resize(&mut self, len: usize, value: u8) {
        let missing = len.saturating_sub(self.len);
        self.reserve(missing);
        self.spare_capacity_mut()[..missing].fill(MaybeUninit::new(value));
        self.len = len;
    }

    /// Cuts off the bytes behind the first `len`. The capacity stays.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Cuts off all bytes. The capacity stays.
    pub fn clear(&mut self) {
        self.len = 0;
    }
}

/// The layout of at least `capacity` bytes.
fn layout(capacity: usize, alignment: usize) -> Layout {
    Layout::from_size_align(capacity, alignment)
        .expect("capacity overflow")
        .pad_to_align()
}

impl Drop for Aligned {
    fn drop(&mut self) {
        if self.layout.size() > 0 {
            // SAFETY: allocated with this layout, and not used any more.
            unsafe { alloc::dealloc(self.start.as_ptr(), self.layout) };
        }
    }
}

// SAFETY: it is the only owner of plain bytes.
unsafe impl Send for Aligned {}

// SAFETY: a shared reference only reads.
unsafe impl Sync for Aligned {}

impl Deref for Aligned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the block is ours, and its first `len` bytes are initialised.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`; borrowed mutably.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

/// The copy has the same alignment, and room for the bytes alone.
impl Clone for Aligned {
    fn clone(&self) -> Self {
        let mut copy = Self::with_capacity(self.len, self.layout.align());
        copy.init_from(self);
        copy
    }
}

impl fmt::Debug for Aligned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

// SAFETY: the value is the only owner of its heap block, which moves, grows and dies only by mutation.
unsafe impl IoBuf for Aligned {
    fn as_init(&self) -> &[u8] {
        self
    }

    fn buf_capacity(&self) -> usize {
        self.capacity()
    }
}

// SAFETY: as above, and the block is as long as the capacity says.
unsafe impl IoBufMut for Aligned {
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        let (start, capacity) = (self.start.as_ptr(), self.capacity());
        // SAFETY: the block is ours for `capacity` bytes, borrowed mutably, and bytes may be
        // uninitialised as `MaybeUninit`.
        unsafe { slice::from_raw_parts_mut(start.cast(), capacity) }
    }

    unsafe fn set_init(&mut self, len: usize) {
        debug_assert!(len <= self.capacity());
        self.len = len;
    }
}
