//! [`PollWriter`]: a writer whose writes survive the futures that wait for them.

use std::{
    fmt,
    future::poll_fn,
    io,
    iter::once,
    task::{Context, Poll, ready},
};

use crate::{
    buf::{BufResult, IoBuf, IoVectoredBuf},
    io::{AsyncWrite, reusable_future::Writing},
};

/// The default maximum length of one write, in bytes.
const CAPACITY: usize = 64 * 1024;

/// A writer that can be polled, and that neither loses nor repeats a byte when a
/// future is dropped.
///
/// A write copies bytes, begins one operation that writes all of them, and returns
/// their number. The operation stays in the `PollWriter`. The next write, flush or
/// shutdown waits for it first. So:
///
/// - a write that is dropped while it waits has accepted nothing;
/// - if an operation fails after its write has returned, the next call returns the
///   error;
/// - only after a [`flush`](AsyncWrite::flush) all bytes have been written;
/// - a dropped `PollWriter` hands its operation to the runtime of the thread, which
///   finishes it: libraries that write to a TCP connection drop it without a flush.
///
/// With the features `futures-io` and `tokio` it implements their `AsyncWrite`.
///
/// # Errors
///
/// After an error of the inner writer, a prefix of the bytes in flight has been
/// written, and the rest is lost: close the stream. If the write had returned
/// before, the inner writer is [aborted](AsyncWrite::abort): a TCP connection then
/// ends with a reset.
///
/// # Cancellation
///
/// A dropped write has accepted nothing. A dropped flush or shutdown continues, and
/// the next call waits for it.
///
/// Dropping the `PollWriter` cancels nothing: the operation continues, and the
/// inner writer is dropped after it. A runtime that is dropped gives it a short
/// time (at most about 50 milliseconds). If it is not complete by then, or if there
/// is no runtime, it is cancelled, and the inner writer is aborted: the peer of a
/// TCP connection reads a reset. Unix sockets and pipes have no reset: their peer
/// reads EOF. Flush if that matters.
///
/// ```
/// use compio::io::{AsyncWrite, AsyncWriteExt, PollWriter};
///
/// # pollster::block_on(async {
/// let mut writer = PollWriter::new(Vec::new());
/// writer.write_all("abc").await.0?;
/// writer.flush().await?;
/// assert_eq!(writer.into_inner().unwrap(), b"abc");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub struct PollWriter<W> {
    writing: Writing<W, Vec<u8>>,
    capacity: usize,
    // The error after a prefix that was written, for the next call.
    late: Option<io::Error>,
}

/// The largest buffer that is kept after a flush.
const SPARE_MAX: usize = 4 * 1024;

impl<W: AsyncWrite + 'static> PollWriter<W> {
    /// A writer that accepts at most 64 KiB in one write.
    pub fn new(writer: W) -> Self {
        Self::with_capacity(CAPACITY, writer)
    }

    /// A writer that accepts at most `capacity` bytes in one write. 0 counts as one
    /// byte.
    pub fn with_capacity(capacity: usize, writer: W) -> Self {
        Self {
            writing: Writing::acknowledging(writer),
            capacity: capacity.max(1),
            late: None,
        }
    }
}

impl<W> PollWriter<W> {
    /// The maximum number of bytes of one write.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The writer, or none while an operation is in flight.
    pub fn get_ref(&self) -> Option<&W> {
        self.writing.home()
    }

    /// The writer, or none while an operation is in flight.
    pub fn get_mut(&mut self) -> Option<&mut W> {
        self.writing.home_mut()
    }

    /// Unwraps the writer. After a [`flush`](AsyncWrite::flush), no operation is in flight.
    ///
    /// A write in flight is never cancelled: its bytes have been accepted.
    ///
    /// # Errors
    ///
    /// This `PollWriter`, if an operation is in flight.
    pub fn into_inner(self) -> Result<W, Self> {
        let Self {
            writing,
            capacity,
            late,
        } = self;
        writing.into_home().map_err(|writing| Self {
            writing,
            capacity,
            late,
        })
    }

    /// Waits for the operation in flight, then accepts a prefix of `bytes` and begins
    /// to write it. Returns its length, which is 0 only if `bytes` is empty.
    ///
    /// # Errors
    ///
    /// Errors of the writer, for these bytes or for earlier ones. None of `bytes` has
    /// been written then. If a prefix was written before the error, the call returns
    /// its length, and the next call returns the error.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_gather(cx, once(bytes))
    }

    /// As [`poll_write`](Self::poll_write), for many slices, one after the other.
    ///
    /// # Errors
    ///
    /// As for [`poll_write`](Self::poll_write).
    pub fn poll_gather<'a>(
        &mut self,
        cx: &mut Context<'_>,
        slices: impl Iterator<Item = &'a [u8]>,
    ) -> Poll<io::Result<usize>> {
        ready!(self.writing.poll(cx))?;
        self.take_late()?;
        let mut buf = self.writing.take_spare().unwrap_or_default();
        buf.clear();
        for slice in slices {
            let room = self.capacity - buf.len();
            buf.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        let len = buf.len();
        if len > 0 {
            self.writing.write(buf);
            // The first poll begins the write, and returns an immediate error.
            if let Poll::Ready(Err(error)) = self.writing.poll(cx) {
                let written = self.writing.written();
                if written == 0 {
                    return Poll::Ready(Err(error));
                }
                // A writer that accepts no more bytes says so again.
                if error.kind() != io::ErrorKind::WriteZero {
                    self.late = Some(error);
                }
                return Poll::Ready(Ok(written));
            }
        }
        Poll::Ready(Ok(len))
    }

    /// Waits until all accepted bytes are written, and flushes the inner writer.
    ///
    /// # Errors
    ///
    /// Errors of the writer, for the flush or for the write before.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.writing.poll_flush(cx))?;
        self.take_late()?;
        // An idle connection keeps no large buffer.
        if let Some(spare) = self.writing.take_spare()
            && spare.capacity() <= SPARE_MAX
        {
            self.writing.put_spare(spare);
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until all accepted bytes are written, and shuts down the inner writer.
    ///
    /// # Errors
    ///
    /// Errors of the writer, for the shutdown or for the write before.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.writing.poll_shut_down(cx))?;
        Poll::Ready(self.take_late())
    }

    fn take_late(&mut self) -> io::Result<()> {
        self.late.take().map_or(Ok(()), Err)
    }
}

// The writer is pinned only inside an operation, which is boxed.
impl<W> Unpin for PollWriter<W> {}

impl<W: fmt::Debug> fmt::Debug for PollWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollWriter")
            .field("writer", &self.get_ref())
            .field("capacity", &self.capacity)
            .finish()
    }
}

impl<W: AsyncWrite> AsyncWrite for PollWriter<W> {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        let written = poll_fn(|cx| self.poll_write(cx, buf.as_init())).await;
        (written, buf)
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, buf: V) -> BufResult<usize, V> {
        let written = poll_fn(|cx| self.poll_gather(cx, buf.slices())).await;
        (written, buf)
    }

    async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_shutdown(cx)).await
    }

    fn abort(&mut self) {
        if let Some(writer) = self.get_mut() {
            writer.abort();
        }
    }
}
