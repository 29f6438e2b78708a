//! [`FramedWrite`]: frames into a writer.

use std::{
    fmt,
    future::poll_fn,
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use futures_sink::Sink;

use crate::{
    framed::Encoder,
    io::{AsyncWrite, reusable_future::Writing},
};

/// The number of gathered bytes from which a frame has to wait.
const GATHERED_MAX: usize = 8 * 1024;

/// Frames into a writer.
///
/// Frames are gathered, up to 8 KiB or one frame more, and written in one operation:
/// when the buffer is full or by [`flush`](Self::flush).
///
/// # Errors
///
/// After an error of the writer a prefix of the data may have been written, which may
/// end within a frame, and the rest of that operation is lost. Close the stream. A
/// frame that the encoder refuses changes nothing.
///
/// # Cancellation
///
/// Only whole frames are taken. A taken frame is kept and written once, also if a
/// future is dropped. Dropping the `FramedWrite` cancels the write in flight, and
/// loses the gathered frames.
///
/// ```
/// use compio::framed::{FramedWrite, LinesCodec};
///
/// # pollster::block_on(async {
/// let mut lines = FramedWrite::new(Vec::new(), LinesCodec::new());
/// lines.feed("one").await?;
/// lines.send("two").await?;
/// assert_eq!(lines.get_ref().unwrap(), b"one\ntwo\n");
/// # Result::<(), compio::framed::CodecError>::Ok(())
/// # }).unwrap();
/// ```
pub struct FramedWrite<W, E> {
    pub(super) output: Output<W>,
    pub(super) encoder: E,
}

impl<W: AsyncWrite + 'static, E> FramedWrite<W, E> {
    /// Encodes frames with `encoder` and writes them to `writer`.
    pub fn new(writer: W, encoder: E) -> Self {
        Self {
            output: Output::new(writer),
            encoder,
        }
    }
}

impl<W, E> FramedWrite<W, E> {
    /// The writer, or none while an operation is in flight.
    pub fn get_ref(&self) -> Option<&W> {
        self.output.writing.home()
    }

    /// The writer, or none while an operation is in flight. Bytes written to it
    /// directly overtake the gathered frames.
    pub fn get_mut(&mut self) -> Option<&mut W> {
        self.output.writing.home_mut()
    }

    /// The encoder.
    pub fn encoder(&self) -> &E {
        &self.encoder
    }

    /// The encoder.
    pub fn encoder_mut(&mut self) -> &mut E {
        &mut self.encoder
    }

    /// The gathered bytes of frames that are not yet part of a write.
    pub fn write_buffer(&self) -> &BytesMut {
        &self.output.gathered
    }

    /// Unwraps the writer, the encoder, and the gathered bytes. After a flush, there
    /// are none, and no operation is in flight.
    ///
    /// # Errors
    ///
    /// Returns this `FramedWrite` if an operation is in flight.
    pub fn into_parts(self) -> Result<(W, E, BytesMut), Self> {
        let Self { output, encoder } = self;
        match output.into_parts() {
            Ok((writer, gathered)) => Ok((writer, encoder, gathered)),
            Err(output) => Err(Self { output, encoder }),
        }
    }

    /// Takes a frame and waits until it is written: [`feed`](Self::feed), then
    /// [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// Errors of the encoder and of the writer.
    ///
    /// # Cancellation
    ///
    /// The frame has been taken as a whole or not at all. To know which, use `feed`.
    pub async fn send<I>(&mut self, item: I) -> Result<(), E::Error>
    where
        E: Encoder<I>,
    {
        self.feed(item).await?;
        Ok(self.flush().await?)
    }

    /// Waits while more than 8 KiB are gathered, then takes a frame.
    ///
    /// # Errors
    ///
    /// Errors of the encoder, which then takes nothing. Errors of the writer for frames
    /// that were taken before.
    ///
    /// # Cancellation
    ///
    /// The frame has not been taken, and is lost.
    pub async fn feed<I>(&mut self, item: I) -> Result<(), E::Error>
    where
        E: Encoder<I>,
    {
        poll_fn(|cx| self.output.poll_ready(cx)).await?;
        self.output.gather(&mut self.encoder, item)
    }

    /// Writes all frames taken, and flushes the writer.
    ///
    /// # Errors
    ///
    /// Errors of the writer.
    ///
    /// # Cancellation
    ///
    /// The operation continues; the next call waits for it, and writes the rest.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.output.poll_flush(cx)).await
    }

    /// Writes all frames taken, and shuts the writer down.
    ///
    /// # Errors
    ///
    /// Errors of the writer.
    ///
    /// # Cancellation
    ///
    /// As for [`flush`](Self::flush).
    pub async fn close(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.output.poll_close(cx)).await
    }
}

// Writer and encoder are never pinned here; an operation is boxed.
impl<W, E> Unpin for FramedWrite<W, E> {}

impl<W, E: Encoder<I>, I> Sink<I> for FramedWrite<W, E> {
    type Error = E::Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E::Error>> {
        self.get_mut().output.poll_ready(cx).map_err(Into::into)
    }

    fn start_send(self: Pin<&mut Self>, item: I) -> Result<(), E::Error> {
        let this = self.get_mut();
        this.output.gather(&mut this.encoder, item)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E::Error>> {
        self.get_mut().output.poll_flush(cx).map_err(Into::into)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E::Error>> {
        self.get_mut().output.poll_close(cx).map_err(Into::into)
    }
}

impl<W: fmt::Debug, E: fmt::Debug> fmt::Debug for FramedWrite<W, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FramedWrite")
            .field("writer", &self.get_ref())
            .field("encoder", &self.encoder)
            .field("gathered", &self.output.gathered.len())
            .finish()
    }
}

/// A writer, and the bytes of frames that wait for it.
pub(super) struct Output<W> {
    pub(super) writing: Writing<W, BytesMut>,
    pub(super) gathered: BytesMut,
}

impl<W: AsyncWrite + 'static> Output<W> {
    pub(super) fn new(writer: W) -> Self {
        Self {
            writing: Writing::new(writer),
            gathered: BytesMut::new(),
        }
    }
}

impl<W> Output<W> {
    pub(super) fn into_parts(self) -> Result<(W, BytesMut), Self> {
        let Self { writing, gathered } = self;
        match writing.into_home() {
            Ok(writer) => Ok((writer, gathered)),
            Err(writing) => Err(Self { writing, gathered }),
        }
    }

    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gathered.len() < GATHERED_MAX {
            return Poll::Ready(Ok(()));
        }
        ready!(self.writing.poll(cx))?;
        self.write_gathered();
        // Begins the write, and returns an immediate error. Pending is fine: there is
        // room again.
        match self.writing.poll(cx) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    pub(super) fn gather<E: Encoder<I>, I>(
        &mut self,
        encoder: &mut E,
        item: I,
    ) -> Result<(), E::Error> {
        let before = self.gathered.len();
        let result = encoder.encode(item, &mut self.gathered);
        if result.is_err() {
            self.gathered.truncate(before);
        }
        result
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write(cx))?;
        self.writing.poll_flush(cx)
    }

    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write(cx))?;
        self.writing.poll_shut_down(cx)
    }

    /// Waits until all gathered bytes have been written.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            ready!(self.writing.poll(cx))?;
            self.write_gathered();
        }
        self.writing.poll(cx)
    }

    /// Must not be called while an operation is in flight.
    fn write_gathered(&mut self) {
        let mut next = self.writing.take_spare().unwrap_or_default();
        next.clear();
        self.writing.write(mem::replace(&mut self.gathered, next));
    }
}
