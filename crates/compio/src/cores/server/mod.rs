//! Servers over several cores: a listener for each worker where the kernel distributes connections,
//! otherwise one; and a hand-off of connections where they are distributed badly.
//!
//! The kernel selects the listener by a hash of the addresses, blind to the load. With few long connections
//! some workers would get none. So a connection moves to the least loaded worker if that one has clearly
//! fewer: before its first operation, since a socket stays on the thread that has used it.

mod accept;
mod limit;

use std::{
    fmt, io, mem,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use compio_driver::{AsFd, OwnedFd, SharedFd};

use self::{accept::Acceptor, limit::Limit};
use super::{Dispatcher, DispatcherBuilder, Workers};
use crate::{
    net::{TcpListener, TcpStream, ToSocketAddrs, UnixListener, UnixStream, socket::Adopt},
    sys,
};

/// Serves the connections of a TCP address on all cores: `handler` makes the future of each one. Runs until it
/// is dropped, which cancels the tasks of all connections.
///
/// [`Server`] has settings, an address to ask for, and a graceful shutdown.
///
/// # Cancellation
///
/// Ends the server, and blocks until its threads have ended.
///
/// # Errors
///
/// As [`Server::bind`] and [`Server::start`].
///
/// # Example
///
/// ```no_run
/// use compio::{
///     cores,
///     io::{AsyncRead, AsyncWriteExt},
///     net::TcpStream,
/// };
///
/// async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
///     let mut buffer = Vec::with_capacity(4096);
///     loop {
///         let (read, filled) = stream.read(buffer).await;
///         if read? == 0 {
///             return Ok(());
///         }
///         let (written, emptied) = stream.write_all(filled).await;
///         written?;
///         buffer = emptied;
///     }
/// }
///
/// #[compio::main]
/// async fn main() -> std::io::Result<()> {
///     cores::serve_on_cores("127.0.0.1:8080", async |stream| {
///         if let Err(error) = echo(stream).await {
///             eprintln!("connection: {error}");
///         }
///     })
///     .await
/// }
/// ```
pub async fn serve_on_cores<H>(address: impl ToSocketAddrs, handler: H) -> io::Result<()>
where
    H: AsyncFn(TcpStream) + Clone + Send + 'static,
{
    let _running = Server::bind(address).await?.start(handler)?;
    std::future::pending().await
}

/// The settings of a server that runs on the workers of a [`Dispatcher`] of its own.
///
/// On Linux, each worker has a listener on the same TCP address (`SO_REUSEPORT`). A second program gets
/// `AddrInUse`, unless it runs as the same user and sets that option itself. Elsewhere, and for Unix sockets,
/// worker 0 accepts for all. In each case, a connection goes to the least loaded worker if the accepting one
/// has clearly more.
///
/// # Example
///
/// ```
/// use std::time::Duration;
///
/// use compio::{
///     cores::{Dispatcher, Server},
///     io::{AsyncReadExt, AsyncWriteExt},
///     net::TcpStream,
/// };
///
/// #[compio::main]
/// async fn main() -> std::io::Result<()> {
///     let server = Server::bind("127.0.0.1:0")
///         .await?
///         .dispatcher(Dispatcher::builder().workers(2))
///         .connections_max(10_000)
///         .start(async |mut stream: TcpStream| {
///             let _ = stream.write_all("hello").await;
///         })?;
///
///     let mut client = TcpStream::connect(server.local_addr()).await?;
///     let (read, text) = client.read_exact([0; 5]).await;
///     read?;
///     assert_eq!(&text, b"hello");
///     server.shutdown_timeout(Duration::from_secs(10)).await
/// }
/// ```
pub struct Server<L> {
    listeners: Vec<L>,
    dispatcher: DispatcherBuilder,
    connections_max: Option<usize>,
    at_limit: AtLimit,
}

/// The behaviour of a server at its [limit](Server::connections_max) of connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AtLimit {
    /// It stops accepting. New connections wait in the queue of the kernel.
    #[default]
    Wait,
    /// It accepts new connections, and closes them at once.
    Refuse,
}

/// A listener whose connections a [`Server`] serves.
pub trait Listener: sealed::Listener {}

impl Listener for TcpListener {}
impl Listener for UnixListener {}

mod sealed {
    use super::{OwnedFd, SharedFd, io};

    /// The operations of a server on its listeners.
    pub trait Listener: Sized + 'static {
        type Stream: 'static;
        type Address;

        fn address(&self) -> io::Result<Self::Address>;

        /// All listeners, and further ones if the kernel distributes the connections of an address, so that
        /// each worker has one of it.
        fn for_workers(listeners: Vec<Self>, workers: usize) -> io::Result<Vec<OwnedFd>>;

        fn adopt(listener: OwnedFd) -> io::Result<Self>;

        fn adopt_stream(stream: OwnedFd) -> io::Result<Self::Stream>;

        fn handle(&self) -> SharedFd;

        /// Whether a connection is queued in the kernel.
        fn is_readable(&self) -> bool;

        /// Whether a connection is kept for the next accept.
        fn has_kept(&mut self) -> impl Future<Output = bool>;

        /// A connection, which no thread has used.
        fn accept_fd(&self) -> impl Future<Output = io::Result<OwnedFd>>;
    }
}

impl sealed::Listener for TcpListener {
    type Stream = TcpStream;
    type Address = SocketAddr;

    fn address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }

    fn for_workers(listeners: Vec<Self>, workers: usize) -> io::Result<Vec<OwnedFd>> {
        // The addresses to share, with the number of their listeners.
        let mut groups: Vec<(SocketAddr, usize)> = Vec::new();
        let mut fds = Vec::new();
        for listener in listeners {
            let address = listener.local_addr()?;
            // An adopted listener shares its address only if its maker has set the option.
            if sys::shares_address(&listener.socket)? {
                match groups.iter_mut().find(|(other, _)| *other == address) {
                    Some((_, count)) => *count += 1,
                    None => groups.push((address, 1)),
                }
            }
            fds.push(unused(listener)?);
        }
        for (address, count) in groups {
            for _ in count..workers {
                match TcpListener::listen_again(address) {
                    Ok(Some(listener)) => fds.push(unused(listener)?),
                    Ok(None) => break,
                    // Another user has bound an inherited listener. Fewer listeners serve all workers, too.
                    Err(error) if is_of_another_user(&error) => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(fds)
    }

    fn adopt(listener: OwnedFd) -> io::Result<Self> {
        Adopt::adopt(listener)
    }

    fn adopt_stream(stream: OwnedFd) -> io::Result<TcpStream> {
        Adopt::adopt(stream)
    }

    fn handle(&self) -> SharedFd {
        self.socket.handle()
    }

    fn is_readable(&self) -> bool {
        self.socket.options().is_readable().unwrap_or(false)
    }

    async fn has_kept(&mut self) -> bool {
        self.settle().await
    }

    async fn accept_fd(&self) -> io::Result<OwnedFd> {
        self.accept_socket().await.map(|(fd, _)| fd)
    }
}

impl sealed::Listener for UnixListener {
    type Stream = UnixStream;
    type Address = ();

    fn address(&self) -> io::Result<()> {
        Ok(())
    }

    fn for_workers(listeners: Vec<Self>, _: usize) -> io::Result<Vec<OwnedFd>> {
        listeners.into_iter().map(unused).collect()
    }

    fn adopt(listener: OwnedFd) -> io::Result<Self> {
        Adopt::adopt(listener)
    }

    fn adopt_stream(stream: OwnedFd) -> io::Result<UnixStream> {
        Adopt::adopt(stream)
    }

    fn handle(&self) -> SharedFd {
        self.socket.handle()
    }

    fn is_readable(&self) -> bool {
        self.socket.options().is_readable().unwrap_or(false)
    }

    async fn has_kept(&mut self) -> bool {
        self.settle().await
    }

    async fn accept_fd(&self) -> io::Result<OwnedFd> {
        self.accept_socket().await.map(|(fd, _)| fd)
    }
}

/// Whether an address cannot be bound by this user: it shares a port with sockets of the same user only, and small
/// ports are reserved.
fn is_of_another_user(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
    )
}

/// The socket of a listener that is in no other use.
fn unused<L: Adopt>(listener: L) -> io::Result<OwnedFd> {
    let in_use = |_| {
        io::Error::new(
            io::ErrorKind::ResourceBusy,
            "the listener has other handles",
        )
    };
    listener.into_fd().map_err(in_use)
}

impl Server<TcpListener> {
    /// Binds a TCP address: the first of the addresses that can be bound. With port 0, all workers share the
    /// port that the OS selects.
    ///
    /// # Cancellation
    ///
    /// Nothing is bound.
    ///
    /// # Errors
    ///
    /// The error of the last address, for instance `AddrInUse`; `InvalidInput` if there is no address.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        TcpListener::bind_shared(address).await.map(Self::new)
    }
}

impl Server<UnixListener> {
    /// Binds a Unix socket to a path, as [`UnixListener::bind`]. Worker 0 accepts for all.
    ///
    /// # Errors
    ///
    /// As [`UnixListener::bind`].
    pub fn bind_unix(path: impl AsRef<Path>) -> io::Result<Self> {
        UnixListener::bind(path).map(Self::new)
    }
}

impl<L: Listener> Server<L> {
    /// A server of a socket that listens already, for instance an inherited one. It is shared among the workers
    /// if it is a TCP socket with `SO_REUSEPORT` on Linux; otherwise worker 0 accepts for all.
    ///
    /// See [`from_listeners`](Self::from_listeners) for several sockets.
    pub fn from_listener(listener: L) -> Self {
        Self::new(listener)
    }

    /// A server of several sockets that listen already: of several addresses, or of one address with
    /// `SO_REUSEPORT`. All of them are accepted from: the workers take them in turn, whatever their number.
    ///
    /// On Linux, an address whose sockets have `SO_REUSEPORT` gets further ones if there are more workers, unless
    /// another user has bound it. [`start`](Self::start) returns an error if there are no listeners.
    ///
    /// The module `restart` has the listeners that a process inherits, on unix.
    pub fn from_listeners(listeners: impl IntoIterator<Item = L>) -> Self {
        Self {
            listeners: listeners.into_iter().collect(),
            dispatcher: DispatcherBuilder::new(),
            connections_max: None,
            at_limit: AtLimit::Wait,
        }
    }

    fn new(listener: L) -> Self {
        Self::from_listeners([listener])
    }

    /// All settings of the workers. By default, there is one for each CPU.
    pub fn dispatcher(mut self, dispatcher: DispatcherBuilder) -> Self {
        self.dispatcher = dispatcher;
        self
    }

    /// The number of workers, as [`DispatcherBuilder::workers`].
    pub fn workers(mut self, workers: usize) -> Self {
        self.dispatcher = self.dispatcher.workers(workers);
        self
    }

    /// The limit of connections on all workers together. There is none by default, except by
    /// `RLIMIT_NOFILE`; an accept that fails for it is repeated after 10 milliseconds.
    pub fn connections_max(mut self, connections: usize) -> Self {
        self.connections_max = Some(connections);
        self
    }

    /// The behaviour at the limit of connections. [`AtLimit::Wait`] by default.
    pub fn at_limit(mut self, at_limit: AtLimit) -> Self {
        self.at_limit = at_limit;
        self
    }

    /// Starts the workers and accepts connections. `handler` is cloned for each connection, and makes its
    /// future on the connection's worker.
    ///
    /// A panic of a handler ends its connection only.
    ///
    /// # Errors
    ///
    /// As [`DispatcherBuilder::build`]; `InvalidInput` for a limit of zero connections, and if there is no
    /// listener; the OS errors of socket(2), bind(2), listen(2) and dup(2) for the listeners of the other workers.
    /// On an error nothing is served, and no thread is left.
    #[track_caller]
    pub fn start<H>(self, handler: H) -> io::Result<RunningServer<L>>
    where
        H: AsyncFn(<L as sealed::Listener>::Stream) + Clone + Send + 'static,
    {
        if self.connections_max == Some(0) {
            let message = "a server with a limit of zero connections serves nothing";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let Some(first) = self.listeners.first() else {
            let message = "a server without a listener serves nothing";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        };
        let address = first.address()?;
        let dispatcher = self.dispatcher.build()?;
        let is_handed_over = Arc::new(AtomicBool::new(false));
        let limit = |max| (Arc::new(Limit::new(max)), self.at_limit);
        let acceptor = Acceptor {
            workers: dispatcher.clone(),
            limit: self.connections_max.map(limit),
            is_handed_over: Arc::clone(&is_handed_over),
            handler,
        };
        let listeners = L::for_workers(self.listeners, dispatcher.len())?;
        let duplicates = listeners
            .iter()
            .filter_map(|listener| sys::duplicate_listener(listener.as_fd()).transpose())
            .collect::<io::Result<_>>()?;
        for (index, listener) in listeners.into_iter().enumerate() {
            let worker = index % dispatcher.len();
            let acceptor = acceptor.clone();
            dispatcher.run_aside("accept", worker, move || async move {
                match L::adopt(listener) {
                    Ok(listener) => acceptor.run(listener).await,
                    // It has been a listening socket before.
                    Err(error) => panic!("a listener cannot be used on worker {worker}: {error}"),
                }
            });
        }
        Ok(RunningServer {
            dispatcher,
            address,
            duplicates: Mutex::new(duplicates),
            is_handed_over,
        })
    }
}

/// A server that accepts connections, made by [`Server::start`].
///
/// Its drop closes all connections, and blocks until the threads have ended.
pub struct RunningServer<L: Listener> {
    dispatcher: Dispatcher,
    address: <L as sealed::Listener>::Address,
    /// Of all listeners, for a successor. Closed when the shutdown begins.
    duplicates: Mutex<Vec<OwnedFd>>,
    is_handed_over: Arc<AtomicBool>,
}

impl RunningServer<TcpListener> {
    /// The address of the first listener, with the port that the OS has selected for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl<L: Listener> RunningServer<L> {
    /// The number of connections of each worker.
    pub fn connections(&self) -> Vec<usize> {
        let workers = self.workers();
        (0..workers.len())
            .map(|worker| workers.load(worker))
            .collect()
    }

    /// The workers, for other tasks. These count as connections.
    pub fn workers(&self) -> &Workers {
        &self.dispatcher
    }

    /// Stops accepting, and waits for the ends of all connections. Connections that the kernel has queued are
    /// served. Handlers learn of it by [`draining`](super::draining()).
    ///
    /// Connections whose handshake completes while the listeners close are reset by the kernel.
    ///
    /// # Cancellation
    ///
    /// As [`Dispatcher::shutdown`].
    ///
    /// # Errors
    ///
    /// As [`Dispatcher::shutdown`].
    pub async fn shutdown(&self) -> io::Result<()> {
        self.close_duplicates();
        self.dispatcher.shutdown().await
    }

    /// As [`shutdown`](Self::shutdown), but closes the connections that have not ended within `timeout`.
    ///
    /// # Cancellation
    ///
    /// As [`Dispatcher::shutdown_timeout`].
    ///
    /// # Errors
    ///
    /// As [`Dispatcher::shutdown_timeout`].
    pub async fn shutdown_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.close_duplicates();
        self.dispatcher.shutdown_timeout(timeout).await
    }

    /// Duplicates of all listeners for another process, and the flag to be set when that one accepts from them.
    #[allow(
        dead_code,
        reason = "only unix has successors, with the feature `process`"
    )]
    pub(crate) fn share(&self) -> io::Result<(Vec<OwnedFd>, Arc<AtomicBool>)> {
        let duplicates = self.lock();
        let shared = duplicates
            .iter()
            .filter_map(|fd| sys::duplicate_listener(fd.as_fd()).transpose())
            .collect::<io::Result<_>>()?;
        Ok((shared, Arc::clone(&self.is_handed_over)))
    }

    /// Closes the duplicates: with them, the sockets would listen on without an accept.
    fn close_duplicates(&self) {
        let duplicates = mem::take(&mut *self.lock());
        drop(duplicates);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<OwnedFd>> {
        self.duplicates
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L> fmt::Debug for Server<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("dispatcher", &self.dispatcher)
            .field("connections_max", &self.connections_max)
            .field("at_limit", &self.at_limit)
            .finish_non_exhaustive()
    }
}

impl<L: Listener> fmt::Debug for RunningServer<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningServer")
            .field("workers", self.workers())
            .finish_non_exhaustive()
    }
}
