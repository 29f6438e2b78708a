//! The request of the common case: bytes as its body.

use std::time::Duration;

use bytes::Bytes;
use hyper::{
    Method, Request, Uri,
    header::{HeaderName, HeaderValue},
    http,
};

use super::{
    Client, HttpConnector, Response,
    body::OutgoingBody,
    connect::Connect,
    error::{Error, Kind},
    exchange::Deadlines,
};

/// A request that is being built. Made by [`Client::get`], [`Client::method`] and others.
///
/// An invalid URL or header is an error of [`send`](Self::send).
///
/// ```no_run
/// use std::time::Duration;
///
/// use compio_http::Client;
///
/// #[compio::main]
/// async fn main() -> Result<(), compio_http::client::Error> {
///     let client = Client::new();
///     let response = client
///         .post("http://127.0.0.1:8080/items")
///         .header("content-type", "application/json")
///         .body(r#"{"name":"a"}"#)
///         .timeout(Duration::from_secs(10))
///         .send()
///         .await?
///         .error_for_status()?;
///     println!("{}", response.text().await?);
///     Ok(())
/// }
/// ```
#[derive(Debug)]
#[must_use = "the request is sent by `send`"]
pub struct RequestBuilder<C = HttpConnector> {
    client: Client<C>,
    request: Result<Request<Bytes>, http::Error>,
    limits: Deadlines,
}

impl<C: Connect> RequestBuilder<C> {
    pub(super) fn new(client: &Client<C>, method: Method, url: http::Result<Uri>) -> Self {
        let request = url.map(|url| {
            let mut request = Request::new(Bytes::new());
            *request.method_mut() = method;
            *request.uri_mut() = url;
            request
        });
        Self {
            client: client.clone(),
            request,
            limits: client.0.deadlines,
        }
    }

    /// Adds a header. Earlier ones of this name stay.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        N::Error: Into<http::Error>,
        V: TryInto<HeaderValue>,
        V::Error: Into<http::Error>,
    {
        self.request = self.request.and_then(|mut request| {
            let name = name.try_into().map_err(Into::into)?;
            let value = value.try_into().map_err(Into::into)?;
            request.headers_mut().append(name, value);
            Ok(request)
        });
        self
    }

    /// The body, which is sent with its length. [`Client::request`] sends other bodies.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        if let Ok(request) = &mut self.request {
            *request.body_mut() = body.into();
        }
        self
    }

    /// The time from [`send`](Self::send) until the body of the response is read to its end. The client's setting by default.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.limits.total = timeout.into();
        self
    }

    /// The time for which the server may send nothing: see
    /// [`ClientBuilder::read_timeout`](super::ClientBuilder::read_timeout). The client's setting by default.
    pub fn read_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.limits.read = timeout.into();
        self
    }

    /// Sends the request, and waits for the head of the response.
    ///
    /// # Cancellation
    ///
    /// Closes the HTTP/1 connection of the request, or resets its HTTP/2 stream. The server may have processed the
    /// request.
    ///
    /// # Errors
    ///
    /// - [`Error::is_builder`]: the request is invalid.
    /// - [`Error::is_connect`]: no connection was established.
    /// - [`Error::is_timeout`]: a time limit has passed.
    /// - [`Error::is_request`]: the connection has failed before the response.
    ///
    /// A status of 400 or more is no error: see [`Response::error_for_status`].
    pub async fn send(self) -> Result<Response, Error> {
        let request = self.request;
        let request = request.map_err(|error| Error::with(Kind::Builder, error))?;
        let request = request.map(OutgoingBody::bytes);
        self.client.send(request, self.limits).await
    }
}
