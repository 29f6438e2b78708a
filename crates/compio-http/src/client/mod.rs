//! The HTTP client of one thread: HTTP/1.1 and HTTP/2 with a pool of connections.
//!
//! The feature `client` enables this module. It is not a default feature.
//!
//! ```no_run
//! use compio_http::Client;
//!
//! #[compio::main]
//! async fn main() -> Result<(), compio_http::client::Error> {
//!     let client = Client::new();
//!     let response = client.get("http://example.com/").send().await?;
//!     println!("{}", response.error_for_status()?.text().await?);
//!     Ok(())
//! }
//! ```
//!
//! # Connections
//!
//! A [`Client`] and its clones share one pool. It belongs to one thread: a server on all cores has a client for each
//! core, and no lock. An HTTP/1 connection returns to the pool when its response was read to the end. HTTP/2 connections
//! are shared by all requests to a host. Connections to names follow RFC 8305, "Happy Eyeballs". [`ClientBuilder`] has
//! the limits and their defaults.
//!
//! A connection is a task of the runtime that began it, and makes progress only while this runtime runs. The connections
//! end when the last clone of the client, its requests and its responses have been dropped.
//!
//! # Cancellation
//!
//! The drop of a request, or of a response before its end, closes its HTTP/1 connection, and resets its HTTP/2 stream. The
//! server may have processed the request.
//!
//! # Retries
//!
//! A server may close an idle connection while a request is on its way, or refuse an HTTP/2 stream. The client retries
//! the request once if it was not sent; or if its method is idempotent (RFC 9110, 9.2.2) and its body is a block of bytes.
//! A closed connection is replaced. So a `POST` is never sent twice: the failure is an error with
//! [`Error::is_request`].
//!
//! # Redirects, decompression, proxies
//!
//! The client follows no redirect and decodes no content. With the feature `tower` it is a `tower_service::Service`,
//! and layers of `tower-http` go on top: the page of [`Client`] has an example, at the implementation of the trait. An own
//! [`Connect`] connects by a proxy.
//!
//! # URLs
//!
//! A URL is a [`Uri`]: in ASCII, with other characters percent-encoded, and with a host in Punycode. A URL with credentials
//! is an error.
//!
//! # TLS
//!
//! [`HttpConnector`] has no TLS, and refuses `https`. With the feature `tls`,
//! [`ClientBuilder::tls`] adds it by `compio-tls`. Another implementation is a connector that implements [`Connect`].

mod body;
mod builder;
mod connect;
mod connection;
mod error;
mod exchange;
mod pool;
mod request;
mod response;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tower")]
mod tower;

use std::{fmt, rc::Rc, time::Duration};

use http_body::Body;
use hyper::{Method, Request, Uri, http};

#[cfg(feature = "tls")]
pub use self::tls::{HttpsConnector, HttpsStream};
#[cfg(feature = "tower")]
pub use self::tower::SendClient;
use self::{body::OutgoingBody, exchange::Deadlines, pool::Pool};
pub use self::{
    builder::ClientBuilder,
    connect::{Connect, Connected, HttpConnector, UnixConnector},
    error::Error,
    pool::ClientExecutor,
    request::RequestBuilder,
    response::{Response, ResponseBody},
};
use crate::BoxError;

/// A client with a pool of connections. Clones are cheap and share the pool. See the [module](self).
///
/// ```
/// use compio::{net::TcpListener, task};
/// use compio_http::{Client, RequestBody, serve};
/// use http_body_util::Full;
/// use hyper::{Request, Response, body::Bytes, service::service_fn};
///
/// #[compio::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let address = listener.local_addr()?;
///     let service = service_fn(async |_request: Request<RequestBody>| {
///         Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from("Hello\n"))))
///     });
///     task::spawn(async move { serve(listener, service).await }).detach();
///
///     let client = Client::new();
///     let response = client.get(format!("http://{address}/")).send().await?;
///     assert_eq!(response.text().await?, "Hello\n");
///     Ok(())
/// }
/// ```
pub struct Client<C = HttpConnector>(Rc<Shared<C>>);

/// The state of a client and its clones.
struct Shared<C> {
    connector: C,
    http1: hyper::client::conn::http1::Builder,
    #[cfg(feature = "http2")]
    http2: hyper::client::conn::http2::Builder<ClientExecutor>,
    connect_timeout: Option<Duration>,
    deadlines: Deadlines,
    pool: Rc<Pool>,
}

impl Client {
    /// A client with the default settings.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// The settings of a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Connect> Client<C> {
    /// A `GET` request.
    pub fn get<U>(&self, url: U) -> RequestBuilder<C>
    where
        U: TryInto<Uri>,
        U::Error: Into<http::Error>,
    {
        self.method(Method::GET, url)
    }

    /// A `HEAD` request.
    pub fn head<U>(&self, url: U) -> RequestBuilder<C>
    where
        U: TryInto<Uri>,
        U::Error: Into<http::Error>,
    {
        self.method(Method::HEAD, url)
    }

    /// A `POST` request.
    pub fn post<U>(&self, url: U) -> RequestBuilder<C>
    where
        U: TryInto<Uri>,
        U::Error: Into<http::Error>,
    {
        self.method(Method::POST, url)
    }

    /// A `PUT` request.
    pub fn put<U>(&self, url: U) -> RequestBuilder<C>
    where
        U: TryInto<Uri>,
        U::Error: Into<http::Error>,
    {
        self.method(Method::PUT, url)
    }

    /// A `PATCH` request.
    pub fn patch<U>(&self, url: U) -> RequestBuilder<C>
    where
        U: TryInto<Uri>,
        U::Error: Into<http::Error>,
    {
        self.method(Method::PATCH, url)
    }

    /// A `DELETE` request.
    pub fn delete<U>(&self, url: U) -> RequestBuilder<C>
    where
        U: TryInto<Uri>,
        U::Error: Into<http::Error>,
    {
        self.method(Method::DELETE, url)
    }

    /// A request with any method but `CONNECT`.
    pub fn method<U>(&self, method: Method, url: U) -> RequestBuilder<C>
    where
        U: TryInto<Uri>,
        U::Error: Into<http::Error>,
    {
        RequestBuilder::new(self, method, url.try_into().map_err(Into::into))
    }

    /// Sends a request of hyper with any body, and waits for the head of the response. The URI is absolute.
    ///
    /// A body that is not empty is sent once: the request is retried only if nothing of it was sent.
    ///
    /// ```no_run
    /// use compio_http::{Client, hyper::Request};
    /// use http_body_util::Full;
    /// use hyper::body::Bytes;
    ///
    /// #[compio::main]
    /// async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     let body = Full::new(Bytes::from("hello"));
    ///     let request = Request::put("http://127.0.0.1:8080/file").body(body)?;
    ///     let response = Client::new().request(request).await?;
    ///     println!("{}", response.status());
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Cancellation
    ///
    /// As [`RequestBuilder::send`].
    ///
    /// # Errors
    ///
    /// As [`RequestBuilder::send`]. If the body has failed, [`Error::is_request`] is true, and the source of the error of
    /// hyper is the body's error.
    pub async fn request<B>(&self, request: Request<B>) -> Result<Response, Error>
    where
        B: Body + 'static,
        B::Error: Into<BoxError>,
    {
        let request = request.map(OutgoingBody::stream);
        self.send(request, self.0.deadlines).await
    }

    async fn send(
        &self,
        request: Request<OutgoingBody>,
        deadlines: Deadlines,
    ) -> Result<Response, Error> {
        let url = request.uri().clone();
        let response = exchange::exchange(&self.0, request, deadlines).await?;
        Ok(Response::new(response, url))
    }
}

impl<C> Clone for Client<C> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<C> fmt::Debug for Client<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("connect_timeout", &self.0.connect_timeout)
            .field("deadlines", &self.0.deadlines)
            .field("limits", &self.0.pool.limits)
            .finish_non_exhaustive()
    }
}
