//! [`FramedRead`]: the frames of a reader.
//!
//! ```text
//! Decoding --no frame--> Reading --bytes--> Decoding
//!                           |end
//!                           v
//!                        Ending --no frame--> Ended --bytes--> Decoding
//! any --error--> Failed --None--> Decoding
//! ```

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use futures_core::Stream;

use crate::{
    coop::{has_budget_remaining, poll_proceed},
    framed::Decoder,
    io::{AsyncRead, reusable_future::Reading},
};

/// The minimum room of a read if the decoder has reserved none, in bytes.
const READ_LEN: usize = 8 * 1024;

/// The frames of a reader.
///
/// Beside the frame that is not yet complete, it reads a few KiB ahead at most.
///
/// # Cancellation
///
/// Dropping a future of this type loses nothing: the read in flight stays, and the
/// next call waits for it. Dropping the `FramedRead` cancels the read.
///
/// ```
/// use compio::framed::{FramedRead, LinesCodec};
///
/// # pollster::block_on(async {
/// let mut lines = FramedRead::new(&b"one\ntwo\n"[..], LinesCodec::new());
/// assert_eq!(lines.next().await.unwrap().unwrap(), "one");
/// assert_eq!(lines.next().await.unwrap().unwrap(), "two");
/// assert!(lines.next().await.is_none());
/// # });
/// ```
pub struct FramedRead<R, D> {
    pub(super) input: Input<R>,
    pub(super) decoder: D,
}

impl<R: AsyncRead + 'static, D> FramedRead<R, D> {
    /// Decodes the bytes of `reader` with `decoder`.
    pub fn new(reader: R, decoder: D) -> Self {
        Self {
            input: Input::new(reader),
            decoder,
        }
    }
}

impl<R, D> FramedRead<R, D> {
    /// The reader, or none while a read is in flight.
    pub fn get_ref(&self) -> Option<&R> {
        self.input.reading.home().map(|(reader, _)| reader)
    }

    /// The reader, or none while a read is in flight. The bytes in the
    /// [buffer](Self::read_buffer) were read from it already.
    pub fn get_mut(&mut self) -> Option<&mut R> {
        self.input.reading.home_mut().map(|(reader, _)| reader)
    }

    /// The decoder.
    pub fn decoder(&self) -> &D {
        &self.decoder
    }

    /// The decoder.
    pub fn decoder_mut(&mut self) -> &mut D {
        &mut self.decoder
    }

    /// The bytes that were read and not yet decoded. `None` while a read is in
    /// flight, which owns them.
    pub fn read_buffer(&self) -> Option<&BytesMut> {
        self.input.buffer()
    }

    /// Unwraps the reader, the decoder, and the bytes that were read and not yet
    /// decoded.
    ///
    /// # Errors
    ///
    /// Returns this `FramedRead` if a read is in flight.
    pub fn into_parts(self) -> Result<(R, D, BytesMut), Self> {
        let Self { input, decoder } = self;
        match input.into_parts() {
            Ok((reader, buffer)) => Ok((reader, decoder, buffer)),
            Err(input) => Err(Self { input, decoder }),
        }
    }
}

impl<R, D: Decoder> FramedRead<R, D> {
    /// The next frame; none at the end of the reader.
    ///
    /// An error is followed by `None`, so that loops end. A further call returns the
    /// next frame. After EOF a further call reads again.
    ///
    /// # Errors
    ///
    /// Errors of the decoder and of the reader.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost; see [`FramedRead`].
    pub async fn next(&mut self) -> Option<Result<D::Item, D::Error>> {
        poll_fn(|cx| self.input.poll_frame(&mut self.decoder, cx)).await
    }
}

// Reader and decoder are never pinned here; an operation is boxed.
impl<R, D> Unpin for FramedRead<R, D> {}

impl<R, D: Decoder> Stream for FramedRead<R, D> {
    type Item = Result<D::Item, D::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.input.poll_frame(&mut this.decoder, cx)
    }
}

impl<R: fmt::Debug, D: fmt::Debug> fmt::Debug for FramedRead<R, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FramedRead")
            .field("reader", &self.get_ref())
            .field("decoder", &self.decoder)
            .finish_non_exhaustive()
    }
}

/// A reader, the bytes of the incomplete frame, and the state.
pub(super) struct Input<R> {
    pub(super) reading: Reading<R, BytesMut>,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    /// There may be a frame in the buffer.
    Decoding,
    /// There is no frame without more bytes.
    Reading,
    /// There may be a last frame.
    Ending,
    /// There is no frame left, but the reader may have grown.
    Ended,
    /// The error was returned, the following `None` was not.
    Failed,
}

impl<R: AsyncRead + 'static> Input<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reading: Reading::new(reader, BytesMut::new()),
            state: State::Decoding,
        }
    }
}

impl<R> Input<R> {
    pub(super) fn buffer(&self) -> Option<&BytesMut> {
        self.reading.home().map(|(_, buffer)| buffer)
    }

    pub(super) fn into_parts(self) -> Result<(R, BytesMut), Self> {
        let Self { reading, state } = self;
        reading
            .into_home()
            .map_err(|reading| Self { reading, state })
    }

    pub(super) fn poll_frame<D: Decoder>(
        &mut self,
        decoder: &mut D,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<D::Item, D::Error>>> {
        loop {
            match self.state {
                State::Decoding | State::Ending if !has_budget_remaining() => {
                    ready!(poll_proceed(cx));
                }
                State::Decoding | State::Ending => match self.decode(decoder) {
                    Ok(Some(frame)) => {
                        // Takes budget only after a frame was decoded, not for an incomplete one.
                        let _ = poll_proceed(cx);
                        return Poll::Ready(Some(Ok(frame)));
                    }
                    Ok(None) if matches!(self.state, State::Ending) => {
                        self.state = State::Ended;
                        return Poll::Ready(None);
                    }
                    Ok(None) => self.state = State::Reading,
                    Err(e) => return self.fail(e),
                },
                State::Reading | State::Ended => match ready!(self.reading.poll(cx, make_room)) {
                    Ok(0) if matches!(self.state, State::Ended) => return Poll::Ready(None),
                    Ok(0) => self.state = State::Ending,
                    Ok(_) => self.state = State::Decoding,
                    Err(e) => return self.fail(e.into()),
                },
                State::Failed => {
                    self.state = State::Decoding;
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn decode<D: Decoder>(&mut self, decoder: &mut D) -> Result<Option<D::Item>, D::Error> {
        let home = self.reading.home_mut();
        let (_, buffer) = home.expect("nothing is read while there may be a frame");
        if matches!(self.state, State::Ending) {
            decoder.decode_eof(buffer)
        } else {
            decoder.decode(buffer)
        }
    }

    fn fail<T, E>(&mut self, error: E) -> Poll<Option<Result<T, E>>> {
        self.state = State::Failed;
        Poll::Ready(Some(Err(error)))
    }
}

fn make_room(buffer: &mut BytesMut) {
    // One read fills the room that the decoder has reserved. A small rest is not
    // worth an operation.
    if buffer.capacity() - buffer.len() < READ_LEN / 4 {
        buffer.reserve(READ_LEN);
    }
}
