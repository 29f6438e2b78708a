//! The settings of a client.

use std::{fmt, rc::Rc, time::Duration};

#[cfg(feature = "http2")]
use super::pool::ClientExecutor;
use super::{
    Client, HttpConnector, Shared,
    connect::Connect,
    exchange::Deadlines,
    pool::{Limits, Pool, Tasks},
};
#[cfg(feature = "http2")]
use crate::rt::RuntimeTimer;

/// The settings of a [`Client`]. Made by [`Client::builder`].
///
/// ```
/// use std::time::Duration;
///
/// use compio_http::Client;
///
/// let client = Client::builder()
///     .connect_timeout(Duration::from_secs(2))
///     .timeout(Duration::from_secs(30))
///     .connections_per_host(8)
///     .build();
/// drop(client);
/// ```
#[must_use = "the client is made by `build`"]
pub struct ClientBuilder<C = HttpConnector> {
    connector: C,
    http1: hyper::client::conn::http1::Builder,
    #[cfg(feature = "http2")]
    http2: hyper::client::conn::http2::Builder<ClientExecutor>,
    tasks: Rc<Tasks>,
    connect_timeout: Option<Duration>,
    deadlines: Deadlines,
    limits: Limits,
}

impl ClientBuilder {
    pub(super) fn new() -> Self {
        let tasks = Rc::new(Tasks::default());
        Self {
            connector: HttpConnector::new(),
            http1: hyper::client::conn::http1::Builder::new(),
            #[cfg(feature = "http2")]
            http2: {
                let executor = ClientExecutor::new(&tasks);
                let mut builder = hyper::client::conn::http2::Builder::new(executor);
                builder
                    .timer(RuntimeTimer)
                    .keep_alive_interval(Duration::from_secs(30))
                    .keep_alive_timeout(Duration::from_secs(20));
                builder
            },
            tasks,
            connect_timeout: Some(Duration::from_secs(30)),
            deadlines: Deadlines {
                total: None,
                read: None,
            },
            limits: Limits {
                connections_per_host: 32,
                idle_timeout: Some(Duration::from_secs(90)),
                is_http2: false,
            },
        }
    }
}

impl<C: Connect> ClientBuilder<C> {
    /// Establishes connections by another connector, for instance to a proxy. [`HttpConnector`] by default.
    pub fn connector<D: Connect>(self, connector: D) -> ClientBuilder<D> {
        self.map_connector(|_| connector)
    }

    fn map_connector<D>(self, map: impl FnOnce(C) -> D) -> ClientBuilder<D> {
        ClientBuilder {
            connector: map(self.connector),
            http1: self.http1,
            #[cfg(feature = "http2")]
            http2: self.http2,
            tasks: self.tasks,
            connect_timeout: self.connect_timeout,
            deadlines: self.deadlines,
            limits: self.limits,
        }
    }

    /// The time to establish a connection, with the resolution of the name and the TLS handshake. 30 seconds by default. `None` is no
    /// limit. The time that a request waits in the pool does not count.
    pub fn connect_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.connect_timeout = timeout.into();
        self
    }

    /// The time of a whole request, from its start until the program has read the response's body to its end. No limit by
    /// default.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.deadlines.total = timeout.into();
        self
    }

    /// The time for which the server may send nothing: before the head of the response, and between two chunks of its
    /// body. While the body of a request is being sent, each of its chunks begins the time anew. No limit by default.
    pub fn read_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.deadlines.read = timeout.into();
        self
    }

    /// The time after which an idle connection is closed. 90 seconds by default. `None` is no limit.
    ///
    /// Many servers close idle connections after 60 to 75 seconds, some after 5. A shorter time than the server's avoids
    /// failures of requests that cannot be retried.
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.limits.idle_timeout = timeout.into();
        self
    }

    /// The number of connections to one host, where scheme, host name and port are the same. 32 by default. Further
    /// requests wait for a connection, in order. Each client has its own limit: with a client for each core, the host
    /// sees the product.
    ///
    /// # Panics
    ///
    /// If `connections` is zero.
    #[track_caller]
    pub fn connections_per_host(mut self, connections: usize) -> Self {
        assert!(
            connections > 0,
            "a client with a limit of zero connections sends nothing"
        );
        self.limits.connections_per_host = connections;
        self
    }

    /// Speaks HTTP/2 to all servers, also without TLS ("prior knowledge"). One connection serves all requests to a host.
    #[cfg(feature = "http2")]
    pub fn http2_prior_knowledge(mut self) -> Self {
        self.limits.is_http2 = true;
        self
    }

    /// Further settings of HTTP/1.
    pub fn http1(
        mut self,
        configure: impl FnOnce(&mut hyper::client::conn::http1::Builder),
    ) -> Self {
        configure(&mut self.http1);
        self
    }

    /// Further settings of HTTP/2. This crate sets the timer, and a PING every 30 seconds while requests are in progress,
    /// which the server must answer within 20.
    #[cfg(feature = "http2")]
    pub fn http2(
        mut self,
        configure: impl FnOnce(&mut hyper::client::conn::http2::Builder<ClientExecutor>),
    ) -> Self {
        configure(&mut self.http2);
        self
    }

    /// Makes the client.
    pub fn build(self) -> Client<C> {
        Client(Rc::new(Shared {
            connector: self.connector,
            http1: self.http1,
            #[cfg(feature = "http2")]
            http2: self.http2,
            connect_timeout: self.connect_timeout,
            deadlines: self.deadlines,
            pool: Rc::new(Pool::new(self.tasks, self.limits)),
        }))
    }
}

#[cfg(feature = "tls")]
impl<R: compio::net::Resolve> ClientBuilder<HttpConnector<R>> {
    /// Requests `https`, beside `http`. See [`HttpsConnector`](super::HttpsConnector) about HTTP/2.
    ///
    /// The connector decides which servers are trusted. The features of `compio-tls` add roots.
    ///
    /// ```no_run
    /// use compio_http::Client;
    /// use compio_tls::{
    ///     TlsConnector, provider,
    ///     rustls::{ClientConfig, RootCertStore},
    /// };
    ///
    /// async fn fetch(roots: RootCertStore) -> Result<String, Box<dyn std::error::Error>> {
    ///     // Or, with a feature of compio-tls, `TlsConnector::with_platform_verifier()?`.
    ///     let config = ClientConfig::builder_with_provider(provider())
    ///         .with_safe_default_protocol_versions()?
    ///         .with_root_certificates(roots)
    ///         .with_no_client_auth();
    ///     let client = Client::builder().tls(config).build();
    ///     let response = client.get("https://example.com/").send().await?;
    ///     Ok(response.error_for_status()?.text().await?)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Of a request: [`Error::is_connect`](super::Error::is_connect) if the certificate of the server is not valid, or if the
    /// server does not speak TLS. The source is an `io::Error` with the reason, and contains a `rustls::Error`.
    pub fn tls(
        self,
        connector: impl Into<compio_tls::TlsConnector>,
    ) -> ClientBuilder<super::HttpsConnector<R>> {
        self.map_connector(|http| super::HttpsConnector::with_http(http, connector))
    }
}

impl<C> fmt::Debug for ClientBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("connect_timeout", &self.connect_timeout)
            .field("deadlines", &self.deadlines)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
