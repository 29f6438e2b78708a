//! [`BufReader`]: a buffered reader.

use std::{
    fmt,
    io::{self, SeekFrom},
    mem,
};

use crate::{
    buf::{BufResult, IntoInner, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut},
    coop::consume_budget,
    io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, BUFFER_LEN},
};

/// Reads ahead, so that many small reads cost few operations.
///
/// Reads of at least the buffer's capacity bypass the buffer if it is empty.
///
/// # Cancellation
///
/// The operation that fills the buffer owns it. If the future is dropped, the
/// buffer is lost. It was empty, so bytes are lost only if the reader documents
/// that its dropped reads can lose some. The `BufReader` continues with a new
/// buffer. A [`PollReader`](crate::io::PollReader) keeps the operation and loses
/// nothing; it costs an allocation, and its reader must be `'static`.
///
/// ```
/// use compio::io::{AsyncBufReadExt, BufReader};
///
/// # pollster::block_on(async {
/// let mut reader = BufReader::new(&b"one\ntwo\n"[..]);
/// let (_, line) = reader.read_line(String::new()).await;
/// assert_eq!(line, "one\n");
/// assert_eq!(reader.buffer(), b"two\n");
/// # });
/// ```
pub struct BufReader<R> {
    reader: R,
    // Without capacity until the first read, and again after a dropped read.
    buf: Vec<u8>,
    // consumed <= buf.len()
    consumed: usize,
    capacity: usize,
}

impl<R> BufReader<R> {
    /// With a buffer of 8 KiB.
    pub fn new(reader: R) -> Self {
        Self::with_capacity(BUFFER_LEN, reader)
    }

    /// With a buffer of `capacity` bytes, allocated at the first read. 0 counts as
    /// one byte.
    pub fn with_capacity(capacity: usize, reader: R) -> Self {
        Self {
            reader,
            buf: Vec::new(),
            consumed: 0,
            capacity: capacity.max(1),
        }
    }

    /// The bytes that are buffered. Does not read.
    pub fn buffer(&self) -> &[u8] {
        &self.buf[self.consumed..]
    }

    /// How many bytes the buffer holds at most.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The reader.
    pub fn get_ref(&self) -> &R {
        &self.reader
    }

    /// The reader. The buffered bytes were read from it already.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// Unwraps the reader; the [buffered](Self::buffer) bytes are lost.
    pub fn into_inner(self) -> R {
        self.reader
    }

    fn consume_all(&mut self) {
        self.consumed = self.buf.len();
    }
}

impl<R: AsyncRead> BufReader<R> {
    /// The bytes to copy into a buffer with this room. Without room it does not wait.
    async fn bytes_for(&mut self, room: usize) -> io::Result<&[u8]> {
        if room == 0 {
            return Ok(&[]);
        }
        self.fill_buf().await
    }
}

impl<R> IntoInner for BufReader<R> {
    type Inner = R;

    fn into_inner(self) -> R {
        self.reader
    }
}

impl<R: fmt::Debug> fmt::Debug for BufReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufReader")
            .field("reader", &self.reader)
            .field("buffered", &self.buffer().len())
            .field("capacity", &self.capacity)
            .finish()
    }
}

impl<R: AsyncRead> AsyncRead for BufReader<R> {
    async fn read<B: IoBufMut>(&mut self, mut buf: B) -> BufResult<usize, B> {
        let room = buf.buf_capacity();
        if self.buffer().is_empty() && room >= self.capacity {
            return self.reader.read(buf).await;
        }
        let bytes = match self.bytes_for(room).await {
            Ok(bytes) => bytes,
            Err(e) => return (Err(e), buf),
        };
        let len = buf.init_from(bytes);
        self.consume(len);
        (Ok(len), buf)
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, mut buf: V) -> BufResult<usize, V> {
        let room = buf.total_capacity();
        if self.buffer().is_empty() && room >= self.capacity {
            return self.reader.read_vectored(buf).await;
        }
        let bytes = match self.bytes_for(room).await {
            Ok(bytes) => bytes,
            Err(e) => return (Err(e), buf),
        };
        let len = buf.init_from(bytes);
        self.consume(len);
        (Ok(len), buf)
    }

    async fn settle(&mut self) -> bool {
        !self.buffer().is_empty() || self.reader.settle().await
    }
}

impl<R: AsyncRead> AsyncBufRead for BufReader<R> {
    async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.buffer().is_empty() {
            // The read owns the buffer. If it is dropped, the `BufReader` must have
            // an empty one.
            self.consumed = 0;
            let mut buf = mem::take(&mut self.buf);
            buf.clear();
            buf.reserve_exact(self.capacity);
            let (read, buf) = self.reader.read(buf).await;
            self.buf = buf;
            read?;
        } else {
            consume_budget().await;
        }
        Ok(self.buffer())
    }

    /// # Panics
    ///
    /// If `len` is more than the number of buffered bytes.
    fn consume(&mut self, len: usize) {
        let buffered = self.buffer().len();
        assert!(
            len <= buffered,
            "{len} of {buffered} buffered bytes consumed"
        );
        self.consumed += len;
    }
}

/// Writes to the inner stream, and bypasses the buffer, which holds bytes of the
/// other direction.
///
/// If reads and writes share one position, as in a file, seek first: the reader has
/// read ahead.
impl<R: AsyncWrite> AsyncWrite for BufReader<R> {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        self.reader.write(buf).await
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, buf: V) -> BufResult<usize, V> {
        self.reader.write_vectored(buf).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.reader.flush().await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.reader.shutdown().await
    }
}

impl<R: AsyncSeek> AsyncSeek for BufReader<R> {
    /// Discards the buffered bytes, as the reader's position may change.
    async fn seek(&mut self, pos: SeekFrom) -> io::Result<u64> {
        let ahead = i64::try_from(self.buffer().len()).unwrap_or(i64::MAX);
        let pos = match pos {
            SeekFrom::Current(offset) => match offset.checked_sub(ahead) {
                Some(offset) => SeekFrom::Current(offset),
                None => {
                    self.reader.seek(SeekFrom::Current(-ahead)).await?;
                    self.consume_all();
                    SeekFrom::Current(offset)
                }
            },
            SeekFrom::Start(_) | SeekFrom::End(_) => pos,
        };
        let position = self.reader.seek(pos).await?;
        self.consume_all();
        Ok(position)
    }

    /// Keeps the buffered bytes.
    async fn stream_position(&mut self) -> io::Result<u64> {
        let ahead = self.buffer().len() as u64;
        let position = self.reader.stream_position().await?;
        position.checked_sub(ahead).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "the position of the reader is less than the bytes read",
            )
        })
    }
}
