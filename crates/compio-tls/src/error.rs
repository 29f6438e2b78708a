//! The errors of a TLS connection as `io::Error`.

use std::{error::Error, fmt, io};

/// A fatal error of a connection, which every later operation returns again.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    error: rustls::Error,
    advice: Option<&'static str>,
}

/// The first bytes of a peer: enough to recognize HTTP without TLS.
#[derive(Debug, Default)]
pub(crate) struct FirstBytes {
    bytes: [u8; 8],
    len: usize,
}

impl FirstBytes {
    /// Adds received bytes, as long as there is room.
    pub(crate) fn add(&mut self, received: &[u8]) {
        let room = &mut self.bytes[self.len..];
        let len = received.len().min(room.len());
        room[..len].copy_from_slice(&received[..len]);
        self.len += len;
    }
}

/// The beginnings of HTTP/1 requests and of the preface of HTTP/2.
const REQUESTS: [&[u8]; 10] = [
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"CONNECT ",
    b"TRACE ",
    b"PRI * ",
];

impl Failure {
    /// The error of a peer that has begun with these bytes.
    pub(crate) fn new(error: rustls::Error, first: &FirstBytes) -> Self {
        let advice = if let rustls::Error::InvalidMessage(_) = error {
            plain_http(&first.bytes[..first.len])
        } else {
            None
        };
        Self { error, advice }
    }

    pub(crate) fn is_plain_http(&self) -> bool {
        self.advice.is_some()
    }
}

/// Whether this is the error of a handshake with a peer that speaks HTTP without TLS.
///
/// A server can answer such a client: nothing was sent to it.
///
/// ```
/// use std::io;
///
/// use compio::{
///     io::{AsyncWrite, AsyncWriteExt},
///     net::TcpStream,
/// };
/// use compio_tls::{TlsAcceptor, TlsStream, is_plain_http};
///
/// async fn accept(acceptor: &TlsAcceptor, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
///     let tls = acceptor.stream(tcp)?;
///     match tls.handshake().await {
///         Ok(()) => Ok(tls),
///         Err(error) => {
///             if is_plain_http(&error) {
///                 let mut tcp = tls.get_ref();
///                 tcp.write_all("HTTP/1.1 400 Bad Request\r\n\r\n").await.0?;
///                 tcp.shutdown().await?;
///             }
///             Err(error)
///         }
///     }
/// }
/// ```
pub fn is_plain_http(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    inner.is_some_and(Failure::is_plain_http)
}

/// Recognizes a peer that speaks HTTP without TLS.
fn plain_http(first: &[u8]) -> Option<&'static str> {
    if REQUESTS.iter().any(|request| is_begun(first, request)) {
        Some("the client has sent an HTTP request without TLS: use an https URL")
    } else if is_begun(first, b"HTTP/") {
        Some("the server has answered with HTTP without TLS: the port is not a TLS port")
    } else {
        None
    }
}

/// Whether the longer of both begins with the shorter one, which is not empty.
fn is_begun(first: &[u8], pattern: &[u8]) -> bool {
    let len = first.len().min(pattern.len());
    len >= 3 && first[..len] == pattern[..len]
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        if failure.advice.is_some() {
            io::Error::new(io::ErrorKind::InvalidData, failure)
        } else {
            io::Error::new(io::ErrorKind::InvalidData, failure.error)
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(advice) = self.advice {
            write!(f, "{advice} ({})", self.error)
        } else {
            self.error.fmt(f)
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

/// The peer has ended the stream without `close_notify`: an attacker may have cut it.
pub(crate) fn truncated() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the peer closed the connection without close_notify: data may be missing",
    )
}

pub(crate) fn eof_in_handshake() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the peer closed the connection during the TLS handshake",
    )
}

pub(crate) fn is_shut_down() -> io::Error {
    io::Error::new(
        io::ErrorKind::BrokenPipe,
        "the TLS stream has been shut down for writing",
    )
}

pub(crate) fn is_output_lost() -> io::Error {
    io::Error::new(
        io::ErrorKind::BrokenPipe,
        "an earlier write of the TLS stream has failed",
    )
}

/// Whether the peer has closed the connection.
pub(crate) fn is_disconnect(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected
    )
}

/// An error of rustls before the handshake, such as of a configuration.
pub(crate) fn invalid_input(error: impl Into<Box<dyn Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}
