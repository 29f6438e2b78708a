//! Connections for `https`.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use compio::net::{PollStream, Resolve, SystemResolver, TcpStream};
use compio_tls::{TlsConnector, TlsStream, rustls::ClientConfig};
use hyper::{
    Uri,
    http::uri::Scheme,
    rt::{Read, ReadBufCursor, Write},
};

use super::{
    Connect, Connected, HttpConnector,
    connect::{host, unsupported},
};
use crate::alpn;

/// TCP connections for `http`, and with TLS for `https`. [`ClientBuilder::tls`](super::ClientBuilder::tls) makes one.
///
/// The server chooses HTTP/2 or HTTP/1.1 by ALPN. A configuration without protocols of ALPN offers these two; another one
/// offers its own. A server without ALPN is given HTTP/1.1.
#[derive(Debug, Clone)]
pub struct HttpsConnector<R = SystemResolver> {
    http: HttpConnector<R>,
    tls: TlsConnector,
}

impl HttpsConnector {
    /// A connector with the resolver of the system.
    pub fn new(tls: impl Into<TlsConnector>) -> Self {
        Self::with_http(HttpConnector::new(), tls)
    }
}

impl<R: Resolve> HttpsConnector<R> {
    /// A connector over the TCP connections of another one.
    pub fn with_http(http: HttpConnector<R>, tls: impl Into<TlsConnector>) -> Self {
        let mut tls = tls.into();
        if tls.config().alpn_protocols.is_empty() {
            let mut config = ClientConfig::clone(tls.config());
            config.alpn_protocols = alpn::protocols();
            tls = Arc::new(config).into();
        }
        Self { http, tls }
    }
}

impl<R: Resolve> Connect for HttpsConnector<R> {
    type Stream = HttpsStream;

    async fn connect(&self, uri: &Uri) -> io::Result<Connected<Self::Stream>> {
        if uri.scheme() == Some(&Scheme::HTTP) {
            let Connected { stream, is_http2 } = self.http.connect(uri).await?;
            let stream = HttpsStream::Plain(stream);
            return Ok(Connected { stream, is_http2 });
        }
        if uri.scheme() != Some(&Scheme::HTTPS) {
            return Err(unsupported("the scheme is neither http nor https"));
        }
        let tcp = self.http.connect_tcp(uri, 443).await?;
        let tls = self.tls.connect(host(uri), tcp).await?;
        let is_http2 = tls.alpn_protocol().as_deref() == Some(alpn::HTTP2);
        let stream = HttpsStream::Tls(Box::new(tls));
        Ok(Connected { stream, is_http2 })
    }
}

/// A connection of a [`HttpsConnector`].
#[derive(Debug)]
pub enum HttpsStream {
    /// Of `http`.
    Plain(PollStream<TcpStream>),
    /// Of `https`.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Calls a method of either stream.
macro_rules! forward {
    ($stream:ident.$method:ident($($argument:ident),*)) => {
        match $stream.get_mut() {
            Self::Plain(plain) => Pin::new(plain).$method($($argument),*),
            Self::Tls(tls) => Pin::new(&mut **tls).$method($($argument),*),
        }
    };
}

impl Read for HttpsStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        forward!(self.poll_read(cx, room))
    }
}

impl Write for HttpsStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        forward!(self.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.poll_shutdown(cx))
    }
}
