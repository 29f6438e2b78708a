//! The error of a connection.

use std::{error, fmt, io};

use tungstenite::{
    error::{CapacityError, ProtocolError},
    http::{Response, StatusCode},
    protocol::frame::coding::CloseCode,
};

/// The failure of a handshake or of a connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The stream below has failed. [`UnexpectedEof`](io::ErrorKind::UnexpectedEof): the peer has closed it without a
    /// close frame. [`TimedOut`](io::ErrorKind::TimedOut): a limit of [`Config`](crate::Config) has passed.
    Io(io::Error),
    /// The peer has violated the protocol. It is sent the close code 1002.
    Protocol(ProtocolError),
    /// The peer's message is longer than the limit. It is sent the close code 1009.
    TooLarge {
        /// The length so far, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The text of the peer is no UTF-8. It is sent the close code 1007.
    Utf8,
    /// The message was not sent: a close frame has been sent or received, or the connection has failed.
    Closed,
    /// The message was not sent: it is invalid for this reason.
    InvalidMessage(&'static str),
    /// The request of a client cannot be sent, because its URL or a header is invalid; or the response of a server's
    /// callback, because of a header.
    InvalidRequest(Box<tungstenite::Error>),
    /// The response of a client's handshake has another status than 101, or a server's callback has refused the
    /// request with this response. At a client, the body has up to 4 KiB.
    Refused(Box<Response<Vec<u8>>>),
    /// The handshake of the peer is invalid.
    Handshake {
        /// The reason.
        source: Box<tungstenite::Error>,
        /// The status of the response that a server has sent for it.
        status: Option<StatusCode>,
    },
}

impl Error {
    /// The close code that the peer was sent for this error: 1002, 1007 or 1009.
    pub fn close_code(&self) -> Option<CloseCode> {
        match self {
            Self::Protocol(_) => Some(CloseCode::Protocol),
            Self::Utf8 => Some(CloseCode::Invalid),
            Self::TooLarge { .. } => Some(CloseCode::Size),
            Self::Io(_)
            | Self::Closed
            | Self::InvalidMessage(_)
            | Self::InvalidRequest(_)
            | Self::Refused(_)
            | Self::Handshake { .. } => None,
        }
    }

    /// The HTTP status of a failed handshake: received by a client, sent by a server.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused(response) => Some(response.status()),
            Self::Handshake { status, .. } => *status,
            Self::Io(_)
            | Self::Protocol(_)
            | Self::TooLarge { .. }
            | Self::Utf8
            | Self::Closed
            | Self::InvalidMessage(_)
            | Self::InvalidRequest(_) => None,
        }
    }

    pub(crate) fn handshake(source: tungstenite::Error, status: Option<StatusCode>) -> Self {
        let source = Box::new(source);
        Self::Handshake { source, status }
    }

    /// The error of a read. `None` means that the connection was closed before.
    pub(crate) fn from_read(error: tungstenite::Error) -> Option<Self> {
        use tungstenite::Error as E;
        Some(match error {
            E::ConnectionClosed | E::AlreadyClosed => return None,
            E::Io(error) => Self::Io(error),
            E::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                Self::eof("the peer has closed the stream without a close frame")
            }
            E::Protocol(error) => Self::Protocol(error),
            E::Capacity(CapacityError::MessageTooLong { size, max_size }) => Self::TooLarge {
                size,
                limit: max_size,
            },
            E::Utf8(_) => Self::Utf8,
            // No read returns them.
            error @ (E::Capacity(CapacityError::TooManyHeaders)
            | E::Tls(_)
            | E::WriteBufferFull(_)
            | E::AttackAttempt
            | E::Url(_)
            | E::Http(_)
            | E::HttpFormat(_)) => Self::Io(io::Error::other(error)),
        })
    }

    pub(crate) fn eof(message: &'static str) -> Self {
        Self::Io(io::Error::new(io::ErrorKind::UnexpectedEof, message))
    }

    pub(crate) fn timed_out(message: &'static str) -> Self {
        Self::Io(io::Error::new(io::ErrorKind::TimedOut, message))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Protocol(error) => write!(f, "the peer has violated the protocol: {error}"),
            Self::TooLarge { size, limit } => {
                write!(
                    f,
                    "a message of {size} bytes, more than the limit of {limit}"
                )
            }
            Self::Utf8 => f.write_str("the text of the peer is not UTF-8"),
            Self::Closed => f.write_str("the connection is closed"),
            Self::InvalidMessage(reason) => f.write_str(reason),
            Self::InvalidRequest(error) => write!(f, "the handshake cannot be sent: {error}"),
            Self::Refused(response) => {
                write!(f, "the handshake was refused: {}", response.status())
            }
            Self::Handshake { source, .. } => write!(f, "the handshake is invalid: {source}"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io(error) => error.source(),
            Self::Protocol(error) => Some(error),
            Self::InvalidRequest(source) | Self::Handshake { source, .. } => Some(source),
            Self::TooLarge { .. }
            | Self::Utf8
            | Self::Closed
            | Self::InvalidMessage(_)
            | Self::Refused(_) => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Keeps the kind of an I/O error. Violations of the peer are `InvalidData`, messages and requests that cannot be sent
/// are `InvalidInput`, a closed connection is `BrokenPipe`, a refused handshake is `ConnectionRefused`.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        if let Error::Io(error) = error {
            return error;
        }
        let kind = match &error {
            Error::Io(error) => error.kind(),
            Error::Protocol(_) | Error::TooLarge { .. } | Error::Utf8 | Error::Handshake { .. } => {
                io::ErrorKind::InvalidData
            }
            Error::Closed => io::ErrorKind::BrokenPipe,
            Error::InvalidMessage(_) | Error::InvalidRequest(_) => io::ErrorKind::InvalidInput,
            Error::Refused(_) => io::ErrorKind::ConnectionRefused,
        };
        Self::new(kind, error)
    }
}
