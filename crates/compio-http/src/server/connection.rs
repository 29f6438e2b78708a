//! One connection: its protocol, its requests, its deadlines, and its end.

use std::{
    error::Error,
    fmt,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use compio::{
    net::PollStream,
    runtime::SendWrapper,
    time::{sleep, timeout},
};
#[cfg(feature = "http2")]
use hyper::server::conn::http2;
use hyper::{
    rt::{Read, Write},
    server::conn::http1,
};

#[cfg(feature = "tls")]
use super::tls;
use super::{
    Http,
    activity::{Activity, Limits, Phase, Watch},
    detect::{Version, detect},
    io::ConnectionIo,
    service::{ConnectionService, HttpService},
    socket::ServerSocket,
};
#[cfg(feature = "http2")]
use crate::rt::TaskExecutor;

/// The time that a connection without requests has to end.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The stream type of upgraded connections.
pub(super) type UpgradedIo<I> = SendWrapper<ConnectionIo<I>>;

/// Serves a socket until it ends, or until it is idle after `shutdown` has completed: with TLS, if the settings have it.
pub(super) async fn serve_socket<T, S>(
    http: &Http,
    socket: T,
    service: S,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ConnectionError>
where
    T: ServerSocket,
    S: HttpService,
{
    socket.prepare();
    #[cfg(feature = "tls")]
    if let Some(acceptor) = &http.tls {
        let shutdown = pin!(shutdown);
        let mut shutdown = tls::Fuse::new(shutdown);
        let config = tls::config(acceptor);
        let handshake = socket.handshake(config, http.handshake_timeout, &mut shutdown);
        // On the heap: it is large, and ends before the first request.
        let Some(stream) = Box::pin(handshake).await? else {
            return Ok(());
        };
        let version = tls::version(&stream);
        if version.is_none() {
            close(stream).await;
            return Ok(());
        }
        let begun = begin(http, stream, version, pin!(shutdown.after_handshake())).await?;
        return match begun {
            Some(begun) => serve(http, begun, service, shutdown).await,
            None => Ok(()),
        };
    }
    let io = PollStream::new(socket).map_err(ConnectionError::io)?;
    serve_connection(http, io, service, shutdown).await
}

/// Serves one connection until it ends, or until it is idle after `shutdown` has completed.
pub(super) async fn serve_connection<I, S>(
    http: &Http,
    io: I,
    service: S,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ConnectionError>
where
    I: Read + Write + Unpin + 'static,
    S: HttpService,
{
    let mut shutdown = pin!(shutdown);
    match begin(http, io, None, shutdown.as_mut()).await? {
        Some(begun) => serve(http, begun, service, shutdown).await,
        None => Ok(()),
    }
}

/// A connection that has received its first bytes.
struct Begun<I> {
    io: I,
    /// Of the first head.
    deadline: Option<Instant>,
    version: Version,
    first: Bytes,
}

/// Waits for the first bytes of a connection, which decide about the protocol unless it is known. `None` if there are none
/// until the connection ends, or until `silence` completes.
async fn begin<I: Read + Write + Unpin>(
    http: &Http,
    mut io: I,
    version: Option<Version>,
    silence: impl Future<Output = ()> + Unpin,
) -> Result<Option<Begun<I>>, ConnectionError> {
    // One limit for the first bytes and the rest of the head.
    let deadline = http.head_timeout.map(|limit| sleep(limit).deadline());
    let first = within(http.head_timeout, detect(&mut io, version));
    let Some(first) = unless(silence, first).await else {
        close(io).await;
        return Ok(None);
    };
    let Some(first) = first else {
        close(io).await;
        return Err(ConnectionError(Cause::HeadTimeout));
    };
    let Some((version, first)) = first.map_err(ConnectionError::io)? else {
        close(io).await;
        return Ok(None);
    };
    Ok(Some(Begun {
        io,
        deadline,
        version,
        first,
    }))
}

/// Serves the requests of a connection.
async fn serve<I, S>(
    http: &Http,
    begun: Begun<I>,
    service: S,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ConnectionError>
where
    I: Read + Write + Unpin + 'static,
    S: HttpService,
{
    let Begun {
        io,
        deadline,
        version,
        first,
    } = begun;
    let shutdown = pin!(shutdown);
    let activity = Rc::new(Activity::default());
    let io = ConnectionIo::new(first, io, Rc::clone(&activity), http.write_timeout);
    let limits = Limits {
        head: http.head_timeout,
        idle: http.idle_timeout,
        stalled: match version {
            // A peer that reads slowly takes long for the parts that hyper has buffered.
            Version::Http1 => None,
            Version::Http2 => http.write_timeout,
        },
    };
    let reads_heads = version == Version::Http1;
    let watch = Watch::new(Rc::clone(&activity), limits, reads_heads, deadline);
    let service = ConnectionService::new(service, activity, http.body_timeout);
    match version {
        Version::Http1 => {
            let connection = http
                .http1
                .serve_connection(SendWrapper::new(io), service)
                .with_upgrades();
            drive(pin!(connection), watch, shutdown).await
        }
        #[cfg(feature = "http2")]
        Version::Http2 => {
            let connection = http.http2.serve_connection(io, service);
            drive(pin!(connection), watch, shutdown).await
        }
        #[cfg(not(feature = "http2"))]
        Version::Http2 => {
            let message = "the client speaks HTTP/2, and the feature `http2` is off";
            let error = io::Error::new(io::ErrorKind::Unsupported, message);
            Err(ConnectionError::io(error))
        }
    }
}

/// Ends a connection without a request.
pub(super) async fn close(mut io: impl Write + Unpin) {
    let closed = poll_fn(|cx| Pin::new(&mut io).poll_shutdown(cx));
    // The peer may have gone.
    let _ = timeout(CLOSE_TIMEOUT, closed).await;
}

/// `None` if `signal` completes first.
pub(super) async fn unless<F: Future>(
    mut signal: impl Future<Output = ()> + Unpin,
    future: F,
) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Pin::new(&mut signal).poll(cx).map(|()| None),
    })
    .await
}

/// `None` after the time limit, if there is one.
pub(super) async fn within<F: Future>(limit: Option<Duration>, future: F) -> Option<F::Output> {
    match limit {
        Some(limit) => timeout(limit, future).await.ok(),
        None => Some(future.await),
    }
}

/// A connection of hyper.
trait Connection: Future<Output = Result<(), hyper::Error>> {
    /// Ends the connection after the requests in progress.
    fn shut_down(self: Pin<&mut Self>);
}

impl<I, S> Connection for http1::UpgradeableConnection<I, ConnectionService<S>>
where
    I: Read + Write + Unpin + Send + 'static,
    S: HttpService,
{
    fn shut_down(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

#[cfg(feature = "http2")]
impl<I, S> Connection for http2::Connection<I, ConnectionService<S>, TaskExecutor>
where
    I: Read + Write + Unpin,
    S: HttpService,
{
    fn shut_down(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Polls the connection, its deadlines and the signal of the shutdown.
async fn drive<C: Connection>(
    mut connection: Pin<&mut C>,
    mut watch: Watch,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
) -> Result<(), ConnectionError> {
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(ended.map_err(ConnectionError::hyper));
            }
            if !watch.is_ending() && shutdown.as_mut().poll(cx).is_ready() {
                watch.end(CLOSE_TIMEOUT);
                connection.as_mut().shut_down();
                continue;
            }
            match ready!(watch.poll_expired(cx)) {
                // The peer does not answer.
                _ if watch.is_ending() => return Poll::Ready(Ok(())),
                Phase::Head => return Poll::Ready(Err(ConnectionError(Cause::HeadTimeout))),
                Phase::Stalled => {
                    let message = "the peer takes no part of a response";
                    let error = io::Error::new(io::ErrorKind::TimedOut, message);
                    return Poll::Ready(Err(ConnectionError::io(error)));
                }
                Phase::Idle | Phase::Active => {
                    watch.end(CLOSE_TIMEOUT);
                    connection.as_mut().shut_down();
                }
            }
        }
    })
    .await
}

/// The failure of a connection. Most are faults of the peer, or of the network.
pub struct ConnectionError(Cause);

enum Cause {
    Io(io::Error),
    Hyper(hyper::Error),
    #[cfg(feature = "tls")]
    HandshakeTimeout,
    HeadTimeout,
}

impl ConnectionError {
    pub(super) fn io(error: io::Error) -> Self {
        Self(Cause::Io(error))
    }

    #[cfg(feature = "tls")]
    pub(super) fn handshake_timeout() -> Self {
        Self(Cause::HandshakeTimeout)
    }

    fn hyper(error: hyper::Error) -> Self {
        Self(Cause::Hyper(error))
    }

    /// Whether the peer was too slow: with the TLS handshake, with a request's head, or with the bytes of a response.
    pub fn is_timeout(&self) -> bool {
        match &self.0 {
            #[cfg(feature = "tls")]
            Cause::HandshakeTimeout => true,
            Cause::HeadTimeout => true,
            Cause::Io(error) => error.kind() == io::ErrorKind::TimedOut,
            Cause::Hyper(error) => error.is_timeout() || is_io_timeout(error),
        }
    }

    /// The error of hyper, if it has failed.
    pub fn as_hyper(&self) -> Option<&hyper::Error> {
        if let Cause::Hyper(error) = &self.0 {
            Some(error)
        } else {
            None
        }
    }
}

fn is_io_timeout(error: &hyper::Error) -> bool {
    error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Io(error) => error.fmt(f),
            Cause::Hyper(error) => match error.source() {
                Some(source) => write!(f, "{error}: {source}"),
                None => error.fmt(f),
            },
            #[cfg(feature = "tls")]
            Cause::HandshakeTimeout => {
                f.write_str("the peer has not completed the TLS handshake in time")
            }
            Cause::HeadTimeout => f.write_str("the peer has sent no complete request in time"),
        }
    }
}

impl fmt::Debug for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Io(error) => f.debug_tuple("ConnectionError").field(error).finish(),
            Cause::Hyper(error) => f.debug_tuple("ConnectionError").field(error).finish(),
            #[cfg(feature = "tls")]
            Cause::HandshakeTimeout => f.write_str("ConnectionError(HandshakeTimeout)"),
            Cause::HeadTimeout => f.write_str("ConnectionError(HeadTimeout)"),
        }
    }
}

impl Error for ConnectionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Cause::Io(error) => Some(error),
            Cause::Hyper(error) => Some(error),
            #[cfg(feature = "tls")]
            Cause::HandshakeTimeout => None,
            Cause::HeadTimeout => None,
        }
    }
}
