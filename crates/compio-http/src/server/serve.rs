//! A server on one thread.

use std::{
    fmt,
    future::{IntoFuture, Pending, pending, poll_fn},
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
    time::Duration,
};

use compio::{
    event::Event,
    metrics::count_connection,
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use http_body::Body;
use hyper::{Request, Response, service::Service};

use super::{Http, RequestBody, ServerSocket, connection::serve_socket, service::HttpService};
use crate::BoxError;

/// The pause after a failed accept: the process has no descriptor left, or the system no memory.
const PAUSE: Duration = Duration::from_millis(10);

/// Serves a listener on this thread, with the default settings. [`Http::serve`] takes others.
///
/// Each connection has a clone of the service.
///
/// # Errors
///
/// None at present.
pub fn serve<L, S>(listener: L, service: S) -> Serve<L, S> {
    Http::new().serve(listener, service)
}

/// A server on one thread, which runs when it is awaited. Made by [`serve`] and [`Http::serve`].
///
/// # Cancellation
///
/// Closes all connections.
///
/// ```no_run
/// use std::{convert::Infallible, time::Duration};
///
/// use compio::{net::TcpListener, signal};
/// use http_body_util::Full;
/// use hyper::{Response, body::Bytes, service::service_fn};
///
/// #[compio::main]
/// async fn main() -> std::io::Result<()> {
///     let listener = TcpListener::bind("127.0.0.1:8080").await?;
///     let service = service_fn(async |_request| {
///         Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("Hello\n"))))
///     });
///     compio_http::serve(listener, service)
///         .with_graceful_shutdown(async {
///             let _ = signal::ctrl_c().await;
///         })
///         .shutdown_timeout(Duration::from_secs(10))
///         .await
/// }
/// ```
#[must_use = "it serves when it is awaited"]
pub struct Serve<L, S, F = Pending<()>> {
    http: Http,
    listener: L,
    service: S,
    shutdown: F,
    shutdown_timeout: Option<Duration>,
    connections_max: usize,
}

impl<L, S> Serve<L, S> {
    pub(super) fn new(http: Http, listener: L, service: S) -> Self {
        Self {
            http,
            listener,
            service,
            shutdown: pending(),
            shutdown_timeout: None,
            connections_max: usize::MAX,
        }
    }

    /// Stops accepting when `signal` completes. Idle connections end at once, the others after their request. Then
    /// the server's future completes.
    pub fn with_graceful_shutdown<F: Future<Output = ()>>(self, signal: F) -> Serve<L, S, F> {
        Serve {
            http: self.http,
            listener: self.listener,
            service: self.service,
            shutdown: signal,
            shutdown_timeout: self.shutdown_timeout,
            connections_max: self.connections_max,
        }
    }
}

impl<L, S, F> Serve<L, S, F> {
    /// The time for connections to end after the signal. The server closes the others then. No limit by default.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = Some(timeout);
        self
    }

    /// Serves `https`. See [`Http::tls`].
    ///
    /// ```no_run
    /// use std::convert::Infallible;
    ///
    /// use compio::net::TcpListener;
    /// use compio_tls::TlsAcceptor;
    /// use http_body_util::Full;
    /// use hyper::{Response, body::Bytes, service::service_fn};
    ///
    /// async fn run(acceptor: TlsAcceptor) -> std::io::Result<()> {
    ///     let listener = TcpListener::bind("127.0.0.1:8443").await?;
    ///     let service = service_fn(async |_request| {
    ///         Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("Hello\n"))))
    ///     });
    ///     compio_http::serve(listener, service).tls(acceptor).await
    /// }
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(mut self, acceptor: impl Into<compio_tls::TlsAcceptor>) -> Self {
        self.http = self.http.tls(acceptor);
        self
    }

    /// Accepts no connection while there are so many: further ones wait in the kernel's queue.
    ///
    /// # Panics
    ///
    /// If `connections` is zero.
    #[track_caller]
    pub fn connections_max(mut self, connections: usize) -> Self {
        assert!(
            connections > 0,
            "a server with a limit of zero connections serves nothing"
        );
        self.connections_max = connections;
        self
    }
}

impl<L, S, F, B> IntoFuture for Serve<L, S, F>
where
    L: Accept + 'static,
    F: Future<Output = ()> + 'static,
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + 'static,
    S::Error: Into<BoxError>,
    B: Body + 'static,
    B::Error: Into<BoxError>,
{
    type Output = io::Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = io::Result<()>>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(run(self))
    }
}

async fn run<L, S, F>(server: Serve<L, S, F>) -> io::Result<()>
where
    L: Accept,
    S: HttpService + Clone,
    F: Future<Output = ()>,
{
    let ending = Rc::new(Event::new());
    let mut connections = JoinSet::new();
    {
        let mut shutdown = pin!(server.shutdown);
        loop {
            // Removes those that have ended.
            while connections.try_join_next().is_some() {}
            let accepted = {
                let next = async {
                    while connections.len() >= server.connections_max {
                        connections.join_next().await;
                    }
                    server.listener.accept().await
                };
                let mut next = pin!(next);
                poll_fn(|cx| match shutdown.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(None),
                    Poll::Pending => next.as_mut().poll(cx).map(Some),
                })
                .await
            };
            match accepted {
                None => break,
                Some(Ok(stream)) => {
                    let (http, service) = (server.http.clone(), server.service.clone());
                    let ending = Rc::clone(&ending);
                    connections.spawn(async move {
                        let _counted = count_connection();
                        // The error concerns one peer, and was seen by it.
                        let _ = serve_socket(&http, stream, service, ending.wait()).await;
                    });
                }
                Some(Err(_)) => sleep(PAUSE).await,
            }
        }
    }
    drop(server.listener);
    ending.handle().notify();
    let ended = async { while connections.join_next().await.is_some() {} };
    match server.shutdown_timeout {
        // The drop of the set closes the rest.
        Some(limit) => drop(timeout(limit, ended).await),
        None => ended.await,
    }
    Ok(())
}

impl<L, S, F> fmt::Debug for Serve<L, S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("http", &self.http)
            .field("shutdown_timeout", &self.shutdown_timeout)
            .field("connections_max", &self.connections_max)
            .finish_non_exhaustive()
    }
}

/// A listener of stream sockets: [`TcpListener`] or [`UnixListener`].
pub trait Accept: sealed::Sealed {
    /// Its connections.
    type Stream: ServerSocket;

    /// The next connection.
    #[doc(hidden)]
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>>;
}

mod sealed {
    pub trait Sealed {}
}

impl sealed::Sealed for TcpListener {}
impl sealed::Sealed for UnixListener {}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        TcpListener::accept(self).await.map(|(stream, _)| stream)
    }
}

impl Accept for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        UnixListener::accept(self).await.map(|(stream, _)| stream)
    }
}
