//! [`AsyncWrite`] and [`AsyncWriteAt`]: one operation that writes. Loops over it
//! are in `write_ext` and `at_ext`.

use std::io;

use crate::buf::{BufResult, BufResultExt, FirstBytes, IntoInner, IoBuf, IoVectoredBuf};

/// A sink of bytes.
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
}

/// A sink of bytes that can be written at any position, and by several
/// operations at once.
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
