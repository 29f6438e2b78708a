//! Upgrades of requests of a server of [compio-http](compio_http), to WebSocket connections.
//!
//! ```no_run
//! use std::convert::Infallible;
//!
//! use compio::{net::TcpListener, task};
//! use compio_http::{RequestBody, hyper::{Request, Response, service::service_fn}};
//! use compio_ws::upgrade;
//!
//! async fn chat(mut request: Request<RequestBody>) -> Result<Response<String>, Infallible> {
//!     let (response, upgrade) = match upgrade::upgrade(&mut request) {
//!         Ok(upgrade) => upgrade,
//!         Err(error) => return Ok(upgrade::refusal(&error)),
//!     };
//!     // The connection is upgraded after the response.
//!     task::spawn(async {
//!         let mut socket = upgrade.accept().await?;
//!         while let Some(message) = socket.recv().await {
//!             let message = message?;
//!             if message.is_text() {
//!                 socket.send(message).await?;
//!             }
//!         }
//!         Ok::<(), compio_ws::Error>(())
//!     })
//!     .detach();
//!     Ok(response.map(|()| String::new()))
//! }
//!
//! #[compio::main]
//! async fn main() -> std::io::Result<()> {
//!     let listener = TcpListener::bind("127.0.0.1:8080").await?;
//!     compio_http::serve(listener, service_fn(chat)).await
//! }
//! ```
//!
//! The connection uses the native stream, without the polls of hyper. It has left the server: a graceful shutdown does
//! not wait for its task.

use std::{fmt, io, mem};

use compio::net::{PollStream, TcpStream, UnixStream};
use compio_http::{
    hyper::{
        rt::{Read, Write},
        upgrade::{OnUpgrade, Upgraded},
    },
    upgrade::into_stream,
};
use compio_io::io::{AsyncRead, AsyncWrite};
#[cfg(feature = "tls")]
use compio_tls::TlsStream;
use tungstenite::{
    Bytes,
    error::ProtocolError,
    handshake::server::create_response,
    http::{HeaderValue, Request, Response, StatusCode, header, request::Parts},
    protocol::Role,
};

use crate::{Config, Error, Stream, WebSocket, handshake};

/// A request that is being upgraded.
pub struct Upgrade {
    connection: OnUpgrade,
    config: Config,
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Checks the handshake of a request. Returns the response, to which headers can be added, and the upgrade, which
/// completes after the response was sent.
///
/// # Errors
///
/// [`Error::Handshake`] if the request is no valid handshake, or if its connection cannot be upgraded (HTTP/2).
/// [`refusal`] makes a response of it.
pub fn upgrade<B>(request: &mut Request<B>) -> Result<(Response<()>, Upgrade), Error> {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = request.method().clone();
    parts.version = request.version();
    mem::swap(&mut parts.headers, request.headers_mut());
    mem::swap(&mut parts.extensions, request.extensions_mut());
    let upgrade = upgrade_parts(&mut parts);
    mem::swap(&mut parts.headers, request.headers_mut());
    mem::swap(&mut parts.extensions, request.extensions_mut());
    upgrade
}

/// As [`upgrade()`], for the head of a request.
///
/// # Errors
///
/// As [`upgrade()`].
pub fn upgrade_parts(parts: &mut Parts) -> Result<(Response<()>, Upgrade), Error> {
    let mut request = Request::new(());
    *request.method_mut() = parts.method.clone();
    *request.version_mut() = parts.version;
    mem::swap(request.headers_mut(), &mut parts.headers);
    let response = create_response(&request);
    mem::swap(request.headers_mut(), &mut parts.headers);
    let refused = |error| {
        let status = handshake::status_for(&error);
        Error::handshake(error, Some(status))
    };
    let response = response.map_err(refused)?;
    match parts.extensions.remove::<OnUpgrade>() {
        Some(connection) => {
            let config = Config::new();
            Ok((response, Upgrade { connection, config }))
        }
        None => Err(refused(ProtocolError::WrongHttpVersion.into())),
    }
}

/// The response to a request whose handshake is invalid.
pub fn refusal(error: &Error) -> Response<String> {
    let mut response = Response::new(format!("{error}\n"));
    let status = error.status().unwrap_or(StatusCode::BAD_REQUEST);
    *response.status_mut() = status;
    if status == StatusCode::UPGRADE_REQUIRED {
        let headers = response.headers_mut();
        headers.insert(
            header::SEC_WEBSOCKET_VERSION,
            HeaderValue::from_static("13"),
        );
    }
    response
}

impl Upgrade {
    /// Sets the limits of the connection.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Waits until the response is sent. Returns the connection, over a TCP or a Unix stream, and with the feature `tls`
    /// over TLS on TCP.
    ///
    /// Call it in another task: the response is sent after the service has returned it.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]: the connection has failed before. `TimedOut` after the [limit](Config::handshake_timeout).
    /// `Unsupported` if the server was given another type of stream: see [`accept_over`](Self::accept_over).
    ///
    /// # Panics
    ///
    /// On another thread than the connection's.
    ///
    /// # Cancellation
    ///
    /// The connection is closed.
    pub async fn accept(self) -> Result<WebSocket<Stream>, Error> {
        let config = self.config;
        let upgraded = self.upgraded().await?;
        let upgraded = match into_stream::<PollStream<TcpStream>>(upgraded) {
            Ok((stream, unread)) => {
                let stream = Stream::Tcp(stream.into_inner());
                return Ok(socket(stream, unread, config));
            }
            Err(upgraded) => upgraded,
        };
        let upgraded = match into_stream::<PollStream<UnixStream>>(upgraded) {
            Ok((stream, unread)) => {
                let stream = Stream::Unix(stream.into_inner());
                return Ok(socket(stream, unread, config));
            }
            Err(upgraded) => upgraded,
        };
        #[cfg(feature = "tls")]
        let upgraded = match into_stream::<TlsStream<TcpStream>>(upgraded) {
            Ok((stream, unread)) => {
                let stream = Stream::Tls(Box::new(stream));
                return Ok(socket(stream, unread, config));
            }
            Err(upgraded) => upgraded,
        };
        drop(upgraded);
        Err(other_type())
    }

    /// As [`accept`](Self::accept), for a server that was given streams of the type `I`. The function makes a stream of
    /// compio of it.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    ///
    /// # Panics
    ///
    /// On another thread than the connection's.
    ///
    /// # Cancellation
    ///
    /// The connection is closed.
    pub async fn accept_over<I, S: 'static>(
        self,
        stream: impl FnOnce(I) -> S,
    ) -> Result<WebSocket<S>, Error>
    where
        I: Read + Write + Unpin + 'static,
        for<'s> &'s S: AsyncRead + AsyncWrite,
    {
        let config = self.config;
        match into_stream::<I>(self.upgraded().await?) {
            Ok((io, unread)) => Ok(socket(stream(io), unread, config)),
            Err(_) => Err(other_type()),
        }
    }

    async fn upgraded(self) -> Result<Upgraded, Error> {
        handshake::within(self.config, async {
            let upgraded = self.connection.await;
            upgraded.map_err(|error| Error::Io(io::Error::other(error)))
        })
        .await
    }
}

fn socket<S: 'static>(stream: S, unread: Bytes, config: Config) -> WebSocket<S>
where
    for<'s> &'s S: AsyncRead + AsyncWrite,
{
    WebSocket::from_stream(stream, Role::Server, unread, config)
}

fn other_type() -> Error {
    let message = "the server has streams of another type";
    Error::Io(io::Error::new(io::ErrorKind::Unsupported, message))
}
