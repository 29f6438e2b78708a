//! [`AsyncWrite`] and [`AsyncWriteAt`]: one operation that writes. Loops over it
//! are in `write_ext` and `at_ext`.

use std::io;

use crate::buf::{BufResult, BufResultExt, FirstBytes, IntoInner, IoBuf, IoVectoredBuf};

/// A sink of bytes.
///
/// # For implementers
///
/// The bytes to write are [`buf.as_init()`](IoBuf::as_init). The buffer that
/// comes back is the one that went in, whether the write succeeded or not.
///
/// ```
/// use std::io;
///
/// use compio_io::buf::{BufResult, IoBuf};
/// use compio_io::io::{AsyncWrite, AsyncWriteExt};
///
/// /// Counts what it is given.
/// struct Count(usize);
///
/// impl AsyncWrite for Count {
///     async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
///         self.0 += buf.buf_len();
///         (Ok(buf.buf_len()), buf)
///     }
///
///     async fn flush(&mut self) -> io::Result<()> {
///         Ok(())
///     }
///
///     async fn shutdown(&mut self) -> io::Result<()> {
///         Ok(())
///     }
/// }
///
/// let mut count = Count(0);
/// pollster::block_on(count.write_vectored_all(["ab", "cde"])).0.unwrap();
/// assert_eq!(count.0, 5);
/// ```
pub trait AsyncWrite {
    /// Writes the initialised bytes of `buf`, or the first of them, and returns
    /// how many were written.
    ///
    /// Zero means that the sink takes no more, or that the buffer is empty.
    ///
    /// # Errors
    ///
    /// Those of the sink. Nothing of `buf` was written then.
    ///
    /// # Cancellation
    ///
    /// Dropping the future cancels the operation; the buffer is lost. If the
    /// operation had finished by then, some or all of it was written:
    /// implementations say whether that can happen.
    ///
    /// ```
    /// use compio_io::io::AsyncWrite;
    ///
    /// # pollster::block_on(async {
    /// let mut sink = Vec::new();
    /// let (written, _) = sink.write("abc").await;
    /// assert_eq!((written.unwrap(), &sink[..]), (3, &b"abc"[..]));
    /// # });
    /// ```
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B>;

    /// Writes the initialised bytes of many buffers, one after the other, or the
    /// first of them, and returns how many were written.
    ///
    /// Unless overridden, it writes the first buffer that is not empty, as one
    /// short write.
    ///
    /// # Errors
    ///
    /// Those of the sink. Nothing was written then.
    ///
    /// # Cancellation
    ///
    /// As of [`write`](Self::write).
    ///
    /// ```
    /// use compio_io::io::AsyncWrite;
    ///
    /// # pollster::block_on(async {
    /// let mut sink = Vec::new();
    /// let (written, _) = sink.write_vectored(("head ", b"body".to_vec())).await;
    /// assert_eq!((written.unwrap(), &sink[..]), (9, &b"head body"[..]));
    /// # });
    /// ```
    async fn write_vectored<V: IoVectoredBuf>(&mut self, buf: V) -> BufResult<usize, V> {
        self.write(FirstBytes::new(buf))
            .await
            .map_buf(IntoInner::into_inner)
    }

    /// Passes on what this sink keeps in buffers of its own.
    ///
    /// # Errors
    ///
    /// Those of the sink; it keeps what could not be passed on.
    ///
    /// # Cancellation
    ///
    /// As of [`write`](Self::write), for the bytes that were on their way.
    async fn flush(&mut self) -> io::Result<()>;

    /// Flushes, and tells the other side that nothing more will come.
    ///
    /// # Errors
    ///
    /// Those of the sink.
    ///
    /// # Cancellation
    ///
    /// As of [`flush`](Self::flush); the other side may or may not have been
    /// told.
    async fn shutdown(&mut self) -> io::Result<()>;

    /// Notes that bytes were lost: the other side must not take the end of the
    /// sink for a proper end. A TCP connection is reset when its last handle is
    /// dropped, and a sink over another one passes the note on.
    ///
    /// Unless overridden, it does nothing: pipes and files have no other end.
    fn abort(&mut self) {}
}

/// A sink of bytes that can be written at any position, and by several
/// operations at once.
///
/// ```
/// use std::cell::RefCell;
///
/// use compio_io::buf::{BufResult, IoBuf};
/// use compio_io::io::{AsyncWriteAt, AsyncWriteAtExt};
///
/// /// A block of memory of fixed size.
/// struct Block(RefCell<[u8; 8]>);
///
/// impl AsyncWriteAt for Block {
///     async fn write_at<B: IoBuf>(&self, buf: B, pos: u64) -> BufResult<usize, B> {
///         let mut block = self.0.borrow_mut();
///         let room = block.get_mut(pos as usize..).unwrap_or_default();
///         let len = room.len().min(buf.buf_len());
///         room[..len].copy_from_slice(&buf.as_init()[..len]);
///         (Ok(len), buf)
///     }
/// }
///
/// # pollster::block_on(async {
/// let block = Block(RefCell::new(*b"________"));
/// let (result, _) = block.write_all_at("abc", 4).await;
/// result.unwrap();
/// assert_eq!(&*block.0.borrow(), b"____abc_");
/// let (result, _) = block.write_all_at("abc", 6).await;
/// assert_eq!(result.unwrap_err().kind(), std::io::ErrorKind::WriteZero);
/// # });
/// ```
pub trait AsyncWriteAt {
    /// Writes the initialised bytes of `buf`, or the first of them, beginning
    /// `pos` bytes into the sink, and returns how many were written.
    ///
    /// Zero means that the sink takes no more there, or that the buffer is
    /// empty.
    ///
    /// # Errors
    ///
    /// Those of the sink. Nothing of `buf` was written then.
    ///
    /// # Cancellation
    ///
    /// Dropping the future cancels the operation; the buffer is lost, and some
    /// or all of it may have been written. Writing the same bytes there again is
    /// harmless.
    async fn write_at<B: IoBuf>(&self, buf: B, pos: u64) -> BufResult<usize, B>;

    /// Writes the initialised bytes of many buffers, one after the other,
    /// beginning `pos` bytes into the sink, and returns how many were written.
    ///
    /// Unless overridden, it writes the first buffer that is not empty, as one
    /// short write.
    ///
    /// # Errors
    ///
    /// Those of the sink. Nothing was written then.
    ///
    /// # Cancellation
    ///
    /// As of [`write_at`](Self::write_at).
    async fn write_vectored_at<V: IoVectoredBuf>(&self, buf: V, pos: u64) -> BufResult<usize, V> {
        self.write_at(FirstBytes::new(buf), pos)
            .await
            .map_buf(IntoInner::into_inner)
    }
}
