//! [`IoBuf`] and [`IoBufMut`]: one contiguous buffer that the kernel may read
//! or fill. The `*_impls` files implement them.

use std::{io, mem::MaybeUninit, ops::RangeBounds};

use crate::buf::Slice;

/// A buffer that the kernel may read from.
///
/// A buffer has a *length*, the number of initialised bytes, and a *capacity*,
/// the bytes there is room for. They are equal unless the type distinguishes
/// them, as [`Vec`] does.
///
/// A borrow is a buffer only if it is `&'static`. For other borrows the compiler
/// reports that a value does not live long enough for `'static` (E0597): pass the
/// buffer itself.
///
/// `slice` takes the buffer by value. Where this trait is imported, it therefore
/// takes precedence over an inherent `slice(&self)`, such as `bytes::Bytes::slice`.
///
/// ```
/// use compio::buf::{IoBuf, IoBufMut};
///
/// /// A page on the heap.
/// struct Page(Box<[u8; 4096]>);
///
/// // SAFETY: the page's only owner is the box, which gives the same bytes until
/// // it is dropped.
/// unsafe impl IoBuf for Page {
///     fn as_init(&self) -> &[u8] {
///         self.0.as_init()
///     }
/// }
///
/// // SAFETY: as above; the bytes are always initialised, the length is fixed.
/// unsafe impl IoBufMut for Page {
///     unsafe fn as_uninit(&mut self) -> &mut [std::mem::MaybeUninit<u8>] {
///         // SAFETY: the caller promises the same.
///         unsafe { self.0.as_uninit() }
///     }
///
///     unsafe fn set_init(&mut self, _len: usize) {}
/// }
///
/// let mut page = Page(Box::new([0; 4096]));
/// assert_eq!(page.init_from(b"abc"), 3);
/// assert_eq!(page.as_init()[..4], *b"abc\0");
/// ```
///
/// # Safety
///
/// The driver passes the address of the bytes to the kernel, or to a pool thread,
/// and returns. The bytes are read later, while no borrow exists that the compiler
/// could check. Hence the trait is unsafe to implement. If an implementation breaks
/// one of these rules, the kernel reads, or through [`IoBufMut`] writes, memory
/// that belongs to another owner.
///
/// From [`as_init`](Self::as_init) until the value is moved, mutated through
/// `&mut`, or dropped:
///
/// 1. The memory stays valid for reads and at the same address, and every
///    further call gives the same slice.
/// 2. No other handle and no other thread writes to it.
/// 3. A leak is no exception: if the value is leaked in place, the memory stays
///    valid until the process ends. (A buffer lent by a thread's arena, which is
///    freed with the thread, breaks this.)
///
/// Moving the value may change the address: it does for an array, and does not
/// for a buffer on the heap. So the driver takes the address once the value has
/// reached the place where it stays until the kernel has completed the operation.
///
/// 4. [`buf_len`](Self::buf_len) is the length of that slice, and
///    [`buf_capacity`](Self::buf_capacity) is not less. Neither changes without
///    mutation; moving the value does not alter them either.
/// 5. A shared reference allows no change. Safe code that has `&self` can
///    neither write to the bytes, nor move them, nor alter length or capacity.
///    Interior mutability of other fields is no violation. (Because of this rule
///    `Arc<B>`, `Rc<B>` and `&'static B` can be buffers: other owners have such a
///    reference while the kernel reads.)
///
/// Safe code cannot implement it, and so cannot break these rules:
///
/// ```compile_fail,E0200
/// /// Other bytes with each call.
/// struct Wild(std::cell::Cell<&'static [u8]>);
///
/// impl compio::buf::IoBuf for Wild {
///     fn as_init(&self) -> &[u8] {
///         self.0.replace(b"a")
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no buffer that an operation can own",
    label = "an operation takes its buffer by value",
    note = "pass the buffer itself (`Vec<u8>`, `[u8; N]`, `String`, `Arc<[u8]>`), and get it back: `let (result, buffer) = stream.write(buffer).await;`"
)]
pub unsafe trait IoBuf: 'static {
    /// The initialised bytes.
    fn as_init(&self) -> &[u8];

    /// How many bytes are initialised.
    fn buf_len(&self) -> usize {
        self.as_init().len()
    }

    /// How many bytes there is room for, the initialised ones included.
    ///
    /// The capacity of a read-only type is its length. The capacity of a type that
    /// implements [`IoBufMut`] is the length of its
    /// [`as_uninit`](IoBufMut::as_uninit).
    ///
    /// ```
    /// use compio::buf::IoBuf;
    ///
    /// let mut buffer = [0u8; 16];
    /// assert_eq!((buffer.buf_len(), buffer.buf_capacity()), (16, 16));
    /// assert_eq!("text".buf_capacity(), 4);
    /// ```
    fn buf_capacity(&self) -> usize {
        self.buf_len()
    }

    /// Narrows the buffer to a range; the bytes outside are not touched.
    ///
    /// The slice begins within the initialised bytes, so that filling it never
    /// leaves a gap; it may reach into the capacity. A write sends only its
    /// initialised bytes.
    ///
    /// # Panics
    ///
    /// If the range begins behind the initialised bytes, ends behind the
    /// capacity, or ends before it begins.
    ///
    /// ```
    /// use compio::buf::{IntoInner, IoBuf};
    /// use compio::io::AsyncRead;
    ///
    /// # pollster::block_on(async {
    /// let mut source: &[u8] = b"xyz";
    /// let (read, window) = source.read(b"abcdef".to_vec().slice(1..3)).await;
    /// assert_eq!(read.unwrap(), 2);
    /// assert_eq!(window.into_inner(), b"axydef");
    /// # });
    /// ```
    fn slice(self, range: impl RangeBounds<usize>) -> Slice<Self>
    where
        Self: Sized,
    {
        Slice::new(self, range)
    }
}

/// A buffer that the kernel may fill.
///
/// A read fills the buffer from its start, over its whole capacity, and sets its
/// length to the bytes read: a [`Vec`] of length 300 that took a read of 50 has
/// length 50 afterwards. A buffer of fixed size (`[u8; N]`, `Box<[u8]>`) keeps
/// its length. To read behind the initialised bytes, see
/// [`append`](crate::io::AsyncReadExt::append), or narrow the buffer by
/// [`slice`](IoBuf::slice).
///
/// # Safety
///
/// All of [`IoBuf`]'s contract, and from [`as_uninit`](Self::as_uninit) until
/// the value is moved, touched or dropped:
///
/// 1. The memory stays valid for reads and writes and at the same address.
/// 2. The value is the only way to it: no other code reads or writes there.
/// 3. The slice begins where [`as_init`](IoBuf::as_init) begins, and its length
///    is [`buf_capacity`](IoBuf::buf_capacity).
/// 4. After [`set_init(len)`](Self::set_init), `as_init` gives at least the
///    first `len` bytes of the slice, with their written content, and the capacity
///    is as before.
/// 5. Neither method writes to those bytes.
///
/// Safe code cannot implement it:
///
/// ```compile_fail,E0200
/// # use std::mem::MaybeUninit;
/// struct Wild(Vec<u8>);
/// # // SAFETY: the vector's contract is this type's.
/// # unsafe impl compio::buf::IoBuf for Wild {
/// #     fn as_init(&self) -> &[u8] { &self.0 }
/// # }
///
/// impl compio::buf::IoBufMut for Wild {
///     unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
///         &mut []
///     }
///
///     unsafe fn set_init(&mut self, len: usize) {
///         self.0.resize(len, 0);
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no buffer that an operation can own and fill",
    label = "an operation takes its buffer by value",
    note = "pass the buffer itself (`Vec<u8>`, `[u8; N]`), and get it back: `let (result, buffer) = stream.read(buffer).await;`"
)]
pub unsafe trait IoBufMut: IoBuf {
    /// The whole capacity, from the start.
    ///
    /// To copy bytes into the buffer, use the safe [`init_from`](Self::init_from)
    /// or [`init_with`](Self::init_with) instead.
    ///
    /// # Safety
    ///
    /// Bytes that are initialised must stay so: the caller does not write
    /// [`MaybeUninit::uninit`] into the slice. (The buffer would still count
    /// them as initialised and return them from [`as_init`](IoBuf::as_init).)
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>];

    /// Notes that the first `len` bytes are initialised, and makes the length
    /// `len` where the type has a length.
    ///
    /// A [`Slice`] only lengthens its buffer, and never shortens it.
    ///
    /// # Safety
    ///
    /// The first `len` bytes are initialised, and `len` is no more than the
    /// capacity.
    unsafe fn set_init(&mut self, len: usize);

    /// The capacity behind the initialised bytes, as
    /// [`Vec::spare_capacity_mut`] returns it. Empty for a buffer of fixed size.
    ///
    /// After writing to it, [`set_init`](Self::set_init) makes the bytes part of
    /// the buffer.
    ///
    /// ```
    /// use compio::buf::{IntoInner, IoBuf, IoBufMut};
    ///
    /// let mut buffer = Vec::with_capacity(8);
    /// buffer.extend_from_slice(b"abc");
    /// let mut window = buffer.slice(1..5);
    /// let spare = window.spare_capacity_mut();
    /// assert_eq!(spare.len(), 2);
    /// spare[0].write(b'd');
    /// // SAFETY: two bytes of the window were initialised, and now a third is.
    /// unsafe { window.set_init(3) };
    /// assert_eq!(window.into_inner(), b"abcd");
    /// ```
    fn spare_capacity_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        let initialised = self.buf_len();
        // SAFETY: of the slice, only the part behind the initialised bytes is
        // handed out.
        let room = unsafe { self.as_uninit() };
        &mut room[initialised..]
    }

    /// Copies `bytes` to the start of the buffer, as many as there is room for.
    /// Sets its length to their number, and returns it.
    ///
    /// ```
    /// use compio::buf::IoBufMut;
    ///
    /// let mut buffer = Vec::with_capacity(8);
    /// assert_eq!(buffer.init_from(b"abc"), 3);
    /// assert_eq!(buffer, b"abc");
    /// assert_eq!([0; 2].init_from(b"abc"), 2);
    /// ```
    fn init_from(&mut self, bytes: &[u8]) -> usize {
        // SAFETY: only initialised bytes are written to it.
        let room = unsafe { self.as_uninit() };
        let len = room.len().min(bytes.len());
        room[..len].write_copy_of_slice(&bytes[..len]);
        // SAFETY: the line above initialised as many.
        unsafe { self.set_init(len) };
        len
    }

    /// Lets `fill` write into the whole capacity, then sets the length to the
    /// number of bytes that `fill` returns. For readers that are built on a
    /// blocking `read(&mut [u8])`.
    ///
    /// `fill` sees initialised bytes only, so the bytes behind the length are
    /// zeroed first. If that cost matters, pass an initialised buffer.
    ///
    /// # Errors
    ///
    /// Errors of `fill`; the length stays unchanged then.
    ///
    /// # Panics
    ///
    /// If `fill` returns more than the capacity.
    ///
    /// ```
    /// use std::io::Read;
    ///
    /// use compio::buf::IoBufMut;
    ///
    /// let mut buffer = Vec::with_capacity(8);
    /// let read = buffer.init_with(|room| (&b"abc"[..]).read(room)).unwrap();
    /// assert_eq!(read, 3);
    /// assert_eq!(buffer, b"abc");
    /// ```
    fn init_with(&mut self, fill: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<usize>
    where
        Self: Sized,
    {
        let initialised = self.buf_len();
        // SAFETY: only initialised bytes are written to it.
        let room = unsafe { self.as_uninit() };
        room[initialised..].fill(MaybeUninit::new(0));
        // SAFETY: the bytes that were not initialised have just been zeroed.
        let len = fill(unsafe { room.assume_init_mut() })?;
        assert!(
            len <= room.len(),
            "{len} bytes claimed to be written into room for {}",
            room.len()
        );
        // SAFETY: the whole room is initialised, and `len` lies within.
        unsafe { self.set_init(len) };
        Ok(len)
    }
}
