//! The error of the client.

use std::{error, fmt, io};

use hyper::StatusCode;

use crate::BoxError;

/// The failure of a request. [`source`](error::Error::source) is the error of hyper, of the connector, or of the
/// request's body.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    source: Option<BoxError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Builder,
    Connect,
    ConnectTimeout,
    Timeout,
    ReadTimeout,
    Request,
    Body,
    Decode,
    Status(StatusCode),
}

impl Error {
    pub(super) fn new(kind: Kind) -> Self {
        Self(Box::new(Inner { kind, source: None }))
    }

    pub(super) fn with(kind: Kind, source: impl Into<BoxError>) -> Self {
        let source = Some(source.into());
        Self(Box::new(Inner { kind, source }))
    }

    /// Whether the request is invalid, so that it was not sent: its URL has no scheme or no host, or has credentials; a
    /// header is invalid; or the method is `CONNECT`.
    pub fn is_builder(&self) -> bool {
        self.0.kind == Kind::Builder
    }

    /// Whether no connection was established, so that the request was not sent. This includes the timeout of the
    /// connection, and a scheme that the connector does not support.
    pub fn is_connect(&self) -> bool {
        matches!(self.0.kind, Kind::Connect | Kind::ConnectTimeout)
    }

    /// Whether a time limit has passed: of the connection, of the whole request, or of a read.
    pub fn is_timeout(&self) -> bool {
        matches!(
            self.0.kind,
            Kind::ConnectTimeout | Kind::Timeout | Kind::ReadTimeout
        )
    }

    /// Whether the connection or the request's body failed before the head of the response had arrived. The server may
    /// have processed the request.
    pub fn is_request(&self) -> bool {
        self.0.kind == Kind::Request
    }

    /// Whether the connection failed within the body of the response.
    pub fn is_body(&self) -> bool {
        self.0.kind == Kind::Body
    }

    /// Whether the body of the response is no UTF-8.
    pub fn is_decode(&self) -> bool {
        self.0.kind == Kind::Decode
    }

    /// The status that [`error_for_status`](super::Response::error_for_status) has refused.
    pub fn status(&self) -> Option<StatusCode> {
        if let Kind::Status(status) = self.0.kind {
            Some(status)
        } else {
            None
        }
    }

    /// The error of hyper, if it is the source.
    pub fn as_hyper(&self) -> Option<&hyper::Error> {
        self.0.source.as_ref()?.downcast_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0.kind {
            Kind::Builder => "the request is invalid",
            Kind::Connect => "cannot connect",
            Kind::ConnectTimeout => "the connection was not established in time",
            Kind::Timeout => "the request has not ended in time",
            Kind::ReadTimeout => "the server has sent nothing for too long",
            Kind::Request => "the connection failed before the response",
            Kind::Body => "the connection failed within the response",
            Kind::Decode => "the response is not UTF-8",
            Kind::Status(status) => return write!(f, "the server has answered with {status}"),
        };
        f.write_str(text)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_tuple("Error");
        debug.field(&self.0.kind);
        if let Some(source) = &self.0.source {
            debug.field(source);
        }
        debug.finish()
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
    }
}

/// Keeps the kind of an I/O error: of a failed connection, or `TimedOut`. Other errors have the kind `Other`.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let source = error.0.source.as_ref();
        let kind = match source.and_then(|source| source.downcast_ref::<io::Error>()) {
            _ if error.is_timeout() => io::ErrorKind::TimedOut,
            Some(source) => source.kind(),
            None => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
