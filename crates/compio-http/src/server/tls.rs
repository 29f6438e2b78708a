//! TLS of accepted sockets: the handshake with its deadline, the protocol that ALPN has chosen, and the answer to
//! requests without TLS.

use std::{
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use compio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::{sleep, timeout},
};
use compio_tls::{LazyAccept, TlsAcceptor, TlsStream, is_plain_http, rustls::ServerConfig};

use super::{
    connection::{CLOSE_TIMEOUT, ConnectionError, unless, within},
    detect::Version,
};
use crate::alpn;

/// The answer to a request without TLS.
const ANSWER: &str = "HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain\r\n\
    content-length: 40\r\n\
    connection: close\r\n\
    \r\n\
    This port expects TLS. Use an https URL.";

/// The bytes of such a request that are read after the answer. A close with unread bytes could take the answer away.
const REQUEST_MAX: usize = 64 * 1024;

/// The configuration of the next connection. If it names no protocols of ALPN, it gets the ones of this crate.
pub(super) fn config(acceptor: &TlsAcceptor) -> Arc<ServerConfig> {
    let config = acceptor.config();
    if !config.alpn_protocols.is_empty() {
        return config;
    }
    let mut config = ServerConfig::clone(&config);
    config.alpn_protocols = alpn::protocols();
    Arc::new(config)
}

/// Completes the handshake. `None` if a shutdown comes first.
///
/// A shutdown ends a silent connection at once. A handshake that has begun may continue for a short time.
pub(super) async fn handshake<S>(
    socket: S,
    config: Arc<ServerConfig>,
    limit: Option<Duration>,
    shutdown: &mut (impl Future<Output = ()> + Unpin),
) -> Result<Option<TlsStream<S>>, ConnectionError>
where
    S: 'static,
    for<'s> &'s S: AsyncRead + AsyncWrite,
{
    let accepted = within(limit, accept(socket, config, shutdown)).await;
    accepted
        .ok_or_else(ConnectionError::handshake_timeout)?
        .map_err(ConnectionError::io)
}

/// The protocol that ALPN has chosen. `None` if it is not HTTP.
pub(super) fn version<S>(stream: &TlsStream<S>) -> Option<Version> {
    match stream.alpn_protocol().as_deref() {
        Some(alpn::HTTP2) => Some(Version::Http2),
        Some(alpn::HTTP1 | alpn::HTTP10) | None => Some(Version::Http1),
        Some(_) => None,
    }
}

async fn accept<S>(
    socket: S,
    config: Arc<ServerConfig>,
    shutdown: &mut (impl Future<Output = ()> + Unpin),
) -> io::Result<Option<TlsStream<S>>>
where
    S: 'static,
    for<'s> &'s S: AsyncRead + AsyncWrite,
{
    let mut accept = LazyAccept::new(socket);
    match unless(&mut *shutdown, accept.client_hello()).await {
        Some(Ok(_)) => {}
        Some(Err(error)) => {
            if is_plain_http(&error) {
                // The error of the handshake counts.
                let _ = timeout(CLOSE_TIMEOUT, answer(accept.get_ref())).await;
            }
            return Err(error);
        }
        None => return Ok(None),
    }
    let stream = accept.into_stream(config).await?;
    let end = async {
        shutdown.await;
        sleep(CLOSE_TIMEOUT).await;
    };
    let completed = unless(pin!(end), stream.handshake()).await;
    Ok(completed.transpose()?.map(|()| stream))
}

/// Answers a request that was sent without TLS.
async fn answer<S>(mut socket: &S) -> io::Result<()>
where
    for<'s> &'s S: AsyncRead + AsyncWrite,
{
    socket.write_all(ANSWER).await.0?;
    socket.shutdown().await?;
    let mut buffer = Vec::with_capacity(4096);
    let mut len = 0;
    while len < REQUEST_MAX {
        let (read, filled) = socket.read(buffer).await;
        match read? {
            0 => break,
            read => len += read,
        }
        buffer = filled;
    }
    Ok(())
}

/// The signal of a shutdown, which stays ready.
pub(super) struct Fuse<'a, F>(Option<Pin<&'a mut F>>);

impl<'a, F> Fuse<'a, F> {
    pub(super) fn new(signal: Pin<&'a mut F>) -> Self {
        Self(Some(signal))
    }
}

impl<F: Future<Output = ()>> Fuse<'_, F> {
    /// The end of the wait for the first request after a handshake: the signal, but not before a client has had the time to
    /// send it. A client does not repeat a request that fails on a new connection.
    pub(super) async fn after_handshake(&mut self) {
        let late = sleep(CLOSE_TIMEOUT);
        self.await;
        late.await;
    }
}

impl<F: Future<Output = ()>> Future for Fuse<'_, F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(signal) = &mut self.0 {
            ready!(signal.as_mut().poll(cx));
            self.0 = None;
        }
        Poll::Ready(())
    }
}
