//! [`PollReader`]: a reader whose reads survive the futures that wait for them.

use std::{
    fmt,
    future::poll_fn,
    io,
    task::{Context, Poll, ready},
};

use crate::{
    buf::{BufResult, IoBufMut, IoVectoredBufMut},
    io::{AsyncBufRead, AsyncRead, BUFFER_LEN, reusable_future::Reading},
};

/// A buffered reader that loses nothing when a future is dropped.
///
/// A read of a completion-based reader owns its buffer. Dropping its future drops
/// the buffer and, unless the reader keeps them for the next read, arrived bytes.
/// Here the read and its buffer stay in the `PollReader`; dropping a future only
/// ends the wait. The next call waits for the same read. So reads may stand in a
/// `select!`, and a [`Lines`](crate::io::Lines) or a `Take` over it loses no bytes.
///
/// For the same reason it can be polled: directly
/// ([`poll_fill_buf`](Self::poll_fill_buf)), or as a reader of other ecosystems.
/// With the features `futures-io` and `tokio` it implements their `AsyncRead` and
/// `AsyncBufRead`.
///
/// It costs two allocations and a copy out of the buffer. If no read is ever
/// dropped, a [`BufReader`](crate::io::BufReader) avoids the allocations.
///
/// # Cancellation
///
/// Nothing is lost by dropping a future of this type. Dropping the `PollReader`
/// cancels the read in flight.
///
/// ```
/// use std::pin::pin;
/// use std::task::{Context, Waker};
///
/// use compio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, PollReader, duplex};
///
/// # pollster::block_on(async {
/// let (mut client, server) = duplex(64);
/// let mut reader = PollReader::new(server);
/// let mut cx = Context::from_waker(Waker::noop());
/// assert!(pin!(reader.read([0; 5])).poll(&mut cx).is_pending());
/// // That future is gone, the read continues.
/// assert!(reader.get_ref().is_none());
/// client.write_all("hello").await.0?;
/// assert_eq!(reader.read_exact([0; 5]).await.1, *b"hello");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub struct PollReader<R> {
    reading: Reading<R, Vec<u8>>,
    // How many bytes of the buffer are consumed; only valid while no read is in flight.
    consumed: usize,
    capacity: usize,
    // The room of the next read.
    room: usize,
}

/// The room of the first read, and of a reader that reads little at a time.
const ROOM_MIN: usize = 1024;

/// The room of the read that follows one of `len` bytes into `room`.
fn next_room(room: usize, len: usize, capacity: usize) -> usize {
    if len >= room {
        room.saturating_mul(4).min(capacity)
    } else if len < room / 4 {
        (room / 2).max(ROOM_MIN.min(capacity))
    } else {
        room
    }
}

impl<R: AsyncRead + 'static> PollReader<R> {
    /// With a buffer of up to 8 KiB.
    pub fn new(reader: R) -> Self {
        Self::with_capacity(BUFFER_LEN, reader)
    }

    /// With a buffer of up to `capacity` bytes. 0 counts as one byte.
    ///
    /// The first read has room for 1 KiB at most. The room grows after a read that
    /// fills it, and shrinks after one that fills little: a connection that waits
    /// holds a small buffer.
    pub fn with_capacity(capacity: usize, reader: R) -> Self {
        Self {
            reading: Reading::cancellable(reader),
            consumed: 0,
            capacity: capacity.max(1),
            room: capacity.clamp(1, ROOM_MIN),
        }
    }
}

impl<R> PollReader<R> {
    /// The bytes that are buffered. Does not read.
    pub fn buffer(&self) -> &[u8] {
        let buf = self.reading.home().map(|(_, buf)| &buf[self.consumed..]);
        buf.unwrap_or_default()
    }

    /// How many bytes the buffer holds at most.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The reader, or none while a read is in flight.
    pub fn get_ref(&self) -> Option<&R> {
        self.reading.home().map(|(reader, _)| reader)
    }

    /// The reader, or none while a read is in flight. The buffered bytes were read
    /// from it already.
    pub fn get_mut(&mut self) -> Option<&mut R> {
        self.reading.home_mut().map(|(reader, _)| reader)
    }

    /// Cancels the read in flight, if there is one, and waits for its end.
    ///
    /// Bytes that the read has received by then are in the [`buffer`](Self::buffer). If the reader is a
    /// socket or pipe of compio, or reads from one, none are lost. Other readers document whether a
    /// dropped read loses bytes: see [`AsyncRead::settle`].
    ///
    /// Afterwards [`into_parts`](Self::into_parts) succeeds, for instance to unwrap a connection after an
    /// HTTP upgrade, while the HTTP library has a read in flight:
    ///
    /// ```
    /// use std::task::{Context, Waker};
    ///
    /// use compio::io::{PollReader, duplex};
    ///
    /// # pollster::block_on(async {
    /// let (client, server) = duplex(64);
    /// let mut reader = PollReader::new(server);
    /// assert!(reader.poll_fill_buf(&mut Context::from_waker(Waker::noop())).is_pending());
    ///
    /// reader.cancel().await?;
    /// let (server, bytes) = reader.into_parts().expect("no read is in flight");
    /// assert!(bytes.is_empty());
    /// # drop((client, server));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// The error of the read, if it has failed. Bytes that arrived before the error are in the buffer.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost. The next call of any method continues.
    pub async fn cancel(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.reading.poll_cancel(cx)).await
    }

    /// Unwraps the reader, and the bytes that are buffered.
    ///
    /// # Errors
    ///
    /// This `PollReader`, if a read is in flight: [`cancel`](Self::cancel) it before.
    pub fn into_parts(self) -> Result<(R, Vec<u8>), Self> {
        let Self {
            reading,
            consumed,
            capacity,
            room,
        } = self;
        match reading.into_home() {
            Ok((reader, mut buf)) => {
                buf.drain(..consumed);
                Ok((reader, buf))
            }
            Err(reading) => Err(Self {
                reading,
                consumed,
                capacity,
                room,
            }),
        }
    }

    /// Returns the buffered bytes. If there are none, reads some, or continues the
    /// read in flight.
    ///
    /// An empty slice means EOF. Interrupted reads are repeated. Only the waker of
    /// the last poll is woken.
    ///
    /// # Errors
    ///
    /// Errors of the source.
    pub fn poll_fill_buf(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        if self.buffer().is_empty() {
            self.consumed = 0;
            let room = self.room;
            let len = ready!(self.reading.poll(cx, |buf| {
                buf.clear();
                buf.shrink_to(room);
                buf.reserve_exact(room);
            }))?;
            self.room = next_room(room, len, self.capacity);
        }
        Poll::Ready(Ok(self.buffer()))
    }

    /// Notes that `len` of the buffered bytes were used.
    ///
    /// # Panics
    ///
    /// If `len` is more than the number of buffered bytes.
    pub fn consume(&mut self, len: usize) {
        let buffered = self.buffer().len();
        assert!(
            len <= buffered,
            "{len} of {buffered} buffered bytes consumed"
        );
        self.consumed += len;
    }

    /// Waits for bytes; `copy` takes a prefix of them.
    async fn read_by(&mut self, copy: impl FnOnce(&[u8]) -> usize) -> io::Result<usize> {
        let len = copy(self.fill_buf().await?);
        self.consume(len);
        Ok(len)
    }
}

// The reader is pinned only inside an operation, which is boxed.
impl<R> Unpin for PollReader<R> {}

impl<R: fmt::Debug> fmt::Debug for PollReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollReader")
            .field("reader", &self.get_ref())
            .field("buffered", &self.buffer().len())
            .field("capacity", &self.capacity)
            .finish()
    }
}

impl<R> AsyncRead for PollReader<R> {
    async fn read<B: IoBufMut>(&mut self, mut buf: B) -> BufResult<usize, B> {
        if buf.buf_capacity() == 0 {
            return (Ok(0), buf);
        }
        let read = self.read_by(|bytes| buf.init_from(bytes)).await;
        (read, buf)
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, mut buf: V) -> BufResult<usize, V> {
        if buf.total_capacity() == 0 {
            return (Ok(0), buf);
        }
        let read = self.read_by(|bytes| buf.init_from(bytes)).await;
        (read, buf)
    }

    /// Returns whether bytes are buffered. A read in flight stays in flight.
    async fn settle(&mut self) -> bool {
        !self.buffer().is_empty()
    }
}

impl<R> AsyncBufRead for PollReader<R> {
    /// # Cancellation
    ///
    /// Nothing is lost: the read stays in flight.
    async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        poll_fn(|cx| self.poll_fill_buf(cx).map_ok(drop)).await?;
        Ok(self.buffer())
    }

    fn consume(&mut self, len: usize) {
        PollReader::consume(self, len);
    }
}
