//! Responses.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use compio::time::{Sleep, sleep, sleep_until};
use http_body::{Body, Frame, SizeHint};
use hyper::{HeaderMap, StatusCode, Uri, Version, body::Incoming};

use super::{
    connection::ActiveStream,
    error::{Error, Kind},
    pool::Pool,
};

/// The capacity that [`Response::bytes`] reserves at most because the server has announced a length.
const ANNOUNCED_MAX: u64 = 1 << 20;

/// A response whose head has arrived. Its body follows: [`bytes`](Self::bytes), [`text`](Self::text),
/// [`chunk`](Self::chunk).
///
/// ```no_run
/// use compio_http::Client;
///
/// #[compio::main]
/// async fn main() -> Result<(), compio_http::client::Error> {
///     let mut response = Client::new().get("http://example.com/large").send().await?;
///     let mut len = 0;
///     while let Some(chunk) = response.chunk().await? {
///         len += chunk.len();
///     }
///     println!("{} bytes", len);
///     Ok(())
/// }
/// ```
///
/// # Cancellation
///
/// The drop of a response before its end closes an HTTP/1 connection, and resets an HTTP/2 stream. A response that
/// was read to its end returns its connection to the pool.
#[derive(Debug)]
pub struct Response {
    inner: hyper::Response<ResponseBody>,
    url: Uri,
}

impl Response {
    pub(super) fn new(inner: hyper::Response<ResponseBody>, url: Uri) -> Self {
        Self { inner, url }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// The version of the protocol.
    pub fn version(&self) -> Version {
        self.inner.version()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// The URL of the request.
    pub fn url(&self) -> &Uri {
        &self.url
    }

    /// The length of the body in bytes, if the server has announced it.
    pub fn content_length(&self) -> Option<u64> {
        self.inner.body().size_hint().exact()
    }

    /// The response itself, if its status is below 400.
    ///
    /// # Errors
    ///
    /// The server has answered with a client error or a server error: see [`Error::status`].
    pub fn error_for_status(self) -> Result<Self, Error> {
        let status = self.status();
        if status.is_client_error() || status.is_server_error() {
            return Err(Error::new(Kind::Status(status)));
        }
        Ok(self)
    }

    /// The next bytes of the body, or `None` at its end. Trailers are skipped.
    ///
    /// # Cancellation
    ///
    /// Loses nothing: the next call returns the bytes.
    ///
    /// # Errors
    ///
    /// The connection has failed, or a time limit has passed.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let body = self.inner.body_mut();
        loop {
            let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
            match frame {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole body. Its size has no limit: for a server that is not trusted, use [`chunk`](Self::chunk).
    ///
    /// # Cancellation
    ///
    /// Drops the response.
    ///
    /// # Errors
    ///
    /// The connection has failed, or a time limit has passed.
    pub async fn bytes(mut self) -> Result<Bytes, Error> {
        let announced = self.inner.body().size_hint().lower();
        let Some(first) = self.chunk().await? else {
            return Ok(Bytes::new());
        };
        let Some(second) = self.chunk().await? else {
            return Ok(first);
        };
        let mut all = BytesMut::with_capacity(announced.min(ANNOUNCED_MAX) as usize);
        all.extend_from_slice(&first);
        all.extend_from_slice(&second);
        while let Some(chunk) = self.chunk().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// The whole body as UTF-8, as [`bytes`](Self::bytes). A charset of the header `content-type` is ignored.
    ///
    /// # Cancellation
    ///
    /// Drops the response.
    ///
    /// # Errors
    ///
    /// The connection has failed; a time limit has passed; or the body is no UTF-8 ([`Error::is_decode`]).
    pub async fn text(self) -> Result<String, Error> {
        let bytes = Vec::from(self.bytes().await?);
        String::from_utf8(bytes).map_err(|error| Error::with(Kind::Decode, error))
    }

    /// The response in the type of hyper, for its extensions, its trailers, or
    /// [`hyper::upgrade::on`](hyper::upgrade).
    pub fn into_hyper(self) -> hyper::Response<ResponseBody> {
        self.inner
    }
}

/// The body of a response. Its connections last as long as it does, also if the client is dropped before.
///
/// It stays on its thread.
pub struct ResponseBody {
    /// `None` after a time limit.
    inner: Option<Incoming>,
    active: Option<ActiveStream>,
    _pool: Rc<Pool>,
    deadline: Option<Sleep>,
    read_timeout: Option<Duration>,
    /// Of a read that waits.
    stalled: Option<Sleep>,
}

impl ResponseBody {
    pub(super) fn new(
        inner: Incoming,
        pool: Rc<Pool>,
        active: Option<ActiveStream>,
        deadline: Option<Instant>,
        read_timeout: Option<Duration>,
    ) -> Self {
        Self {
            inner: Some(inner),
            active,
            _pool: pool,
            deadline: deadline.map(sleep_until),
            read_timeout,
            stalled: None,
        }
    }

    /// Ready when the time of the whole request has passed.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Kind> {
        match &mut self.deadline {
            Some(deadline) => Pin::new(deadline).poll(cx).map(|()| Kind::Timeout),
            None => Poll::Pending,
        }
    }

    /// Ready when the server has sent nothing for too long.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<Kind> {
        let Some(timeout) = self.read_timeout else {
            return Poll::Pending;
        };
        let stalled = self.stalled.get_or_insert_with(|| sleep(timeout));
        Pin::new(stalled).poll(cx).map(|()| Kind::ReadTimeout)
    }

    fn fail(&mut self, kind: Kind) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.inner = None;
        self.active = None;
        Poll::Ready(Some(Err(Error::new(kind))))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(inner).poll_frame(cx);
        // Also before a frame that is ready: there always is one if the server sends faster than the program reads.
        if let Poll::Pending | Poll::Ready(Some(Ok(_))) = polled
            && let Poll::Ready(kind) = self.poll_deadline(cx)
        {
            return self.fail(kind);
        }
        let Poll::Ready(frame) = polled else {
            let kind = ready!(self.poll_stalled(cx));
            return self.fail(kind);
        };
        self.stalled = None;
        if frame.is_none() {
            self.active = None;
        }
        Poll::Ready(frame.map(|f| f.map_err(|e| Error::with(Kind::Body, e))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
