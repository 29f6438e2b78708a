//! Clients that connect to the host of a URL.

use std::io;

use compio::net::TcpStream;
#[cfg(feature = "tls")]
use compio_tls::TlsConnector;
use tungstenite::{
    client::{IntoClientRequest, uri_mode},
    handshake::{client::Request, server::Response},
    stream::Mode,
};

use crate::{Config, Error, Stream, WebSocket, handshake};

/// Connects to the host of a `ws` URL over TCP, and executes the handshake. `wss` needs `connect_tls`, of the feature
/// `tls`.
///
/// `TCP_NODELAY` is set, as small messages would otherwise wait for the acknowledgment of earlier ones.
///
/// ```no_run
/// #[compio::main]
/// async fn main() -> Result<(), compio_ws::Error> {
///     let (mut socket, _) = compio_ws::connect("ws://127.0.0.1:9001/chat").await?;
///     socket.send("hello").await?;
///     while let Some(message) = socket.recv().await {
///         println!("{}", message?);
///     }
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// As [`client`](crate::client), and the errors of [`TcpStream::connect`]. [`Error::Io`] of the kind
/// [`Unsupported`](io::ErrorKind::Unsupported) for `wss`.
///
/// # Cancellation
///
/// The connection is closed.
pub async fn connect(
    request: impl IntoClientRequest,
) -> Result<(WebSocket<Stream>, Response), Error> {
    connect_with(request, Config::new()).await
}

/// As [`connect`], with other limits.
///
/// # Errors
///
/// As [`connect`].
///
/// # Cancellation
///
/// As [`connect`].
pub async fn connect_with(
    request: impl IntoClientRequest,
    config: Config,
) -> Result<(WebSocket<Stream>, Response), Error> {
    establish(request, config, async |target| {
        if target.is_tls {
            let message = "a `wss` URL needs `connect_tls`";
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        target.connect().await.map(Stream::Tcp)
    })
    .await
}

/// As [`connect`], also to `wss` URLs, over TLS with this connector.
///
/// ```no_run
/// use compio_tls::{TlsConnector, provider, rustls::{ClientConfig, RootCertStore}};
/// use compio_ws::Config;
///
/// async fn watch(roots: RootCertStore) -> Result<(), Box<dyn std::error::Error>> {
///     let tls = ClientConfig::builder_with_provider(provider())
///         .with_safe_default_protocol_versions()?
///         .with_root_certificates(roots)
///         .with_no_client_auth();
///     let url = "wss://example.org/feed";
///     let (mut socket, _) = compio_ws::connect_tls(url, &TlsConnector::from(tls), Config::new()).await?;
///     while let Some(message) = socket.recv().await {
///         println!("{}", message?);
///     }
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// As [`connect`], and the errors of [`TlsConnector::connect`].
///
/// # Cancellation
///
/// As [`connect`].
#[cfg(feature = "tls")]
pub async fn connect_tls(
    request: impl IntoClientRequest,
    connector: &TlsConnector,
    config: Config,
) -> Result<(WebSocket<Stream>, Response), Error> {
    establish(request, config, async |target| {
        let stream = target.connect().await?;
        if !target.is_tls {
            return Ok(Stream::Tcp(stream));
        }
        let stream = connector.connect(&target.host, stream).await?;
        Ok(Stream::Tls(Box::new(stream)))
    })
    .await
}

/// Connects to the host of a request, and executes the handshake, within its time limit.
async fn establish(
    request: impl IntoClientRequest,
    config: Config,
    connect: impl AsyncFnOnce(&Target) -> io::Result<Stream>,
) -> Result<(WebSocket<Stream>, Response), Error> {
    handshake::within(config, async {
        let (request, target) = Target::of(request)?;
        let stream = connect(&target).await?;
        handshake::client_handshake(stream, request, config).await
    })
    .await
}

/// The host of a URL.
struct Target {
    host: String,
    port: u16,
    is_tls: bool,
}

impl Target {
    fn of(request: impl IntoClientRequest) -> Result<(Request, Self), Error> {
        let invalid = |error: tungstenite::Error| Error::InvalidRequest(Box::new(error));
        let request = request.into_client_request().map_err(invalid)?;
        let uri = request.uri();
        let is_tls = match uri_mode(uri).map_err(invalid)? {
            Mode::Plain => false,
            Mode::Tls => true,
        };
        let no_host = tungstenite::error::UrlError::NoHostName;
        let host = uri.host().ok_or_else(|| invalid(no_host.into()))?;
        // An IPv6 address has brackets in a URL.
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        Ok((request, Self { host, port, is_tls }))
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
