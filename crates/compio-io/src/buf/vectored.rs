//! [`IoVectoredBuf`] and [`IoVectoredBufMut`]: many buffers that one operation
//! gathers from or scatters over. `vectored_impls` implements them.

use std::mem::MaybeUninit;

/// Buffers that the kernel may gather from, one after the other.
///
/// Implemented for `Vec<B>`, `Box<[B]>`, `[B; N]` and shared slices of one kind
/// of buffer, and for tuples of up to twelve kinds. The platform limits the number of
/// buffers of one operation (`IOV_MAX`, often 1024); an operation over more is short.
///
/// ```
/// use compio::buf::IoVectoredBuf;
///
/// let message = ("head", vec![b' '], b"body");
/// assert_eq!(message.total_len(), 9);
/// assert_eq!(message.slices().collect::<Vec<_>>().concat(), b"head body");
/// ```
///
/// # Safety
///
/// Each slice of [`slices`](Self::slices) keeps the contract of
/// [`IoBuf`](crate::buf::IoBuf): from the call until the value is moved, mutated
/// or dropped, the memory stays valid and at the same address, no other code writes
/// to it, a leak is no exception, a shared reference allows no change, and every
/// further call gives the same slices in the same order. Safe code cannot implement it:
///
/// ```compile_fail,E0200
/// struct Wild;
///
/// impl compio::buf::IoVectoredBuf for Wild {
///     fn slices(&self) -> impl Iterator<Item = &[u8]> {
///         std::iter::empty()
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no list of buffers that an operation can own",
    label = "an operation takes its buffers by value",
    note = "pass owned buffers, as a `Vec`, an array or a tuple of them: one alone goes as `(buffer,)`"
)]
pub unsafe trait IoVectoredBuf: 'static {
    /// The initialised bytes of each buffer, in order, empty ones included.
    fn slices(&self) -> impl Iterator<Item = &[u8]>;

    /// How many bytes are initialised in all the buffers together.
    fn total_len(&self) -> usize {
        self.slices().map(<[u8]>::len).sum()
    }
}

/// Buffers that the kernel may scatter over, one after the other.
///
/// A read fills the first buffer over its whole capacity, then the next, and
/// sets the length of each to its number of bytes read. Buffers that the read does
/// not reach get length zero, unless they are of fixed size or slices
/// ([`Slice`](crate::buf::Slice)).
///
/// # Safety
///
/// All of [`IoVectoredBuf`]'s contract, and each slice of
/// [`uninit_slices`](Self::uninit_slices) keeps the contract of
/// [`IoBufMut`](crate::buf::IoBufMut): until the value is moved, touched or
/// dropped the memory stays valid for reads and writes, at the same address and
/// reachable only through the value. There are as many slices as `slices` gives,
/// in the same order, and each begins where its initialised part does. After
/// [`set_init(total)`](Self::set_init), `slices` gives at least the bytes that
/// were filled, and the capacities are as before. Safe code cannot implement it:
///
/// ```compile_fail,E0200
/// # use std::mem::MaybeUninit;
/// struct Wild;
/// # // SAFETY: there are no bytes.
/// # unsafe impl compio::buf::IoVectoredBuf for Wild {
/// #     fn slices(&self) -> impl Iterator<Item = &[u8]> { std::iter::empty() }
/// # }
///
/// impl compio::buf::IoVectoredBufMut for Wild {
///     unsafe fn uninit_slices(&mut self) -> impl Iterator<Item = &mut [MaybeUninit<u8>]> {
///         std::iter::empty()
///     }
///
///     unsafe fn set_init(&mut self, _total: usize) {}
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no list of buffers that an operation can own",
    label = "an operation takes its buffers by value",
    note = "pass owned buffers, as a `Vec`, an array or a tuple of them: one alone goes as `(buffer,)`"
)]
pub unsafe trait IoVectoredBufMut: IoVectoredBuf {
    /// The whole capacity of each buffer, in order, empty ones included.
    ///
    /// # Safety
    ///
    /// Bytes that are initialised must stay so: the caller does not write
    /// [`MaybeUninit::uninit`] into the slices.
    unsafe fn uninit_slices(&mut self) -> impl Iterator<Item = &mut [MaybeUninit<u8>]>;

    /// Notes that the first `total` bytes are initialised, counted over the
    /// capacities in order, and gives each buffer its share as its length.
    ///
    /// # Safety
    ///
    /// Those bytes are initialised, and `total` is no more than the capacities
    /// together.
    unsafe fn set_init(&mut self, total: usize);

    /// How many bytes there is room for in all the buffers together.
    fn total_capacity(&mut self) -> usize {
        // SAFETY: nothing is written.
        unsafe { self.uninit_slices() }.map(|room| room.len()).sum()
    }

    /// Copies `bytes` into the buffers in order, as many as there is room for. Sets
    /// their lengths, and returns the number of bytes copied.
    ///
    /// ```
    /// use compio::buf::IoVectoredBufMut;
    ///
    /// let mut buffers = ([0; 2], Vec::with_capacity(8));
    /// assert_eq!(buffers.init_from(b"abcde"), 5);
    /// assert_eq!(buffers, (*b"ab", b"cde".to_vec()));
    /// ```
    fn init_from(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        // SAFETY: only initialised bytes are written.
        for room in unsafe { self.uninit_slices() } {
            let (now, later) = rest.split_at(room.len().min(rest.len()));
            room[..now.len()].write_copy_of_slice(now);
            rest = later;
        }
        let total = bytes.len() - rest.len();
        // SAFETY: the loop initialised as many, in order and without a gap.
        unsafe { self.set_init(total) };
        total
    }

    /// Fills all buffers with `byte` up to their capacities, sets their lengths,
    /// and returns the sum of the capacities.
    ///
    /// ```
    /// use compio::buf::IoVectoredBufMut;
    ///
    /// let mut buffers = ([0; 2], Vec::with_capacity(3));
    /// assert!(buffers.fill(7) >= 5);
    /// assert_eq!(buffers.0, [7, 7]);
    /// assert_eq!(buffers.1, vec![7; buffers.1.capacity()]);
    /// ```
    fn fill(&mut self, byte: u8) -> usize {
        let mut total = 0;
        // SAFETY: only initialised bytes are written.
        for room in unsafe { self.uninit_slices() } {
            room.fill(MaybeUninit::new(byte));
            total += room.len();
        }
        // SAFETY: the loop has initialised the whole capacity of every buffer.
        unsafe { self.set_init(total) };
        total
    }
}
