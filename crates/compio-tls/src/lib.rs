//! TLS for the streams of compio: clients and servers by [rustls] on completion-based I/O.
//!
//! [`TlsConnector`] and [`TlsAcceptor`] make a [`TlsStream`] of any stream that can be read and written through
//! a shared reference: TCP, Unix sockets, streams in memory, other TLS streams. The configuration is the type
//! of [rustls], which this crate exports: certificates, roots, ALPN, client certificates, sessions, early data.
//!
#![cfg_attr(feature = "ring", doc = "```")]
#![cfg_attr(not(feature = "ring"), doc = "```no_run")]
//! use compio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex};
//! use compio_tls::{
//!     TlsAcceptor, TlsConnector, provider,
//!     rustls::{
//!         ClientConfig, RootCertStore, ServerConfig,
//!         pki_types::{CertificateDer, PrivateKeyDer},
//!     },
//! };
//!
//! async fn greet(certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> std::io::Result<()> {
//!     let mut roots = RootCertStore::empty();
//!     roots.add(certificate.clone()).unwrap();
//!     let connector = TlsConnector::from(
//!         ClientConfig::builder_with_provider(provider())
//!             .with_safe_default_protocol_versions()
//!             .unwrap()
//!             .with_root_certificates(roots)
//!             .with_no_client_auth(),
//!     );
//!     let acceptor = TlsAcceptor::from(
//!         ServerConfig::builder_with_provider(provider())
//!             .with_safe_default_protocol_versions()
//!             .unwrap()
//!             .with_no_client_auth()
//!             .with_single_cert(vec![certificate], key)
//!             .unwrap(),
//!     );
//!
//!     let (left, right) = duplex(16 * 1024);
//!     let server = compio::task::spawn(async move {
//!         let mut server = acceptor.accept(right).await?;
//!         server.write_all("hello").await.0?;
//!         server.shutdown().await
//!     });
//!     let mut client = connector.connect("localhost", left).await?;
//!     let (read, greeting) = client.read_to_end(Vec::new()).await;
//!     read?;
//!     assert_eq!(greeting, b"hello");
//!     server.await.unwrap()
//! }
//!
//! let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
//! let key = issued.signing_key.serialize_der().try_into().unwrap();
//! compio::task::block_on(greet(issued.cert.into(), key)).unwrap();
//! ```
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `ring` (default) | the cryptography of `ring` |
//! | `aws-lc-rs` | the cryptography of `aws-lc-rs`; see [`provider()`] if both are enabled |
//! | `platform-verifier` | `TlsConnector::with_platform_verifier` |
//! | `webpki-roots` | `TlsConnector::with_webpki_roots` |
//! | `native-certs` | `TlsConnector::with_native_certs` |
//! | `tokio`, `futures-io`, `hyper` | the reader and writer traits of `tokio::io`, `futures-io` and `hyper::rt` |

#![forbid(unsafe_code)]

mod acceptor;
mod connector;
mod engine;
mod error;
#[cfg(any(feature = "futures-io", feature = "hyper", feature = "tokio"))]
mod poll;
mod provider;
mod session;
mod stream;
mod transport;

pub use rustls;

pub use crate::{
    acceptor::{LazyAccept, TlsAcceptor},
    connector::TlsConnector,
    error::is_plain_http,
    provider::provider,
    stream::TlsStream,
};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
