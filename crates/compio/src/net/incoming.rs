//! Streams over one request: the connections of a listener, the bytes of a connection.

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
/// With io_uring, one request accepts many connections, some of them before `next` is called. While no
/// task calls `next`, the connections in the kernel's queue at the first poll are accepted, and then a
/// few dozen; all others stay in the queue.
///
/// With the feature `stream` it is a `futures_core::Stream`, too.
///
/// # Cancellation
///
/// A dropped future of [`next`](Self::next) loses nothing: the next call continues. Dropping
/// `Incoming` leaves the connections that it has accepted to the listener's next `accept`, or next
/// `Incoming`.
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
    /// The OS error of accept(2). Many concern only one connection or the moment (`ECONNABORTED`,
    /// `EMFILE`), and the next call tries again: a server continues after them. If no descriptor or
    /// memory was left for a connection, the next call first waits for 10 milliseconds, so that a
    /// server which continues at once does not busy-loop.
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

/// The bytes of a connection in order of arrival, each piece in a buffer that is taken from a pool
/// on arrival. Made by [`TcpStream::recv_stream`](super::TcpStream::recv_stream) and the same
/// methods of other sockets.
///
/// Of a datagram socket, each piece is one datagram, which may be empty, and there is no EOF:
/// [`UdpSocket::recv_stream`](super::UdpSocket::recv_stream).
///
/// It is a handle of the socket, which stays open for as long as this lives. Other receives on the
/// socket take bytes out of the middle of the stream.
///
/// While no task calls `next`, it may receive into a few dozen of the pool's buffers, or into all if
/// there are fewer. Other users of the pool then lack these buffers. All other bytes stay in the
/// socket, and when its buffer is full the peer waits.
///
/// With the feature `stream` it is a `futures_core::Stream`, too.
///
/// # Cancellation
///
/// A dropped future of [`next`](Self::next) loses nothing: the next call continues. Nor does dropping
/// the `RecvStream`: once the kernel has completed the request, its unread bytes go to the next
/// receive of the socket. After a [`cancel`](Self::cancel) they come out of this stream.
#[derive(Debug)]
pub struct RecvStream(driver::RecvStream);

impl RecvStream {
    pub(super) fn new(socket: &Socket, pool: &BufferPool) -> Self {
        let pool = pool.as_driver_pool();
        Self(with_driver(|driver| {
            driver.recv_stream(socket.handle(), pool, 0)
        }))
    }

    /// The datagrams of a socket with messages.
    pub(super) fn of_datagrams(socket: &Socket, pool: &BufferPool) -> Self {
        Self(Self::new(socket, pool).0.of_datagrams())
    }

    /// The next bytes, at least one; `None` after EOF, or after a [`cancel`](Self::cancel). Also
    /// waits while all buffers of the pool are in use.
    ///
    /// # Errors
    ///
    /// The OS error of recv(2), for instance `ConnectionReset`. It does not end the stream: the
    /// next call tries again.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub async fn next(&mut self) -> Option<io::Result<PooledBuffer>> {
        poll_fn(|cx| self.0.poll_next(cx)).await
    }

    /// Ends the stream. Bytes that were received by then still come out of [`next`](Self::next), and
    /// `None` after them; all other bytes are left for the next receive of the socket.
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
