//! Clients.

use std::{io, sync::Arc};

use compio_io::io::{AsyncRead, AsyncWrite};
use rustls::{ClientConfig, ClientConnection, pki_types::ServerName};

use crate::{TlsStream, error::invalid_input};

/// Makes TLS clients with one configuration, which contains the trusted roots, the certificate of the client,
/// the protocols of ALPN and the sessions to resume. Clones share it.
///
/// ```
/// use std::{io, sync::Arc};
///
/// use compio::{
///     io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
///     net::TcpStream,
/// };
/// use compio_tls::{
///     TlsConnector, provider,
///     rustls::{ClientConfig, RootCertStore},
/// };
///
/// async fn fetch(roots: RootCertStore) -> io::Result<Vec<u8>> {
///     let config = ClientConfig::builder_with_provider(provider())
///         .with_safe_default_protocol_versions()
///         .map_err(io::Error::other)?
///         .with_root_certificates(roots)
///         .with_no_client_auth();
///     let connector = TlsConnector::from(Arc::new(config));
///
///     let tcp = TcpStream::connect("example.org:443").await?;
///     let mut tls = connector.connect("example.org", tcp).await?;
///     tls.write_all("GET / HTTP/1.0\r\nHost: example.org\r\n\r\n").await.0?;
///     tls.flush().await?;
///     let (read, response) = tls.read_to_end(Vec::new()).await;
///     read?;
///     Ok(response)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct TlsConnector {
    config: Arc<ClientConfig>,
}

impl From<Arc<ClientConfig>> for TlsConnector {
    fn from(config: Arc<ClientConfig>) -> Self {
        Self { config }
    }
}

impl From<ClientConfig> for TlsConnector {
    fn from(config: ClientConfig) -> Self {
        Arc::new(config).into()
    }
}

impl TlsConnector {
    /// A client that verifies servers as the system does, without a certificate of its own.
    ///
    /// # Errors
    ///
    /// The error of the system's verifier, for instance if it finds no roots.
    ///
    /// # Panics
    ///
    /// As [`provider`](crate::provider()).
    #[cfg(feature = "platform-verifier")]
    pub fn with_platform_verifier() -> io::Result<Self> {
        use rustls_platform_verifier::BuilderVerifierExt;

        let config = ClientConfig::builder_with_provider(crate::provider())
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_platform_verifier())
            .map_err(io::Error::other)?
            .with_no_client_auth();
        Ok(config.into())
    }

    /// A client that trusts Mozilla's roots, without a certificate of its own. The roots are part of the
    /// program: update it to update them.
    ///
    /// # Errors
    ///
    /// [`Other`](io::ErrorKind::Other) if the installed provider does not support TLS 1.2 and 1.3.
    ///
    /// # Panics
    ///
    /// As [`provider`](crate::provider()).
    #[cfg(feature = "webpki-roots")]
    pub fn with_webpki_roots() -> io::Result<Self> {
        Self::with_roots(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect())
    }

    /// A client that trusts the roots of the system, without a certificate of its own. Reads files on this thread.
    /// Roots that cannot be parsed are ignored.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) if the system has no roots.
    /// [`Other`](io::ErrorKind::Other) if the installed provider does not support TLS 1.2 and 1.3.
    ///
    /// # Panics
    ///
    /// As [`provider`](crate::provider()).
    #[cfg(feature = "native-certs")]
    pub fn with_native_certs() -> io::Result<Self> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let reason = found.errors.first().map(ToString::to_string);
            let reason = reason.unwrap_or_else(|| "the store is empty".into());
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("the system has no trusted roots: {reason}"),
            ));
        }
        Self::with_roots(roots)
    }

    #[cfg(any(feature = "webpki-roots", feature = "native-certs"))]
    fn with_roots(roots: rustls::RootCertStore) -> io::Result<Self> {
        let config = ClientConfig::builder_with_provider(crate::provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(config.into())
    }

    /// The configuration.
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// Makes a stream and completes the handshake.
    ///
    /// `name` is the host name or IP address of the server. Its certificate must be valid for it. A host name
    /// is sent to the server (SNI).
    ///
    /// # Errors
    ///
    /// As [`stream`](Self::stream) and [`TlsStream::handshake`].
    ///
    /// # Cancellation
    ///
    /// The connection is closed. To continue a handshake whose future was dropped, use
    /// [`stream`](Self::stream) and [`TlsStream::handshake`].
    pub async fn connect<S: 'static>(&self, name: &str, stream: S) -> io::Result<TlsStream<S>>
    where
        for<'s> &'s S: AsyncRead + AsyncWrite,
    {
        let stream = self.stream(name, stream)?;
        stream.handshake().await?;
        Ok(stream)
    }

    /// Makes a stream that has not begun the handshake. Its first operation does: a handshake, a read, a
    /// write, a flush, or [`write_early_data`](TlsStream::write_early_data).
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if `name` is neither a host name nor an IP address, or for
    /// a configuration that rustls refuses.
    pub fn stream<S: 'static>(&self, name: &str, stream: S) -> io::Result<TlsStream<S>>
    where
        for<'s> &'s S: AsyncRead + AsyncWrite,
    {
        let name = ServerName::try_from(name).map_err(invalid_input)?;
        let connection = ClientConnection::new(Arc::clone(&self.config), name.to_owned());
        let connection = connection.map_err(invalid_input)?;
        Ok(TlsStream::new(connection.into(), stream))
    }
}
