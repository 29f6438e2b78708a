//! Servers: settings, and the ways to serve.

mod activity;
mod body;
mod connection;
mod detect;
mod io;
mod serve;
mod service;
mod socket;
#[cfg(feature = "tls")]
mod tls;
pub mod upgrade;

use std::{fmt, time::Duration};

use compio::cores::{self, RunningServer, Server, draining};
use http_body::Body;
use hyper::{
    Request, Response,
    rt::{Read, Write},
    service::Service,
};

pub use self::{
    body::{RequestBody, RequestBodyError, ResponseBody},
    connection::ConnectionError,
    serve::{Serve, serve},
    socket::ServerSocket,
};
#[cfg(feature = "http2")]
use crate::rt::TaskExecutor;
use crate::{BoxError, rt::RuntimeTimer};

/// The settings of the connections of a server. Clones are cheap.
///
/// The defaults protect a server on the open internet: each phase of a connection has a time limit.
///
/// ```no_run
/// use std::{convert::Infallible, time::Duration};
///
/// use compio::cores::Server;
/// use compio_http::Http;
/// use http_body_util::Full;
/// use hyper::{Response, body::Bytes, service::service_fn};
///
/// #[compio::main]
/// async fn main() -> std::io::Result<()> {
///     let http = Http::new().idle_timeout(Duration::from_secs(300));
///     let service = service_fn(async |_request| {
///         Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("Hello\n"))))
///     });
///     let server = http.start(Server::bind("0.0.0.0:8080").await?, service)?;
///     compio::signal::ctrl_c().await?;
///     server.shutdown_timeout(Duration::from_secs(30)).await
/// }
/// ```
#[derive(Clone)]
pub struct Http {
    http1: hyper::server::conn::http1::Builder,
    #[cfg(feature = "http2")]
    http2: hyper::server::conn::http2::Builder<TaskExecutor>,
    head_timeout: Option<Duration>,
    body_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
    #[cfg(feature = "tls")]
    tls: Option<compio_tls::TlsAcceptor>,
    #[cfg(feature = "tls")]
    handshake_timeout: Option<Duration>,
}

impl Http {
    /// The default settings.
    pub fn new() -> Self {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        Self {
            http1: {
                let mut builder = hyper::server::conn::http1::Builder::new();
                // Deadlines of heads are this crate's: hyper's count idle connections, too.
                builder.timer(RuntimeTimer).header_read_timeout(None);
                builder
            },
            #[cfg(feature = "http2")]
            http2: {
                let mut builder = hyper::server::conn::http2::Builder::new(TaskExecutor);
                builder
                    .timer(RuntimeTimer)
                    .keep_alive_interval(seconds(30))
                    .keep_alive_timeout(Duration::from_secs(20));
                builder
            },
            head_timeout: seconds(30),
            body_timeout: seconds(60),
            write_timeout: seconds(60),
            idle_timeout: seconds(75),
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "tls")]
            handshake_timeout: seconds(10),
        }
    }

    /// Serves `https`: [`serve`](Self::serve), [`start`](Self::start) and [`start_with`](Self::start_with) complete a TLS
    /// handshake on each connection first.
    ///
    /// The client chooses HTTP/2 or HTTP/1.1 by ALPN. A configuration without protocols of ALPN has these two; another one
    /// has its own. A client without ALPN speaks HTTP/1.1. The end of a connection sends `close_notify`, unless it has failed
    /// or was too slow with a request.
    ///
    /// A request without TLS is answered with the status 400.
    ///
    /// ```no_run
    /// use std::{convert::Infallible, time::Duration};
    ///
    /// use compio::cores::Server;
    /// use compio_http::Http;
    /// use compio_tls::{
    ///     TlsAcceptor, provider,
    ///     rustls::{
    ///         ServerConfig,
    ///         pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    ///     },
    /// };
    /// use http_body_util::Full;
    /// use hyper::{Response, body::Bytes, service::service_fn};
    ///
    /// /// Reads the files that an authority has issued.
    /// fn load() -> Result<ServerConfig, Box<dyn std::error::Error>> {
    ///     let chain = CertificateDer::pem_file_iter("chain.pem")?.collect::<Result<_, _>>()?;
    ///     let key = PrivateKeyDer::from_pem_file("key.pem")?;
    ///     Ok(ServerConfig::builder_with_provider(provider())
    ///         .with_safe_default_protocol_versions()?
    ///         .with_no_client_auth()
    ///         .with_single_cert(chain, key)?)
    /// }
    ///
    /// #[compio::main]
    /// async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     let acceptor = TlsAcceptor::from(load()?);
    ///     let service = service_fn(async |_request| {
    ///         Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("Hello\n"))))
    ///     });
    ///     let server = Server::bind("0.0.0.0:8443").await?;
    ///     let _server = Http::new().tls(acceptor.clone()).start(server, service)?;
    ///     loop {
    ///         compio::time::sleep(Duration::from_secs(12 * 3600)).await;
    ///         // Further connections have the new certificate. The others stay.
    ///         acceptor.replace(load()?);
    ///     }
    /// }
    /// ```
    ///
    /// [`serve_connection`](Self::serve_connection) takes a stream after its handshake, such as a
    /// [`TlsStream`](compio_tls::TlsStream).
    #[cfg(feature = "tls")]
    pub fn tls(mut self, acceptor: impl Into<compio_tls::TlsAcceptor>) -> Self {
        self.tls = Some(acceptor.into());
        self
    }

    /// The time for the TLS handshake. 10 seconds by default. `None` is no limit.
    #[cfg(feature = "tls")]
    pub fn handshake_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.handshake_timeout = timeout.into();
        self
    }

    /// The time for the head of a request: from the start of the connection for the first one, or from the end of its TLS
    /// handshake; from the first byte for the others. 30 seconds by default. `None` is no limit.
    pub fn head_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.head_timeout = timeout.into();
        self
    }

    /// The time for which a service waits for the next bytes of a request's body. 60 seconds by default. `None` is
    /// no limit.
    pub fn body_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.body_timeout = timeout.into();
        self
    }

    /// The time for which a peer may read nothing while a response waits, or keep the windows of HTTP/2 closed: at most twice
    /// as long if the response begins to wait later. 60 seconds by default. `None` is no limit.
    ///
    /// An HTTP/2 peer that takes parts of other responses of its connection renews the time. hyper keeps the last part of a
    /// response that it was given: it counts as sent.
    pub fn write_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.write_timeout = timeout.into();
        self
    }

    /// The time after which a connection ends that has no request in progress, and whose peer takes no more bytes of the
    /// last responses. 75 seconds by default. `None` is no limit.
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.idle_timeout = timeout.into();
        self
    }

    /// Further settings of HTTP/1. This crate sets the timer; hyper's own deadline of heads is off.
    pub fn http1(
        mut self,
        configure: impl FnOnce(&mut hyper::server::conn::http1::Builder),
    ) -> Self {
        configure(&mut self.http1);
        self
    }

    /// Further settings of HTTP/2. This crate sets the timer, and a PING every 30 seconds that the peer must answer
    /// within 20.
    #[cfg(feature = "http2")]
    pub fn http2(
        mut self,
        configure: impl FnOnce(&mut hyper::server::conn::http2::Builder<TaskExecutor>),
    ) -> Self {
        configure(&mut self.http2);
        self
    }

    /// Serves one connection until it ends. On a worker of a [`Dispatcher`](cores::Dispatcher), the start of its
    /// shutdown ends the connection after the request in progress.
    ///
    /// # Cancellation
    ///
    /// Closes the connection.
    ///
    /// # Errors
    ///
    /// The peer or the network has failed, or the service or a body of a response has. A time limit has passed:
    /// [`ConnectionError::is_timeout`].
    pub async fn serve_connection<I, S, B>(&self, io: I, service: S) -> Result<(), ConnectionError>
    where
        I: Read + Write + Unpin + 'static,
        S: Service<Request<RequestBody>, Response = Response<B>> + 'static,
        S::Error: Into<BoxError>,
        B: Body + 'static,
        B::Error: Into<BoxError>,
    {
        self.serve_connection_until(io, service, draining()).await
    }

    /// As [`serve_connection`](Self::serve_connection), but ends the connection after the request in progress when
    /// `shutdown` has completed.
    ///
    /// # Cancellation
    ///
    /// Closes the connection.
    ///
    /// # Errors
    ///
    /// As [`serve_connection`](Self::serve_connection).
    pub async fn serve_connection_until<I, S, B>(
        &self,
        io: I,
        service: S,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ConnectionError>
    where
        I: Read + Write + Unpin + 'static,
        S: Service<Request<RequestBody>, Response = Response<B>> + 'static,
        S::Error: Into<BoxError>,
        B: Body + 'static,
        B::Error: Into<BoxError>,
    {
        connection::serve_connection(self, io, service, shutdown).await
    }

    /// Serves a listener on this thread until the future is dropped. See [`Serve`] for a shutdown.
    pub fn serve<L, S>(&self, listener: L, service: S) -> Serve<L, S> {
        Serve::new(self.clone(), listener, service)
    }

    /// Starts a server on the workers of `server`. Each connection has a clone of the service.
    ///
    /// [`RunningServer::shutdown_timeout`] ends idle connections at once, and the others after their request.
    ///
    /// # Errors
    ///
    /// As [`Server::start`].
    pub fn start<L, S, B>(self, server: Server<L>, service: S) -> std::io::Result<RunningServer<L>>
    where
        L: cores::Listener,
        L::Stream: ServerSocket,
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        B: Body + 'static,
        B::Error: Into<BoxError>,
    {
        self.start_with(server, move |_: &L::Stream| service.clone())
    }

    /// As [`start`](Self::start), with a service for each connection, which `make` returns.
    ///
    /// # Errors
    ///
    /// As [`Server::start`].
    pub fn start_with<L, M, S, B>(
        self,
        server: Server<L>,
        make: M,
    ) -> std::io::Result<RunningServer<L>>
    where
        L: cores::Listener,
        L::Stream: ServerSocket,
        M: Fn(&L::Stream) -> S + Clone + Send + 'static,
        S: Service<Request<RequestBody>, Response = Response<B>> + 'static,
        S::Error: Into<BoxError>,
        B: Body + 'static,
        B::Error: Into<BoxError>,
    {
        server.start(async move |stream| {
            let service = make(&stream);
            // The error concerns one peer, and was seen by it.
            let _ = connection::serve_socket(&self, stream, service, draining()).await;
        })
    }
}

impl Default for Http {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("head_timeout", &self.head_timeout)
            .field("body_timeout", &self.body_timeout)
            .field("write_timeout", &self.write_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .finish_non_exhaustive()
    }
}
