//! HTTP servers on compio, over [hyper](https://docs.rs/hyper): HTTP/1 and HTTP/2, on one core or on all.
//!
//! hyper implements the protocols. This crate adds the sockets, the timers, the choice of the protocol, and the life
//! of a connection. [`Http`] serves connections with deadlines for the first byte, for a request's head,
//! for its body, for a peer that does not read, and for idle connections. Its shutdown lets requests end.
//!
//! # One core
//!
//! ```no_run
//! use std::convert::Infallible;
//!
//! use compio::net::TcpListener;
//! use http_body_util::Full;
//! use hyper::{Response, body::Bytes, service::service_fn};
//!
//! #[compio::main]
//! async fn main() -> std::io::Result<()> {
//!     let listener = TcpListener::bind("127.0.0.1:8080").await?;
//!     let service = service_fn(async |_request| {
//!         Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("Hello\n"))))
//!     });
//!     compio_http::serve(listener, service).await
//! }
//! ```
//!
//! # All cores
//!
//! ```no_run
//! use std::convert::Infallible;
//!
//! use compio::{cores::Server, signal};
//! use compio_http::Http;
//! use http_body_util::Full;
//! use hyper::{Response, body::Bytes, service::service_fn};
//!
//! #[compio::main]
//! async fn main() -> std::io::Result<()> {
//!     let service = service_fn(async |_request| {
//!         Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("Hello\n"))))
//!     });
//!     let server = Http::new().start(Server::bind("127.0.0.1:8080").await?, service)?;
//!     signal::ctrl_c().await?;
//!     server.shutdown_timeout(std::time::Duration::from_secs(10)).await
//! }
//! ```
//!
//! # HTTPS
//!
//! The feature `tls` adds TLS by [`compio-tls`](https://docs.rs/compio-tls), whose features choose the cryptography:
//!
//! - [`Serve::tls`] and [`Http::tls`] serve `https`, with HTTP/2 for clients that offer it;
//! - [`ClientBuilder::tls`](client::ClientBuilder::tls) requests `https`, with the feature `client`.
//!
//! # Code map
//!
//! `rt.rs` executor and timer for hyper; `alpn.rs` names of protocols; `deadline.rs` the timer of a deadline that moves;
//! `file_body.rs` bodies that are read from files; `server/` the settings (`mod.rs`), listeners (`serve.rs`),
//! accepted sockets (`socket.rs`), their TLS (`tls.rs`), one connection (`connection.rs`), its service
//! (`service.rs`), its deadlines (`activity.rs`), its stream (`io.rs`), the choice of the protocol (`detect.rs`),
//! bodies of requests and responses (`body.rs`), and upgrades (`upgrade.rs`); `client/` the client and its settings
//! (`mod.rs`, `builder.rs`), requests and responses (`request.rs`, `response.rs`, `body.rs`), one exchange with its
//! retry (`exchange.rs`), the pool (`pool.rs`), the tasks of connections (`connection.rs`), new connections
//! (`connect.rs`), errors (`error.rs`), and layers (`tower.rs`).

#[cfg(feature = "tls")]
mod alpn;
#[cfg(feature = "client")]
pub mod client;
mod deadline;
mod file_body;
pub mod rt;
mod server;

pub use hyper;

#[cfg(feature = "client")]
pub use self::client::Client;
pub use self::file_body::FileBody;
pub use self::server::{
    ConnectionError, Http, RequestBody, RequestBodyError, ResponseBody, Serve, ServerSocket, serve,
    upgrade,
};

/// The error of another library.
type BoxError = Box<dyn std::error::Error + Send + Sync>;
