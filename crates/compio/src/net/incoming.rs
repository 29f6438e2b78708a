//! What goes on by itself: the connections of a listener, the bytes of a connection.

use std::{
    fmt,
    future::poll_fn,
    io,
    task::{Context, Poll},
};

use compio_driver::{self as driver, AcceptStream, OwnedFd, PooledBuffer};

use super::{accept_backoff::BackoffTimer, socket::Socket};
use crate::runtime::{BufferPool, with_driver};

/// The connections of a listener, one after the other. Made by
/// [`TcpListener::incoming`](super::TcpListener::incoming) and
/// [`UnixListener::incoming`](super::UnixListener::incoming).
///
/// It is a handle of the listening socket, which stays open for as long as this lives.
///
/// Where one request brings many connections (io_uring), some are accepted before they are asked for.
/// While nobody asks, these are the ones that wait in the kernel's queue when the stream is polled for
/// the first time, and then a few dozen; all others stay in the queue.
///
/// With the feature `stream` it is a `futures_core::Stream`, too.
///
/// # Cancellation
///
/// A dropped future of [`next`](Self::next) loses nothing: the next call goes on. Dropping `Incoming`
/// leaves the connections that it has accepted to the listener's next `accept`, or next `Incoming`.
pub struct Incoming<S> {
    connections: AcceptStream,
    pause: BackoffTimer,
    adopt: fn(OwnedFd) -> S,
}

impl<S> Incoming<S> {
    pub(super) fn new(connections: AcceptStream, adopt: fn(OwnedFd) -> S) -> Self {
        Self {
            connections,
            pause: BackoffTimer::default(),
            adopt,
        }
    }

    /// The next connection. There is always one to wait for: this is never `None`.
    ///
    /// # Errors
    ///
    /// The system's. They concern only one connection or the moment (`ECONNABORTED`, `EMFILE`), and
    /// the next call tries again: a server goes on after them. Where there was no descriptor or no
    /// memory for a connection, the next call waits for 10 milliseconds before, so that a server
    /// which goes on at once does not spin.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub async fn next(&mut self) -> Option<io::Result<S>> {
        Some(poll_fn(|cx| self.poll_connection(cx)).await)
    }

    fn poll_connection(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<S>> {
        let connections = &mut self.connections;
        let connection = self.pause.poll_pass(cx, |cx| connections.poll_next(cx));
        connection.map_ok(self.adopt)
    }
}

impl<S> fmt::Debug for Incoming<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Incoming").field(&self.connections).finish()
    }
}

/// The bytes of a connection in the order of their coming, each piece in a buffer of a pool that is
/// taken when they have come. Made by [`TcpStream::recv_stream`](super::TcpStream::recv_stream) and
/// its like.
///
/// It is a handle of the socket, which stays open for as long as this lives. Whoever receives by
/// other means meanwhile takes bytes out of the middle.
///
/// While nobody asks, it may receive into a few dozen of the pool's buffers, or all if there are fewer,
/// which others then have to do without; all other bytes stay in the socket, and when that is full the
/// peer waits.
///
/// With the feature `stream` it is a `futures_core::Stream`, too.
///
/// # Cancellation
///
/// A dropped future of [`next`](Self::next) loses nothing: the next call goes on. Dropping the
/// `RecvStream` neither: what the kernel has received and nobody has taken is received by whoever
/// receives next, when the kernel has given the request up. After a [`cancel`](Self::cancel) it comes
/// out of this one.
#[derive(Debug)]
pub struct RecvStream(driver::RecvStream);

impl RecvStream {
    pub(super) fn new(socket: &Socket, pool: &BufferPool) -> Self {
        let pool = pool.as_driver_pool();
        Self(with_driver(|driver| {
            driver.recv_stream(socket.handle(), pool, 0)
        }))
    }

    /// The next bytes, at least one; `None` when the peer has shut down, or after a
    /// [`cancel`](Self::cancel). Waits, too, while all buffers of the pool are handed out.
    ///
    /// # Errors
    ///
    /// The system's. They do not end the stream: the next call tries again.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub async fn next(&mut self) -> Option<io::Result<PooledBuffer>> {
        poll_fn(|cx| self.0.poll_next(cx)).await
    }

    /// Asks for the end. What has been received by then still comes out of [`next`](Self::next), and
    /// `None` after it; all other bytes are left for whoever receives next.
    pub fn cancel(&mut self) {
        self.0.cancel();
    }
}

#[cfg(feature = "stream")]
mod futures {
    use std::{
        io,
        pin::Pin,
        task::{Context, Poll},
    };

    use compio_driver::PooledBuffer;
    use futures_core::Stream;

    use super::{Incoming, RecvStream};

    impl<S> Stream for Incoming<S> {
        type Item = io::Result<S>;

        fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            self.get_mut().poll_connection(cx).map(Some)
        }
    }

    impl Stream for RecvStream {
        type Item = io::Result<PooledBuffer>;

        fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            self.get_mut().0.poll_next(cx)
        }
    }
}
