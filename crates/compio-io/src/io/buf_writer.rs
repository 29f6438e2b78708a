//! [`BufWriter`]: a writer with a buffer before it.

use std::{
    fmt,
    io::{self, SeekFrom},
    mem,
};

use crate::{
    buf::{BufResult, IntoInner, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut},
    coop::consume_budget,
    io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, BUFFER_LEN, write_zero},
};

/// Gathers small writes, so that many of them cost few operations.
///
/// Writes of at least the buffer's capacity bypass the buffer once it is empty.
/// A drop writes nothing, as it cannot wait: call [`flush`](AsyncWrite::flush)
/// before.
///
/// # Errors
///
/// After a failed operation of the inner writer the unwritten bytes stay in the
/// buffer. The next write or flush retries them.
///
/// # Cancellation
///
/// While `flush`, `shutdown` or a write that finds it full writes the buffer, the
/// operation owns it. If the future is dropped then, **all
/// [buffered](Self::buffer) bytes are lost**, and a prefix of them may have been
/// written. The `BufWriter` continues with a new, empty buffer; later bytes follow a
/// gap. So drop a pending `flush` only to abandon the stream, or wrap the
/// `BufWriter` in a [`PollWriter`](crate::io::PollWriter), whose flush continues
/// after a drop. A write that only buffers does not wait, so it cannot be dropped
/// midway.
///
/// ```
/// use compio::io::{AsyncWrite, AsyncWriteExt, BufWriter};
///
/// # pollster::block_on(async {
/// let mut writer = BufWriter::new(Vec::new());
/// for word in ["few ", "bytes"] {
///     writer.write_all(word).await.0?;
/// }
/// assert!(writer.get_ref().is_empty());
/// writer.flush().await?;
/// assert_eq!(writer.into_inner(), b"few bytes");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub struct BufWriter<W> {
    writer: W,
    // Without capacity until the first write, and again after a dropped flush.
    buf: Vec<u8>,
    // written <= buf.len()
    written: usize,
    capacity: usize,
}

impl<W> BufWriter<W> {
    /// With a buffer of 8 KiB.
    pub fn new(writer: W) -> Self {
        Self::with_capacity(BUFFER_LEN, writer)
    }

    /// With a buffer of `capacity` bytes, allocated at the first write that is
    /// buffered.
    pub fn with_capacity(capacity: usize, writer: W) -> Self {
        Self {
            writer,
            buf: Vec::new(),
            written: 0,
            capacity,
        }
    }

    /// The bytes that are buffered and not yet written.
    pub fn buffer(&self) -> &[u8] {
        &self.buf[self.written..]
    }

    /// How many bytes the buffer holds at most.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The writer.
    pub fn get_ref(&self) -> &W {
        &self.writer
    }

    /// The writer. Bytes written to it directly overtake the buffered bytes.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.writer
    }

    /// Unwraps the writer; the [buffered](Self::buffer) bytes are lost. Flush
    /// before, or use [`into_parts`](Self::into_parts).
    pub fn into_inner(self) -> W {
        self.writer
    }

    /// Unwraps the writer, and the bytes that are buffered and not yet written.
    ///
    /// ```
    /// use compio::io::{AsyncWriteExt, BufWriter};
    ///
    /// # pollster::block_on(async {
    /// let mut writer = BufWriter::new(Vec::new());
    /// writer.write_all("abc").await.0.unwrap();
    /// assert_eq!(writer.into_parts(), (vec![], b"abc".to_vec()));
    /// # });
    /// ```
    pub fn into_parts(mut self) -> (W, Vec<u8>) {
        self.buf.drain(..self.written);
        (self.writer, self.buf)
    }

    /// Buffers some bytes, for which there is room.
    fn gather<'a>(&mut self, slices: impl Iterator<Item = &'a [u8]>) {
        if self.buf.capacity() < self.capacity {
            self.buf.reserve_exact(self.capacity - self.buf.len());
        }
        slices.for_each(|slice| self.buf.extend_from_slice(slice));
    }
}

impl<W: AsyncWrite> BufWriter<W> {
    /// Writes the buffered bytes.
    async fn flush_buf(&mut self) -> io::Result<()> {
        while !self.buffer().is_empty() {
            // The write owns the buffer. If it is dropped, the `BufWriter` must
            // have an empty one.
            let written = mem::take(&mut self.written);
            let window = mem::take(&mut self.buf).slice(written..);
            let (result, window) = self.writer.write(window).await;
            let remaining = window.len();
            self.buf = window.into_inner();
            self.written = written;
            match result {
                Ok(0) => return Err(write_zero()),
                Ok(len) => {
                    assert!(
                        len <= remaining,
                        "a writer claims {len} of {remaining} bytes"
                    );
                    self.written += len;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.buf.clear();
        self.written = 0;
        Ok(())
    }

    /// Makes room for `len` bytes. Returns whether to buffer them.
    async fn make_room(&mut self, len: usize) -> io::Result<bool> {
        if len > self.capacity - self.buf.len().min(self.capacity) {
            self.flush_buf().await?;
        } else {
            consume_budget().await;
        }
        Ok(len < self.capacity)
    }
}

impl<W> IntoInner for BufWriter<W> {
    type Inner = W;

    fn into_inner(self) -> W {
        self.writer
    }
}

impl<W: fmt::Debug> fmt::Debug for BufWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufWriter")
            .field("writer", &self.writer)
            .field("buffered", &self.buffer().len())
            .field("capacity", &self.capacity)
            .finish()
    }
}

impl<W: AsyncWrite> AsyncWrite for BufWriter<W> {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        let len = buf.buf_len();
        match self.make_room(len).await {
            Ok(true) => {
                self.gather(std::iter::once(buf.as_init()));
                (Ok(len), buf)
            }
            Ok(false) => self.writer.write(buf).await,
            Err(e) => (Err(e), buf),
        }
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, buf: V) -> BufResult<usize, V> {
        let len = buf.total_len();
        match self.make_room(len).await {
            Ok(true) => {
                self.gather(buf.slices());
                (Ok(len), buf)
            }
            Ok(false) => self.writer.write_vectored(buf).await,
            Err(e) => (Err(e), buf),
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.flush_buf().await?;
        self.writer.flush().await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.flush_buf().await?;
        self.writer.shutdown().await
    }

    fn abort(&mut self) {
        self.writer.abort();
    }
}

/// Reads from the inner stream, and bypasses the buffer, which holds bytes of the
/// other direction. A read does not flush: if the peer waits for a request,
/// [`flush`](AsyncWrite::flush) first.
impl<W: AsyncRead> AsyncRead for BufWriter<W> {
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        self.writer.read(buf).await
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, buf: V) -> BufResult<usize, V> {
        self.writer.read_vectored(buf).await
    }

    async fn settle(&mut self) -> bool {
        self.writer.settle().await
    }
}

/// For a `BufWriter` over a [`BufReader`](crate::io::BufReader), which buffers both
/// directions.
impl<W: AsyncBufRead> AsyncBufRead for BufWriter<W> {
    async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.writer.fill_buf().await
    }

    fn consume(&mut self, len: usize) {
        self.writer.consume(len);
    }
}

impl<W: AsyncWrite + AsyncSeek> AsyncSeek for BufWriter<W> {
    /// Writes the buffered bytes first: they belong to the old position.
    async fn seek(&mut self, pos: SeekFrom) -> io::Result<u64> {
        self.flush_buf().await?;
        self.writer.seek(pos).await
    }
}
