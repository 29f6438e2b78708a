//! Servers.

use std::{
    fmt,
    future::poll_fn,
    io, mem,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll, ready},
};

use compio_io::io::{AsyncRead, AsyncWrite};
use rustls::{
    ServerConfig, ServerConnection,
    server::{Accepted, AcceptedAlert, Acceptor, ClientHello},
};

use crate::{
    TlsStream,
    error::{Failure, FirstBytes, eof_in_handshake, invalid_input},
    transport::{Completion, Transport},
};

/// Makes TLS servers with one configuration, which contains the certificates, the verifier of clients, the
/// protocols of ALPN and the sessions to resume. Clones share it, also on other threads.
///
/// ```
/// use std::{io, sync::Arc};
///
/// use compio::{
///     io::{AsyncWrite, AsyncWriteExt},
///     net::TcpListener,
///     task,
/// };
/// use compio_tls::{
///     TlsAcceptor, provider,
///     rustls::{
///         ServerConfig,
///         pki_types::{CertificateDer, PrivateKeyDer},
///     },
/// };
///
/// async fn serve(
///     listener: TcpListener,
///     chain: Vec<CertificateDer<'static>>,
///     key: PrivateKeyDer<'static>,
/// ) -> io::Result<()> {
///     let config = ServerConfig::builder_with_provider(provider())
///         .with_safe_default_protocol_versions()
///         .map_err(io::Error::other)?
///         .with_no_client_auth()
///         .with_single_cert(chain, key)
///         .map_err(io::Error::other)?;
///     let acceptor = TlsAcceptor::from(Arc::new(config));
///     loop {
///         let (tcp, _) = listener.accept().await?;
///         let acceptor = acceptor.clone();
///         // The handshake waits for the client: it belongs to the task of the connection.
///         task::spawn(async move {
///             let mut tls = acceptor.accept(tcp).await?;
///             tls.write_all("hello").await.0?;
///             tls.shutdown().await
///         });
///     }
/// }
/// ```
///
/// # Rotation of certificates
///
/// [`replace`](Self::replace) changes the configuration while servers run: each clone uses the new one for its next
/// connection. To replace certificates alone, rustls' `ResolvesServerCert` does so within a configuration, and
/// [`LazyAccept`] chooses a configuration by the name that the client requests.
#[derive(Debug, Clone)]
pub struct TlsAcceptor {
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

impl From<Arc<ServerConfig>> for TlsAcceptor {
    fn from(config: Arc<ServerConfig>) -> Self {
        Self {
            config: Arc::new(RwLock::new(config)),
        }
    }
}

impl From<ServerConfig> for TlsAcceptor {
    fn from(config: ServerConfig) -> Self {
        Arc::new(config).into()
    }
}

impl TlsAcceptor {
    /// The configuration of the next connection.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the configuration of this acceptor and its clones. Connections that exist keep theirs, also those in
    /// their handshake.
    ///
    /// Sessions of the earlier configuration are resumed if the new one shares its `session_storage` and `ticketer`.
    /// Other clients complete a full handshake.
    ///
    /// ```
    /// use std::io;
    ///
    /// use compio_tls::{
    ///     TlsAcceptor, provider,
    ///     rustls::{
    ///         ServerConfig,
    ///         pki_types::{CertificateDer, PrivateKeyDer},
    ///     },
    /// };
    ///
    /// /// Call it when the files of the certificate have changed.
    /// fn renew(
    ///     acceptor: &TlsAcceptor,
    ///     chain: Vec<CertificateDer<'static>>,
    ///     key: PrivateKeyDer<'static>,
    /// ) -> io::Result<()> {
    ///     let mut config = ServerConfig::builder_with_provider(provider())
    ///         .with_safe_default_protocol_versions()
    ///         .map_err(io::Error::other)?
    ///         .with_no_client_auth()
    ///         .with_single_cert(chain, key)
    ///         .map_err(io::Error::other)?;
    ///     config.session_storage = acceptor.config().session_storage.clone();
    ///     acceptor.replace(config);
    ///     Ok(())
    /// }
    /// ```
    pub fn replace(&self, config: impl Into<Arc<ServerConfig>>) {
        let config = config.into();
        let mut current = self.config.write().unwrap_or_else(PoisonError::into_inner);
        let old = mem::replace(&mut *current, config);
        drop(current);
        // Its destructors are foreign code, which may use this acceptor.
        drop(old);
    }

    /// Makes a stream and completes the handshake. It has no time limit: use a timeout against clients that
    /// send nothing.
    ///
    /// # Errors
    ///
    /// As [`stream`](Self::stream) and [`TlsStream::handshake`].
    ///
    /// # Cancellation
    ///
    /// The connection is closed. To continue a handshake whose future was dropped, use
    /// [`stream`](Self::stream) and [`TlsStream::handshake`].
    pub async fn accept<S: 'static>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        for<'s> &'s S: AsyncRead + AsyncWrite,
    {
        let stream = self.stream(stream)?;
        stream.handshake().await?;
        Ok(stream)
    }

    /// Makes a stream that has not begun the handshake. Its first operation does: a handshake, a read, a
    /// write, a flush, or [`read_early_data`](TlsStream::read_early_data).
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a configuration that rustls refuses.
    pub fn stream<S: 'static>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        for<'s> &'s S: AsyncRead + AsyncWrite,
    {
        let connection = ServerConnection::new(self.config()).map_err(invalid_input)?;
        Ok(TlsStream::new(connection.into(), stream))
    }
}

/// A connection of a server that chooses its configuration by the first message of the client.
///
/// ```
/// use std::{io, sync::Arc};
///
/// use compio::net::TcpStream;
/// use compio_tls::{LazyAccept, TlsStream, rustls::ServerConfig};
///
/// async fn accept(
///     tcp: TcpStream,
///     internal: Arc<ServerConfig>,
///     public: Arc<ServerConfig>,
/// ) -> io::Result<TlsStream<TcpStream>> {
///     let mut accept = LazyAccept::new(tcp);
///     let hello = accept.client_hello().await?;
///     let config = match hello.server_name() {
///         Some("internal.example") => internal,
///         _ => public,
///     };
///     accept.accept(config).await
/// }
/// ```
pub struct LazyAccept<S> {
    transport: Completion<S>,
    acceptor: Acceptor,
    accepted: Option<Accepted>,
    first: FirstBytes,
    failure: Option<Failure>,
}

impl<S: 'static> LazyAccept<S>
where
    for<'s> &'s S: AsyncRead + AsyncWrite,
{
    /// Takes over a stream. Nothing is received yet.
    pub fn new(stream: S) -> Self {
        Self {
            transport: Completion::new(stream),
            acceptor: Acceptor::default(),
            accepted: None,
            first: FirstBytes::default(),
            failure: None,
        }
    }

    /// The stream. Its reads would take bytes from the handshake.
    pub fn get_ref(&self) -> &S {
        self.transport.stream()
    }

    /// Waits for the first message of the client. A second call returns it again.
    ///
    /// # Errors
    ///
    /// [`InvalidData`](io::ErrorKind::InvalidData) if the client does not speak TLS, after an alert to it unless it
    /// [speaks HTTP](crate::is_plain_http());
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if it closes the connection; errors of the stream.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost: the next call continues.
    pub async fn client_hello(&mut self) -> io::Result<ClientHello<'_>> {
        poll_fn(|cx| self.poll_hello(cx)).await?;
        let accepted = self.accepted.as_ref();
        Ok(accepted.expect("received above").client_hello())
    }

    /// Completes the handshake with this configuration.
    ///
    /// # Errors
    ///
    /// As [`client_hello`](Self::client_hello) and [`TlsStream::handshake`].
    ///
    /// # Cancellation
    ///
    /// The connection is closed. To continue a handshake whose future was dropped, use
    /// [`into_stream`](Self::into_stream) and [`TlsStream::handshake`].
    pub async fn accept(self, config: Arc<ServerConfig>) -> io::Result<TlsStream<S>> {
        let stream = self.into_stream(config).await?;
        stream.handshake().await?;
        Ok(stream)
    }

    /// Makes a stream with this configuration, which completes the handshake with its first operation.
    ///
    /// # Errors
    ///
    /// As [`client_hello`](Self::client_hello), and [`InvalidData`](io::ErrorKind::InvalidData) if client and
    /// configuration have no version, cipher suite or protocol in common, after an alert to the client.
    ///
    /// # Cancellation
    ///
    /// The connection is closed, unless [`client_hello`](Self::client_hello) has returned before: then this
    /// does not wait.
    pub async fn into_stream(mut self, config: Arc<ServerConfig>) -> io::Result<TlsStream<S>> {
        poll_fn(|cx| self.poll_hello(cx)).await?;
        let accepted = self.accepted.take().expect("received above");
        match accepted.into_connection(config) {
            Ok(connection) => {
                let stream = TlsStream::with_transport(connection.into(), self.transport);
                stream.begin();
                Ok(stream)
            }
            Err((error, alert)) => {
                let mut alert = Some(alert);
                poll_fn(|cx| Poll::Ready(self.fail(cx, error.clone(), alert.take()))).await
            }
        }
    }

    fn poll_hello(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.accepted.is_none() {
            if let Some(failure) = &self.failure {
                return Poll::Ready(Err(failure.clone().into()));
            }
            if ready!(self.transport.poll_receive(cx))? == 0 {
                return Poll::Ready(Err(eof_in_handshake()));
            }
            let mut received = self.transport.received();
            self.first.add(received);
            // It takes about 4 KiB per call.
            let len = match self.acceptor.read_tls(&mut received) {
                Ok(len) => len,
                Err(error) => {
                    let error = rustls::Error::General(error.to_string());
                    return Poll::Ready(self.fail(cx, error, None));
                }
            };
            self.transport.consume(len);
            match self.acceptor.accept() {
                Ok(accepted) => self.accepted = accepted,
                Err((error, alert)) => return Poll::Ready(self.fail(cx, error, Some(alert))),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Begins to send the alert, and returns the error.
    fn fail<T>(
        &mut self,
        cx: &mut Context<'_>,
        error: rustls::Error,
        alert: Option<AcceptedAlert>,
    ) -> io::Result<T> {
        let failure = Failure::new(error, &self.first);
        if let Some(mut alert) = alert
            && !failure.is_plain_http()
        {
            // Nothing was sent before, so this does not wait. The error counts, not the alert.
            let _ = self.transport.poll_send(cx, &mut |to| alert.write(to));
        }
        self.failure = Some(failure.clone());
        Err(failure.into())
    }
}

impl<S: fmt::Debug> fmt::Debug for LazyAccept<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LazyAccept").field(&self.transport).finish()
    }
}
