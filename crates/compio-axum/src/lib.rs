//! [axum](https://docs.rs/axum) on compio: an unchanged [`Router`] on one core, or on all.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use compio::net::TcpListener;
//!
//! #[compio::main]
//! async fn main() -> std::io::Result<()> {
//!     let router = Router::new().route("/", get(async || "Hello\n"));
//!     let listener = TcpListener::bind("127.0.0.1:8080").await?;
//!     compio_axum::serve(listener, router).await
//! }
//! ```
//!
//! On all cores, with a graceful shutdown:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use axum::{Router, routing::get};
//! use compio::{cores::Server, signal};
//!
//! #[compio::main]
//! async fn main() -> std::io::Result<()> {
//!     let router = Router::new().route("/", get(async || "Hello\n"));
//!     let server = compio_axum::start(Server::bind("127.0.0.1:8080").await?, router)?;
//!     signal::ctrl_c().await?;
//!     server.shutdown_timeout(Duration::from_secs(10)).await
//! }
//! ```
//!
//! # HTTPS
//!
//! With the feature `tls`, `Serve::tls` and `start_tls` serve `https`, with HTTP/2 for clients that offer it.
//! `compio-tls` makes the acceptor, and its features choose the cryptography:
//!
#![cfg_attr(feature = "tls", doc = "```no_run")]
#![cfg_attr(not(feature = "tls"), doc = "```ignore")]
//! use axum::{Router, routing::get};
//! use compio::net::TcpListener;
//! use compio_tls::{
//!     TlsAcceptor, provider,
//!     rustls::{
//!         ServerConfig,
//!         pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
//!     },
//! };
//!
//! #[compio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let chain = CertificateDer::pem_file_iter("chain.pem")?.collect::<Result<_, _>>()?;
//!     let key = PrivateKeyDer::from_pem_file("key.pem")?;
//!     let config = ServerConfig::builder_with_provider(provider())
//!         .with_safe_default_protocol_versions()?
//!         .with_no_client_auth()
//!         .with_single_cert(chain, key)?;
//!
//!     let router = Router::new().route("/", get(async || "Hello\n"));
//!     let listener = TcpListener::bind("0.0.0.0:8443").await?;
//!     compio_axum::serve(listener, router).tls(config).await?;
//!     Ok(())
//! }
//! ```
//!
//! # Settings
//!
//! Deadlines and other settings of connections are those of [`Http`]: [`RouterService`] makes a service of a router
//! for [`Http::serve`] and [`Http::start`].
//!
//! # Handlers that await operations of compio
//!
//! axum requires that the futures of handlers are `Send`. Those of compio stay on their thread. All requests of a
//! connection run on its thread, so a [`SendWrapper`](compio::runtime::SendWrapper) makes such a future acceptable.
//! It costs one allocation and a comparison for each poll.
//!
//! ```no_run
//! use axum::{Router, http::StatusCode, routing::get};
//! use compio::{net::TcpListener, runtime::SendWrapper};
//!
//! async fn motd() -> Result<String, StatusCode> {
//!     SendWrapper::new(async {
//!         match compio::fs::read_to_string("/etc/motd").await {
//!             Ok(text) => Ok(text),
//!             Err(_) => Err(StatusCode::NOT_FOUND),
//!         }
//!     })
//!     .await
//! }
//!
//! #[compio::main]
//! async fn main() -> std::io::Result<()> {
//!     let router = Router::new().route("/motd", get(motd));
//!     let listener = TcpListener::bind("127.0.0.1:8080").await?;
//!     compio_axum::serve(listener, router).await
//! }
//! ```
//!
//! Values that requests share must be `Send` and `Sync`, as axum requires. A pool of connections for each core can
//! be in a `thread_local!`.
//!
//! # WebSocket
//!
//! The feature `ws` has an extractor of WebSocket connections: see the module `ws`. axum's own
//! (`axum::extract::ws`, by its feature `ws`) spawns a task of tokio for each connection, and panics on a thread
//! without a runtime of tokio.

#[cfg(feature = "ws")]
pub mod ws;

use std::{convert::Infallible, io, net::SocketAddr};

use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts, Request},
    http::{StatusCode, request::Parts},
    response::Response,
};
use compio::{
    cores::{RunningServer, Server},
    net::{TcpListener, TcpStream},
};
use compio_http::{
    Http, RequestBody, Serve,
    hyper::{self, service::Service},
};

/// Serves a router on this thread, with the default settings of [`Http`]. See [`Serve`] for a shutdown.
pub fn serve<L>(listener: L, router: Router) -> Serve<L, RouterService> {
    Http::new().serve(listener, RouterService::new(router))
}

/// Starts a router on the workers of a server, with the default settings of [`Http`]. Handlers can extract
/// the [`PeerAddr`].
///
/// # Errors
///
/// As [`Server::start`].
pub fn start(
    server: Server<TcpListener>,
    router: Router,
) -> io::Result<RunningServer<TcpListener>> {
    start_with(Http::new(), server, router)
}

/// Starts a router for `https` on the workers of a server, with the default settings of [`Http`]. See [`Http::tls`] about
/// protocols and the rotation of certificates. Handlers can extract the [`PeerAddr`].
///
/// # Errors
///
/// As [`Server::start`].
#[cfg(feature = "tls")]
pub fn start_tls(
    server: Server<TcpListener>,
    acceptor: impl Into<compio_tls::TlsAcceptor>,
    router: Router,
) -> io::Result<RunningServer<TcpListener>> {
    start_with(Http::new().tls(acceptor), server, router)
}

fn start_with(
    http: Http,
    server: Server<TcpListener>,
    router: Router,
) -> io::Result<RunningServer<TcpListener>> {
    http.start_with(server, move |stream: &TcpStream| {
        RouterService::new(router.clone()).with_peer(stream.peer_addr().ok())
    })
}

/// A router as a service of hyper.
#[derive(Debug, Clone)]
pub struct RouterService {
    router: Router,
    peer: Option<SocketAddr>,
}

impl RouterService {
    /// The service of a router.
    pub fn new(router: Router) -> Self {
        Self { router, peer: None }
    }

    /// The same for a connection of this peer, which handlers extract as [`PeerAddr`]. axum's own
    /// extractor, `ConnectInfo`, exists only with its dependency on tokio's runtime.
    pub fn with_peer(mut self, peer: Option<SocketAddr>) -> Self {
        self.peer = peer;
        self
    }
}

impl Service<hyper::Request<RequestBody>> for RouterService {
    type Response = Response;
    type Error = Infallible;
    type Future = <Router as tower_service::Service<Request>>::Future;

    fn call(&self, request: hyper::Request<RequestBody>) -> Self::Future {
        let mut request = request.map(Body::new);
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(PeerAddr(peer));
        }
        // A router is always ready.
        tower_service::Service::call(&mut self.router.clone(), request)
    }
}

/// The address of the peer, for handlers of [`start`] and of a [`RouterService`] that knows it.
///
/// ```
/// use axum::{Router, routing::get};
/// use compio_axum::PeerAddr;
///
/// let router: Router = Router::new().route("/ip", get(async |PeerAddr(peer)| peer.ip().to_string()));
/// ```
///
/// # Errors
///
/// As an extractor: the status 500 if the address is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

impl<S: Sync> FromRequestParts<S> for PeerAddr {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let unknown = (
            StatusCode::INTERNAL_SERVER_ERROR,
            "the address of the peer is unknown",
        );
        parts.extensions.get().copied().ok_or(unknown)
    }
}
