//! [`AsyncWrite`] and [`AsyncWriteAt`]: one operation that writes. Loops over it
//! are in `write_ext` and `at_ext`.

use std::io;

use crate::buf::{BufResult, BufResultExt, FirstBytes, IntoInner, IoBuf, IoVectoredBuf};

/// A sink of bytes.
///
/// # For implementers
///
/// The bytes to write are [`buf.as_init()`](IoBuf::as_init). A write returns the
/// same buffer, whether it succeeded or not.
///
/// ```
/// use std::io;
///
/// use compio::buf::{BufResult, IoBuf};
/// use compio::io::{AsyncWrite, AsyncWriteExt};
///
/// /// Counts the bytes written to it.
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
/// # pollster::block_on(async {
/// count.write_vectored_all(["ab", "cde"]).await.0.unwrap();
/// # });
/// assert_eq!(count.0, 5);
/// ```
pub trait AsyncWrite {
    /// Writes the initialised bytes of `buf`, or the first of them, and returns
    /// how many were written.
    ///
    /// Zero means that the sink accepts no more, or that the buffer is empty.
    ///
    /// # Errors
    ///
    /// Errors of the sink. Nothing of `buf` was written then.
    ///
    /// # Cancellation
    ///
    /// Dropping the future cancels the operation; the buffer is lost. If the
    /// operation had completed by then, some or all of it was written:
    /// implementations document whether that can happen.
    ///
    /// ```
    /// use compio::io::AsyncWrite;
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
    /// The default implementation writes the first buffer that is not empty, as one
    /// short write.
    ///
    /// # Errors
    ///
    /// Errors of the sink. Nothing was written then.
    ///
    /// # Cancellation
    ///
    /// As for [`write`](Self::write).
    ///
    /// ```
    /// use compio::io::AsyncWrite;
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

    /// Writes the bytes in this sink's own buffers to its destination.
    ///
    /// # Errors
    ///
    /// Errors of the sink; it keeps the unwritten bytes.
    ///
    /// # Cancellation
    ///
    /// As for [`write`](Self::write), for the bytes in flight.
    async fn flush(&mut self) -> io::Result<()>;

    /// Flushes, and signals EOF to the other side.
    ///
    /// # Errors
    ///
    /// Errors of the sink.
    ///
    /// # Cancellation
    ///
    /// As for [`flush`](Self::flush); EOF may or may not have been signalled.
    async fn shutdown(&mut self) -> io::Result<()>;

    /// Records that bytes were lost: the other side must not take the end of the
    /// sink for a regular EOF. A TCP connection is reset when its last handle is
    /// dropped. A sink over another sink aborts that sink.
    ///
    /// The default implementation does nothing: pipes and files have no reset.
    fn abort(&mut self) {}
}

/// A sink of bytes that can be written at any position, and by several
/// operations at once.
///
/// ```
/// use std::cell::RefCell;
///
/// use compio::buf::{BufResult, IoBuf};
/// use compio::io::{AsyncWriteAt, AsyncWriteAtExt};
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
    /// Zero means that the sink accepts no more there, or that the buffer is
    /// empty.
    ///
    /// # Errors
    ///
    /// Errors of the sink. Nothing of `buf` was written then.
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
    /// The default implementation writes the first buffer that is not empty, as one
    /// short write.
    ///
    /// # Errors
    ///
    /// Errors of the sink. Nothing was written then.
    ///
    /// # Cancellation
    ///
    /// As for [`write_at`](Self::write_at).
    async fn write_vectored_at<V: IoVectoredBuf>(&self, buf: V, pos: u64) -> BufResult<usize, V> {
        self.write_at(FirstBytes::new(buf), pos)
            .await
            .map_buf(IntoInner::into_inner)
    }
}
