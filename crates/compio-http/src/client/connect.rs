//! New connections.

use std::{
    io,
    path::{Path, PathBuf},
};

use compio::net::{Connector, PollStream, Resolve, SystemResolver, TcpStream, UnixStream};
use hyper::{
    Uri,
    http::uri::Scheme,
    rt::{Read, Write},
};

/// Establishes the connections of a [`Client`](super::Client).
///
/// An implementation decides about the transport, for instance TLS for `https`. The client calls it once for each
/// connection, within the connect timeout.
///
/// ```
/// use std::io;
///
/// use compio::net::{PollStream, TcpStream};
/// use compio_http::{
///     Client,
///     client::{Connect, Connected},
///     hyper::Uri,
/// };
///
/// /// Connects to one gateway, for all hosts.
/// struct Gateway;
///
/// impl Connect for Gateway {
///     type Stream = PollStream<TcpStream>;
///
///     async fn connect(&self, _uri: &Uri) -> io::Result<Connected<Self::Stream>> {
///         let stream = TcpStream::connect("10.0.0.1:3128").await?;
///         Ok(Connected::http1(PollStream::new(stream)?))
///     }
/// }
///
/// let client = Client::builder().connector(Gateway).build();
/// drop(client);
/// ```
pub trait Connect {
    /// The stream of a connection.
    type Stream: Read + Write + Unpin + 'static;

    /// Connects to the scheme, host and port of `uri`. Connections are shared by all URIs with the same three.
    ///
    /// # Cancellation
    ///
    /// The client drops the future when the request is dropped, or when the connect timeout has passed.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported) for another scheme; the host is unknown, or does not answer.
    async fn connect(&self, uri: &Uri) -> io::Result<Connected<Self::Stream>>;
}

/// A connection and its protocol.
#[derive(Debug)]
pub struct Connected<S> {
    pub(super) stream: S,
    pub(super) is_http2: bool,
}

impl<S> Connected<S> {
    /// A connection for HTTP/1.1.
    pub fn http1(stream: S) -> Self {
        Self {
            stream,
            is_http2: false,
        }
    }

    /// A connection for HTTP/2, as TLS has negotiated by ALPN.
    pub fn http2(stream: S) -> Self {
        Self {
            stream,
            is_http2: true,
        }
    }
}

/// TCP connections for `http`, by Happy Eyeballs: see [`Connector`].
#[derive(Debug, Clone)]
pub struct HttpConnector<R = SystemResolver>(Connector<R>);

impl HttpConnector {
    /// A connector with the resolver of the system.
    pub fn new() -> Self {
        Self(Connector::new())
    }
}

impl Default for HttpConnector {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: Resolve> HttpConnector<R> {
    /// A connector with the settings of another one, for instance its resolver.
    pub fn with_connector(connector: Connector<R>) -> Self {
        Self(connector)
    }
}

impl<R: Resolve> HttpConnector<R> {
    /// Connects to the host of a URI, at its port or else at the port of its scheme.
    pub(super) async fn connect_tcp(&self, uri: &Uri, port: u16) -> io::Result<TcpStream> {
        let port = uri.port_u16().unwrap_or(port);
        let stream = self.0.connect(host(uri), port).await?;
        // Heads and bodies are separate writes. Without the option, the second one may wait for an acknowledgement.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// The host of a URI. An IPv6 address has no brackets.
pub(super) fn host(uri: &Uri) -> &str {
    let host = uri.host().unwrap_or_default();
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

impl<R: Resolve> Connect for HttpConnector<R> {
    type Stream = PollStream<TcpStream>;

    async fn connect(&self, uri: &Uri) -> io::Result<Connected<Self::Stream>> {
        require_http(uri)?;
        let stream = self.connect_tcp(uri, 80).await?;
        Ok(Connected::http1(PollStream::new(stream)?))
    }
}

/// Connections to one Unix socket, for all hosts. The host of the URI is sent in the header `host` alone.
///
/// ```no_run
/// use compio_http::{Client, client::UnixConnector};
///
/// #[compio::main]
/// async fn main() -> std::io::Result<()> {
///     let connector = UnixConnector::new("/var/run/docker.sock");
///     let client = Client::builder().connector(connector).build();
///     let version = client.get("http://docker/version").send().await?;
///     println!("{}", version.text().await?);
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct UnixConnector(PathBuf);

impl UnixConnector {
    /// A connector to the socket at this path.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self(path.as_ref().to_owned())
    }
}

impl Connect for UnixConnector {
    type Stream = PollStream<UnixStream>;

    async fn connect(&self, uri: &Uri) -> io::Result<Connected<Self::Stream>> {
        require_http(uri)?;
        let stream = UnixStream::connect(&self.0).await?;
        Ok(Connected::http1(PollStream::new(stream)?))
    }
}

fn require_http(uri: &Uri) -> io::Result<()> {
    if uri.scheme() == Some(&Scheme::HTTP) {
        Ok(())
    } else {
        let message = "the connector has no TLS: `ClientBuilder::tls` adds it for https";
        Err(unsupported(message))
    }
}

pub(super) fn unsupported(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, message)
}
