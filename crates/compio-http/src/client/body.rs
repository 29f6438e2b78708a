//! The body of a request.

use std::{
    cell::Cell,
    fmt,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes};
use compio::time::sleep;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::BoxError;

/// The body of a request on its way to a connection. Connections of a pool are shared by bodies of all types.
pub(super) struct OutgoingBody {
    content: Content,
    /// A response is not late while the request is being sent.
    progress: Option<Progress>,
}

enum Content {
    /// Sent as one frame. It can be sent again.
    Bytes(Bytes),
    Stream(Pin<Box<dyn Body<Data = Bytes, Error = BoxError>>>),
}

impl OutgoingBody {
    pub(super) fn bytes(bytes: Bytes) -> Self {
        Self {
            content: Content::Bytes(bytes),
            progress: None,
        }
    }

    pub(super) fn stream<B>(body: B) -> Self
    where
        B: Body + 'static,
        B::Error: Into<BoxError>,
    {
        // An empty body can be sent again.
        if body.is_end_stream() {
            return Self::bytes(Bytes::new());
        }
        Self {
            content: Content::Stream(Box::pin(BytesBody { inner: body })),
            progress: None,
        }
    }

    /// Reports frames to `progress` from now on.
    pub(super) fn report_to(&mut self, progress: Progress) {
        self.progress = Some(progress);
    }

    /// The same body again, unless it is a stream.
    pub(super) fn try_clone(&self) -> Option<Self> {
        match &self.content {
            Content::Bytes(bytes) => Some(Self {
                content: Content::Bytes(bytes.clone()),
                progress: self.progress.clone(),
            }),
            Content::Stream(_) => None,
        }
    }
}

impl Body for OutgoingBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match &mut self.content {
            Content::Bytes(bytes) if bytes.is_empty() => None,
            Content::Bytes(bytes) => Some(Ok(Frame::data(std::mem::take(bytes)))),
            Content::Stream(stream) => ready!(stream.as_mut().poll_frame(cx)),
        };
        if let Some(progress) = &self.progress {
            progress.note();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Bytes(bytes) => bytes.is_empty(),
            Content::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Stream(stream) => stream.size_hint(),
        }
    }
}

impl fmt::Debug for OutgoingBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.content {
            Content::Bytes(bytes) => f.debug_tuple("Bytes").field(&bytes.len()).finish(),
            Content::Stream(_) => f.write_str("Stream"),
        }
    }
}

pin_project! {
    /// A body with other types of data and error.
    struct BytesBody<B> {
        #[pin]
        inner: B,
    }
}

impl<B> Body for BytesBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(self.project().inner.poll_frame(cx));
        Poll::Ready(frame.map(|frame| match frame {
            // Copies nothing if the data are `Bytes`.
            Ok(frame) => Ok(frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))),
            Err(error) => Err(error.into()),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The read timeout before a response, which begins anew with each frame of the request's body.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    limit: Duration,
    deadline: Rc<Cell<Instant>>,
}

impl Progress {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            deadline: Rc::new(Cell::new(sleep(limit).deadline())),
        }
    }

    pub(super) fn note(&self) {
        self.deadline.set(sleep(self.limit).deadline());
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline.get()
    }
}
