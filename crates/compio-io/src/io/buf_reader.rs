//! [`BufReader`]: a reader with a buffer before it.

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
/// Reads of at least the buffer's capacity go past the buffer when it is empty.
///
/// # Cancellation
///
/// While the buffer is being filled it travels with the operation. If the future
/// is dropped then, the buffer is lost; it was empty, so that bytes are lost only
/// if the reader says that a dropped read of it can lose some. The `BufReader`
/// goes on with a new buffer. A [`PollReader`](crate::io::PollReader) keeps the
/// operation and loses nothing of any reader; it costs an allocation, and wants
/// its reader to be `'static`.
///
/// ```
/// use compio_io::io::{AsyncBufReadExt, BufReader};
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
    // Without capacity until the first read, and again if a dropped one took it.
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

    /// With a buffer of `capacity` bytes, allocated at the first read. None at
    /// all counts as one byte.
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

    /// The reader. What is buffered was read from it already.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// Unwraps the reader; what is [buffered](Self::buffer) is lost.
    pub fn into_inner(self) -> R {
        self.reader
    }

    fn consume_all(&mut self) {
        self.consumed = self.buf.len();
    }
}

impl<R: AsyncRead> BufReader<R> {
    /// What to copy into so much room. For none there is no reason to wait.
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
}

impl<R: AsyncRead> AsyncBufRead for BufReader<R> {
    async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.buffer().is_empty() {
            // From here to the read's end the buffer is not ours: a drop in
            // between has to find the reader with none.
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
    /// If `len` is more than is buffered.
    fn consume(&mut self, len: usize) {
        let buffered = self.buffer().len();
        assert!(
            len <= buffered,
            "{len} of {buffered} buffered bytes consumed"
        );
        self.consumed += len;
    }
}

/// Writes to the stream below, past the buffer, which holds bytes of the other
/// direction.
///
/// Of something with one position for both, such as a file, seek before: the
/// reader has read ahead.
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
    /// Forgets what is buffered, as the reader may stand somewhere else
    /// afterwards.
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

    /// Keeps what is buffered.
    async fn stream_position(&mut self) -> io::Result<u64> {
        let ahead = self.buffer().len() as u64;
        let position = self.reader.stream_position().await?;
        position.checked_sub(ahead).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "the reader stands before what was read from it",
            )
        })
    }
}
