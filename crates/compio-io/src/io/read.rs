//! [`AsyncRead`] and [`AsyncReadAt`]: one operation that reads. Loops over it
//! are in `read_ext` and `at_ext`.

use crate::buf::{BufResult, BufResultExt, FirstRoom, IntoInner, IoBufMut, IoVectoredBufMut};

/// A source of bytes.
///
/// # For implementers
///
/// A reader without a kernel fills the buffer with the safe functions
/// [`init_from`](IoBufMut::init_from) or [`init_with`](IoBufMut::init_with). On
/// success it returns the same buffer, with its length set to the returned number.
/// On failure the length is unchanged.
///
/// ```
/// use compio::buf::{BufResult, IoBufMut};
/// use compio::io::AsyncRead;
///
/// /// Zeros without end.
/// struct Zeros;
///
/// impl AsyncRead for Zeros {
///     async fn read<B: IoBufMut>(&mut self, mut buf: B) -> BufResult<usize, B> {
///         let result = buf.init_with(|room| {
///             room.fill(0);
///             Ok(room.len())
///         });
///         (result, buf)
///     }
/// }
///
/// # pollster::block_on(async {
/// let (read, buffer) = Zeros.read([1; 3]).await;
/// assert_eq!((read.unwrap(), buffer), (3, [0; 3]));
/// # });
/// ```
pub trait AsyncRead {
    /// Reads up to the capacity of `buf` into it, from its start, sets its
    /// length to the bytes read and returns how many these are.
    ///
    /// Zero means that the source has ended, or that the buffer has no room.
    ///
    /// # Errors
    ///
    /// Errors of the source. `buf` keeps its length then.
    ///
    /// # Cancellation
    ///
    /// Dropping the future cancels the operation; the buffer is lost. If the
    /// operation had completed by then, bytes can be lost, too: implementations
    /// document that.
    ///
    /// For a buffer without capacity, such as `Vec::new()`, the result is 0 as well.
    /// This is not EOF.
    ///
    /// ```
    /// use compio::io::AsyncRead;
    ///
    /// # pollster::block_on(async {
    /// let mut source: &[u8] = b"abcdef";
    /// let (read, buffer) = source.read([0; 4]).await;
    /// assert_eq!((read.unwrap(), &buffer), (4, b"abcd"));
    /// # });
    /// ```
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B>;

    /// Reads into many buffers, one after the other, sets their lengths and
    /// returns the bytes read in all.
    ///
    /// The default implementation reads into the first buffer with any room, as one
    /// short read. The lengths of the others become zero, as in every vectored read
    /// that does not reach a buffer.
    ///
    /// # Errors
    ///
    /// Errors of the source. The buffers keep their lengths then.
    ///
    /// # Cancellation
    ///
    /// As for [`read`](Self::read).
    ///
    /// ```
    /// use compio::io::AsyncRead;
    ///
    /// # pollster::block_on(async {
    /// let mut source: &[u8] = b"abcdef";
    /// let (read, (head, body)) = source
    ///     .read_vectored(([0; 2], Vec::with_capacity(8)))
    ///     .await;
    /// assert_eq!(read.unwrap(), 6);
    /// assert_eq!((&head, &body[..]), (b"ab", &b"cdef"[..]));
    /// # });
    /// ```
    async fn read_vectored<V: IoVectoredBufMut>(&mut self, buf: V) -> BufResult<usize, V> {
        self.read(FirstRoom::new(buf))
            .await
            .map_buf(IntoInner::into_inner)
    }

    /// Waits until reads of dropped futures are over. Returns whether bytes or an error are kept, which the
    /// next read returns at once.
    ///
    /// The default implementation returns `false` at once: for readers that have received nothing while
    /// their futures wait, and for readers that lose bytes. Sockets and pipes of compio keep them. A
    /// reader over another reader forwards the call.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    async fn settle(&mut self) -> bool {
        false
    }
}

/// A source of bytes that can be read at any position, and by several
/// operations at once.
pub trait AsyncReadAt {
    /// Reads up to the capacity of `buf` into it, from its start, beginning
    /// `pos` bytes into the source. Sets the length of `buf` to the bytes read
    /// and returns how many these are.
    ///
    /// Zero means that the source ends at `pos` or before, or that the buffer
    /// has no room.
    ///
    /// # Errors
    ///
    /// Errors of the source. `buf` keeps its length then.
    ///
    /// # Cancellation
    ///
    /// Dropping the future cancels the operation; the buffer is lost, and
    /// nothing else: the bytes can be read again.
    ///
    /// ```
    /// use compio::io::AsyncReadAt;
    ///
    /// # pollster::block_on(async {
    /// let (read, buffer) = b"abcdef".read_at(Vec::with_capacity(8), 2).await;
    /// assert_eq!((read.unwrap(), &buffer[..]), (4, &b"cdef"[..]));
    /// # });
    /// ```
    async fn read_at<B: IoBufMut>(&self, buf: B, pos: u64) -> BufResult<usize, B>;

    /// Reads into many buffers, one after the other, beginning `pos` bytes into
    /// the source. Sets their lengths and returns the bytes read in all.
    ///
    /// The default implementation reads into the first buffer with any room, as one
    /// short read.
    ///
    /// # Errors
    ///
    /// Errors of the source. The buffers keep their lengths then.
    ///
    /// # Cancellation
    ///
    /// As for [`read_at`](Self::read_at).
    async fn read_vectored_at<V: IoVectoredBufMut>(&self, buf: V, pos: u64) -> BufResult<usize, V> {
        self.read_at(FirstRoom::new(buf), pos)
            .await
            .map_buf(IntoInner::into_inner)
    }
}
