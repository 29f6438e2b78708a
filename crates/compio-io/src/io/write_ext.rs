//! [`AsyncWriteExt`]: loops over [`AsyncWrite::write`]. Those over writes at a
//! position are in `at_ext`.

use std::io;

use crate::{
    buf::{BufResult, IntoInner, IoBuf, IoVectoredBuf, VectoredSlice},
    io::{AsyncWrite, write_zero},
};

/// Methods of every [`AsyncWrite`].
pub trait AsyncWriteExt: AsyncWrite {
    /// Writes all the initialised bytes of `buf`. An interrupted write is
    /// repeated.
    ///
    /// # Errors
    ///
    /// [`WriteZero`](io::ErrorKind::WriteZero) if the sink takes no more, else
    /// those of the sink. `buf` is as it was; how much of it was written is not
    /// known.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses the buffer; the bytes before some point in it
    /// were written.
    ///
    /// ```
    /// use compio_io::io::AsyncWriteExt;
    ///
    /// # pollster::block_on(async {
    /// let mut sink = Vec::new();
    /// let (result, _) = sink.write_all("abc").await;
    /// result.unwrap();
    /// assert_eq!(sink, b"abc");
    /// # });
    /// ```
    async fn write_all<B: IoBuf>(&mut self, mut buf: B) -> BufResult<(), B> {
        let mut written = 0;
        while written < buf.buf_len() {
            let (result, window) = self.write(buf.slice(written..)).await;
            buf = window.into_inner();
            match result {
                Ok(0) => return (Err(write_zero()), buf),
                Ok(n) => written += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return (Err(e), buf),
            }
        }
        (Ok(()), buf)
    }

    /// Writes all the initialised bytes of many buffers, one after the other. An
    /// interrupted write is repeated.
    ///
    /// # Errors
    ///
    /// As of [`write_all`](Self::write_all).
    ///
    /// # Cancellation
    ///
    /// As of [`write_all`](Self::write_all).
    ///
    /// ```
    /// use compio_io::io::AsyncWriteExt;
    ///
    /// # pollster::block_on(async {
    /// let mut sink = Vec::new();
    /// let (result, _) = sink.write_vectored_all(("head ", b"body".to_vec())).await;
    /// result.unwrap();
    /// assert_eq!(sink, b"head body");
    /// # });
    /// ```
    async fn write_vectored_all<V: IoVectoredBuf>(&mut self, mut buf: V) -> BufResult<(), V> {
        let mut written = 0;
        while written < buf.total_len() {
            let (result, rest) = self.write_vectored(VectoredSlice::new(buf, written)).await;
            buf = rest.into_inner();
            match result {
                Ok(0) => return (Err(write_zero()), buf),
                Ok(n) => written += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return (Err(e), buf),
            }
        }
        (Ok(()), buf)
    }
}

impl<W: AsyncWrite + ?Sized> AsyncWriteExt for W {}
