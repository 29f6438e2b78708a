//! Bodies of requests and responses.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use compio::{
    runtime::SendWrapper,
    time::{Sleep, sleep},
};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use super::activity::{ActiveRequest, Untaken};

/// The body of a request. It fails if the peer sends nothing for too long: see
/// [`Http::body_timeout`](crate::Http::body_timeout).
///
/// It is `Send`, as services of other libraries require, and is used on the thread of its connection.
#[derive(Debug)]
pub struct RequestBody {
    inner: Incoming,
    timeout: Option<Duration>,
    /// Of a read that waits.
    stalled: Option<SendWrapper<Sleep>>,
}

impl RequestBody {
    pub(super) fn new(inner: Incoming, timeout: Option<Duration>) -> Self {
        Self {
            inner,
            timeout,
            stalled: None,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.stalled = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(RequestBodyError::hyper)));
        }
        let Some(timeout) = self.timeout else {
            return Poll::Pending;
        };
        let stalled = self
            .stalled
            .get_or_insert_with(|| SendWrapper::new(sleep(timeout)));
        ready!(Pin::new(&mut **stalled).poll(cx));
        Poll::Ready(Some(Err(RequestBodyError(Cause::TimedOut))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The failure of a request's body.
pub struct RequestBodyError(Cause);

enum Cause {
    Hyper(hyper::Error),
    TimedOut,
}

impl RequestBodyError {
    fn hyper(error: hyper::Error) -> Self {
        Self(Cause::Hyper(error))
    }

    /// Whether the peer has sent nothing for too long.
    pub fn is_timeout(&self) -> bool {
        matches!(self.0, Cause::TimedOut)
    }
}

impl fmt::Display for RequestBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Hyper(error) => error.fmt(f),
            Cause::TimedOut => f.write_str("the peer has sent nothing for too long"),
        }
    }
}

impl fmt::Debug for RequestBodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Hyper(error) => f.debug_tuple("RequestBodyError").field(error).finish(),
            Cause::TimedOut => f.write_str("RequestBodyError(TimedOut)"),
        }
    }
}

impl Error for RequestBodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Cause::Hyper(error) => error.source(),
            Cause::TimedOut => None,
        }
    }
}

pin_project! {
    /// The body of a response. The request is in progress until it is dropped.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        inner: B,
        // Present until hyper polls for the next part.
        untaken: Option<Untaken>,
        active: ActiveRequest,
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn new(inner: B, active: ActiveRequest) -> Self {
        Self {
            inner,
            untaken: Some(active.untaken()),
            active,
        }
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        *this.untaken = None;
        let polled = this.inner.poll_frame(cx);
        if let Poll::Ready(Some(Ok(_))) = polled {
            *this.untaken = Some(this.active.untaken());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
