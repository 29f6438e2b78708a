//! Adapters from and to readers and writers of `tokio`, under the feature
//! `tokio`. Adapters for `futures-io` are in `futures_io`.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use tokio::io::ReadBuf;

use crate::{
    buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, Room},
    io::{
        AsyncBufRead, AsyncRead, AsyncWrite, Join, PollReader, PollWriter,
        compat::{buffered, io_slices},
    },
};

/// A reader or writer of `tokio::io` as one of this crate.
///
/// In the other direction, [`PollReader`], [`PollWriter`], and a
/// [`join`](crate::io::join()) of the two implement the traits of `tokio::io`.
/// Pin a type that is not `Unpin` in a box first. A type that needs Tokio's
/// runtime needs it here, too.
///
/// # Cancellation
///
/// These readers and writers own no buffer while they wait: a read or write that
/// is dropped has moved nothing.
///
/// ```
/// use compio::io::{AsyncReadExt, TokioIo};
///
/// # pollster::block_on(async {
/// let theirs = tokio::io::repeat(b'-');
/// let (_, buffer) = TokioIo::new(theirs).take(3).read_to_end(Vec::new()).await;
/// assert_eq!(buffer, b"---");
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct TokioIo<T>(T);

impl<T> TokioIo<T> {
    /// Wraps a reader or writer.
    pub fn new(inner: T) -> Self {
        Self(inner)
    }

    /// The reader or writer.
    pub fn get_ref(&self) -> &T {
        &self.0
    }

    /// The reader or writer.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.0
    }

    /// Unwraps the reader or writer.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T: tokio::io::AsyncRead + Unpin> AsyncRead for TokioIo<T> {
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        let mut room = Room::new(buf);
        let read =
            poll_fn(|cx| room.poll_read_buf(|room| Pin::new(&mut self.0).poll_read(cx, room)))
                .await;
        room.finish(read)
    }
}

impl<T: tokio::io::AsyncBufRead + Unpin> AsyncBufRead for TokioIo<T> {
    async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let filled = poll_fn(|cx| {
            let bytes = ready!(Pin::new(&mut self.0).poll_fill_buf(cx))?;
            Poll::Ready(io::Result::Ok(!bytes.is_empty()))
        });
        // At EOF, a second poll would wait again.
        if filled.await? {
            let mut cx = Context::from_waker(Waker::noop());
            buffered(Pin::new(&mut self.0).poll_fill_buf(&mut cx))
        } else {
            Ok(&[])
        }
    }

    fn consume(&mut self, len: usize) {
        Pin::new(&mut self.0).consume(len);
    }
}

impl<T: tokio::io::AsyncWrite + Unpin> AsyncWrite for TokioIo<T> {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        let written = poll_fn(|cx| Pin::new(&mut self.0).poll_write(cx, buf.as_init())).await;
        (written, buf)
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, buf: V) -> BufResult<usize, V> {
        let slices = io_slices(&buf);
        let written = poll_fn(|cx| Pin::new(&mut self.0).poll_write_vectored(cx, &slices)).await;
        drop(slices);
        (written, buf)
    }

    async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| Pin::new(&mut self.0).poll_flush(cx)).await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        poll_fn(|cx| Pin::new(&mut self.0).poll_shutdown(cx)).await
    }
}

/// A read stays in flight if its poll is not repeated; the next poll continues it.
impl<R> tokio::io::AsyncRead for PollReader<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if room.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let this = self.get_mut();
        let bytes = ready!(PollReader::poll_fill_buf(this, cx))?;
        let len = bytes.len().min(room.remaining());
        room.put_slice(&bytes[..len]);
        PollReader::consume(this, len);
        Poll::Ready(Ok(()))
    }
}

impl<R> tokio::io::AsyncBufRead for PollReader<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        PollReader::poll_fill_buf(self.get_mut(), cx)
    }

    fn consume(self: Pin<&mut Self>, len: usize) {
        PollReader::consume(self.get_mut(), len);
    }
}

/// A write returns the number of accepted bytes. If writing them fails later, the next
/// call returns the error.
impl<W> tokio::io::AsyncWrite for PollWriter<W> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        PollWriter::poll_write(self.get_mut(), cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        PollWriter::poll_gather(self.get_mut(), cx, slices.iter().map(|slice| &**slice))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        PollWriter::poll_flush(self.get_mut(), cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        PollWriter::poll_shutdown(self.get_mut(), cx)
    }
}

impl<R, W> tokio::io::AsyncRead for Join<R, W>
where
    R: tokio::io::AsyncRead + Unpin,
    W: Unpin,
{
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().reader_mut()).poll_read(cx, room)
    }
}

impl<R, W> tokio::io::AsyncBufRead for Join<R, W>
where
    R: tokio::io::AsyncBufRead + Unpin,
    W: Unpin,
{
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Pin::new(self.get_mut().reader_mut()).poll_fill_buf(cx)
    }

    fn consume(self: Pin<&mut Self>, len: usize) {
        Pin::new(self.get_mut().reader_mut()).consume(len);
    }
}

impl<R, W> tokio::io::AsyncWrite for Join<R, W>
where
    R: Unpin,
    W: tokio::io::AsyncWrite + Unpin,
{
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().writer_mut()).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().writer_mut()).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.writer().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().writer_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().writer_mut()).poll_shutdown(cx)
    }
}
