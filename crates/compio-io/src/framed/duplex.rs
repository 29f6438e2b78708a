//! [`Framed`]: frames in both directions.

use std::{
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::BytesMut;
use futures_core::Stream;
use futures_sink::Sink;

use crate::{
    framed::{Decoder, Encoder, FramedRead, FramedWrite, read::Input, write::Output},
    io::{AsyncRead, AsyncWrite},
};

/// The frames of a reader, and frames into a writer, with one codec.
///
/// See [`FramedRead`] and [`FramedWrite`], of which it has all the methods, and
/// the [module](crate::framed) for an example.
///
/// # Cancellation
///
/// Dropping a future of this type loses and repeats nothing, as for these two types.
pub struct Framed<R, W, C> {
    input: Input<R>,
    output: Output<W>,
    codec: C,
}

impl<R: AsyncRead + 'static, W: AsyncWrite + 'static, C> Framed<R, W, C> {
    /// Frames between a reader and a writer, and `codec`.
    pub fn new(reader: R, writer: W, codec: C) -> Self {
        Self {
            input: Input::new(reader),
            output: Output::new(writer),
            codec,
        }
    }
}

impl<R, W, C> Framed<R, W, C> {
    /// The codec.
    pub fn codec(&self) -> &C {
        &self.codec
    }

    /// The codec.
    pub fn codec_mut(&mut self) -> &mut C {
        &mut self.codec
    }

    /// The bytes that were read and not yet decoded. `None` while a read is in
    /// flight, which owns them.
    pub fn read_buffer(&self) -> Option<&BytesMut> {
        self.input.buffer()
    }

    /// The gathered bytes of frames that are not yet part of a write.
    pub fn write_buffer(&self) -> &BytesMut {
        &self.output.gathered
    }

    /// Splits the two directions; each continues with its state.
    pub fn into_split(self) -> (FramedRead<R, C>, FramedWrite<W, C>)
    where
        C: Clone,
    {
        let Self {
            input,
            output,
            codec,
        } = self;
        let reader = FramedRead {
            input,
            decoder: codec.clone(),
        };
        let writer = FramedWrite {
            output,
            encoder: codec,
        };
        (reader, writer)
    }

    /// As [`FramedRead::next`].
    ///
    /// # Errors
    ///
    /// Errors of the codec and of the reader.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub async fn next(&mut self) -> Option<Result<C::Item, C::Error>>
    where
        C: Decoder,
    {
        poll_fn(|cx| self.input.poll_frame(&mut self.codec, cx)).await
    }

    /// As [`FramedWrite::send`].
    ///
    /// # Errors
    ///
    /// Errors of the codec and of the writer.
    ///
    /// # Cancellation
    ///
    /// The frame has been taken as a whole or not at all. To know which, use
    /// [`feed`](Self::feed).
    pub async fn send<I>(&mut self, item: I) -> Result<(), <C as Encoder<I>>::Error>
    where
        C: Encoder<I>,
    {
        self.feed(item).await?;
        Ok(self.flush().await?)
    }

    /// As [`FramedWrite::feed`].
    ///
    /// # Errors
    ///
    /// Errors of the codec, which then takes nothing. Errors of the writer for frames
    /// that were taken before.
    ///
    /// # Cancellation
    ///
    /// The frame has not been taken, and is lost.
    pub async fn feed<I>(&mut self, item: I) -> Result<(), <C as Encoder<I>>::Error>
    where
        C: Encoder<I>,
    {
        poll_fn(|cx| self.output.poll_ready(cx)).await?;
        self.output.gather(&mut self.codec, item)
    }

    /// As [`FramedWrite::flush`].
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

    /// As [`FramedWrite::close`]. Frames can still be read.
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

// Reader, writer and codec are never pinned here; operations are boxed.
impl<R, W, C> Unpin for Framed<R, W, C> {}

impl<R, W, C: Decoder> Stream for Framed<R, W, C> {
    type Item = Result<C::Item, C::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.input.poll_frame(&mut this.codec, cx)
    }
}

impl<R, W, C: Encoder<I>, I> Sink<I> for Framed<R, W, C> {
    type Error = C::Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.get_mut().output.poll_ready(cx).map_err(Into::into)
    }

    fn start_send(self: Pin<&mut Self>, item: I) -> Result<(), C::Error> {
        let this = self.get_mut();
        this.output.gather(&mut this.codec, item)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.get_mut().output.poll_flush(cx).map_err(Into::into)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.get_mut().output.poll_close(cx).map_err(Into::into)
    }
}

impl<R, W, C: fmt::Debug> fmt::Debug for Framed<R, W, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framed")
            .field("codec", &self.codec)
            .finish_non_exhaustive()
    }
}
