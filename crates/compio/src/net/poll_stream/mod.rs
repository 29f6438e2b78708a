//! Stream sockets for libraries that poll.

#[cfg(feature = "futures-io")]
mod futures_io;
#[cfg(feature = "hyper")]
mod hyper_rt;
#[cfg(feature = "tokio")]
mod tokio_io;

use std::{
    fmt,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::{Shutdown, SocketAddr},
    task::{Context, Poll},
};

use compio_driver::{AsFd, AsRawFd, BorrowedFd, RawFd, SliceRecv, SliceSend};

use super::{TcpStream, UnixSocketAddr, UnixStream, socket::Socket, split::ShutDown};
use crate::runtime::{count_call, recv_pool, submit};

/// A TCP or Unix stream that is polled with borrowed buffers, for libraries that bring their own loop:
/// HTTP, TLS, WebSocket, database clients.
///
/// With the features `tokio`, `futures-io` and `hyper` it implements the reader and writer traits of
/// `tokio::io`, `futures-io` and `hyper::rt`, with vectored writes. The methods `poll_*` need no feature.
///
/// A poll makes the plain non-blocking call with the caller's slice: there is no buffer in between, and no
/// copy. If a read has to wait, the bytes arrive in a buffer of a pool that all streams of the runtime share,
/// and are copied once. So an idle stream holds no buffer. If a write has to wait, it copies nothing: the next
/// poll may pass other bytes. The number that a write returns is the number of bytes that the kernel has
/// taken, so a flush has nothing to do.
///
/// A read or write that is ready takes one unit of the task's budget, as other operations of this crate
/// ([`task`](crate::task#cooperative-scheduling)).
///
/// It stays on its thread. A library that needs `Send` takes it in a
/// [`SendWrapper`](crate::runtime::SendWrapper).
///
/// ```
/// use std::{future::poll_fn, io, mem::MaybeUninit};
///
/// use compio::net::{PollStream, TcpListener, TcpStream};
///
/// fn main() -> io::Result<()> {
///     compio::task::block_on(async {
///         let listener = TcpListener::bind("127.0.0.1:0").await?;
///         let client = TcpStream::connect(listener.local_addr()?).await?;
///         let mut client = PollStream::new(client)?;
///         let (server, _) = listener.accept().await?;
///         let mut server = PollStream::new(server)?;
///
///         let sent = poll_fn(|cx| client.poll_write(cx, b"hello")).await?;
///         assert_eq!(sent, 5);
///         let mut room = [MaybeUninit::uninit(); 16];
///         let received = poll_fn(|cx| server.poll_read(cx, &mut room)).await?;
///         assert_eq!(received, 5);
///         Ok(())
///     })
/// }
/// ```
///
/// # Cancellation
///
/// A poll that is not repeated loses nothing: bytes that arrive for it are returned by the next read. The
/// same is true of [`into_inner`](Self::into_inner): the next read of the native stream returns them. A write
/// that is pending has sent nothing.
///
/// Each direction has one wait. Only the waker of the last poll of this direction is woken. The wait stays in the
/// runtime of its first poll, until that runtime ends. To use the stream in another one before,
/// [`into_inner`](Self::into_inner) ends the waits.
///
/// # Platform differences
///
/// - With io_uring and on the readiness backend, the socket keeps its mode, except on macOS: see
///   [`net`](crate::net#non-blocking-mode).
/// - On Windows, [`new`](Self::new) makes the socket non-blocking, and it stays so, because no flag of a call
///   does that there. Overlapped calls, as of the native stream, do not depend on the mode. A read waits by a
///   receive of no bytes. A write that has to wait is tried once a millisecond, because no documented call
///   reports room.
pub struct PollStream<S: StreamSocket> {
    reader: PollReadHalf<S>,
    writer: PollWriteHalf<S>,
}

/// The reading half of a [`PollStream`].
pub struct PollReadHalf<S: StreamSocket> {
    stream: S,
    recv: SliceRecv,
}

/// The writing half of a [`PollStream`]. After [`into_split`](PollStream::into_split), its drop shuts the
/// direction down, so that the peer reads to EOF.
pub struct PollWriteHalf<S: StreamSocket> {
    stream: S,
    send: SliceSend,
    on_drop: ShutDown,
}

/// The stream sockets of [`net`](crate::net): [`TcpStream`] and [`UnixStream`].
pub trait StreamSocket: sealed::Sealed + AsFd + AsRawFd + fmt::Debug + 'static {
    /// The address of an end.
    type Address;

    /// The local address.
    ///
    /// # Errors
    ///
    /// The OS error of getsockname(2).
    fn local_addr(&self) -> io::Result<Self::Address>;

    /// The address of the peer.
    ///
    /// # Errors
    ///
    /// The OS error of getpeername(2), for instance `NotConnected`.
    fn peer_addr(&self) -> io::Result<Self::Address>;
}

mod sealed {
    use super::Socket;

    #[allow(private_interfaces, reason = "no other crate can name it")]
    pub trait Sealed {
        fn socket(&self) -> &Socket;

        fn from_socket(socket: Socket) -> Self;
    }
}

macro_rules! stream_socket {
    ($stream:ident, $address:ty) => {
        #[allow(private_interfaces, reason = "no other crate can name the trait")]
        impl sealed::Sealed for $stream {
            fn socket(&self) -> &Socket {
                &self.socket
            }

            fn from_socket(socket: Socket) -> Self {
                Self { socket }
            }
        }

        impl StreamSocket for $stream {
            type Address = $address;

            fn local_addr(&self) -> io::Result<$address> {
                $stream::local_addr(self)
            }

            fn peer_addr(&self) -> io::Result<$address> {
                $stream::peer_addr(self)
            }
        }
    };
}

stream_socket!(TcpStream, SocketAddr);
stream_socket!(UnixStream, UnixSocketAddr);

impl<S: StreamSocket> PollStream<S> {
    /// Takes over a stream. Unread data of its dropped reads comes first.
    ///
    /// # Errors
    ///
    /// On Windows, the OS error of `ioctlsocket`. Elsewhere none.
    pub fn new(stream: S) -> io::Result<Self> {
        let socket = stream.socket();
        socket.options().prepare_for_attempts()?;
        let writer = PollWriteHalf {
            stream: S::from_socket(socket.clone()),
            send: SliceSend::new(socket.handle()),
            on_drop: ShutDown(None),
        };
        let recv = SliceRecv::new(socket.handle());
        Ok(Self {
            reader: PollReadHalf { stream, recv },
            writer,
        })
    }

    /// The native stream, for its options. Its reads and a pending poll would take bytes from each other.
    pub fn get_ref(&self) -> &S {
        &self.reader.stream
    }

    /// Returns the native stream. Bytes that have been received for a read that did not return are unread data
    /// of the stream: its next read returns them first.
    ///
    /// A wait in flight is cancelled. Conversions such as [`into_std`](TcpStream::into_std) fail until
    /// [`settle`](TcpStream::settle) has returned, and while there is unread data.
    pub fn into_inner(self) -> S {
        let Self { reader, writer } = self;
        drop(writer);
        let PollReadHalf { stream, recv } = reader;
        drop(recv);
        stream
    }

    /// Borrows both halves, for two futures of a task.
    pub fn split(&mut self) -> (&mut PollReadHalf<S>, &mut PollWriteHalf<S>) {
        (&mut self.reader, &mut self.writer)
    }

    /// Splits it into halves, for two tasks. Dropping the writing half shuts that direction down.
    pub fn into_split(self) -> (PollReadHalf<S>, PollWriteHalf<S>) {
        let Self { reader, mut writer } = self;
        writer.on_drop = ShutDown(Some(reader.stream.socket().clone()));
        (reader, writer)
    }

    /// Reads into a slice: the number of bytes, which are at its start. 0 means EOF, or an empty slice.
    ///
    /// # Errors
    ///
    /// The OS error of recv(2), for instance `ConnectionReset`.
    ///
    /// # Panics
    ///
    /// If it has to wait and no runtime is running on this thread; if an earlier poll waits in another runtime,
    /// which is not running.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        room: &mut [MaybeUninit<u8>],
    ) -> Poll<io::Result<usize>> {
        self.reader.poll_read(cx, room)
    }

    /// Reads into several slices, one after the other, as [`poll_read`](Self::poll_read).
    ///
    /// # Errors
    ///
    /// As of [`poll_read`](Self::poll_read).
    ///
    /// # Panics
    ///
    /// As of [`poll_read`](Self::poll_read).
    pub fn poll_read_vectored(
        &mut self,
        cx: &mut Context<'_>,
        rooms: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.reader.poll_read_vectored(cx, rooms)
    }

    /// Writes a prefix of the bytes, and returns its length: 0 only if there are none. These bytes are the
    /// kernel's.
    ///
    /// # Errors
    ///
    /// The OS error of send(2), for instance `BrokenPipe` or `ConnectionReset`.
    ///
    /// # Panics
    ///
    /// As of [`poll_read`](Self::poll_read).
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writer.poll_write(cx, bytes)
    }

    /// Writes several slices, one after the other, as [`poll_write`](Self::poll_write).
    ///
    /// # Errors
    ///
    /// As of [`poll_write`](Self::poll_write).
    ///
    /// # Panics
    ///
    /// As of [`poll_read`](Self::poll_read).
    pub fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writer.poll_write_vectored(cx, slices)
    }

    /// Shuts the writing direction down, without a wait. It succeeds if the peer has reset the connection.
    ///
    /// # Errors
    ///
    /// The OS error of shutdown(2).
    pub fn shutdown(&self) -> io::Result<()> {
        self.writer.shutdown()
    }
}

impl<S: StreamSocket> PollReadHalf<S> {
    /// As [`PollStream::poll_read`].
    ///
    /// # Errors
    ///
    /// As of [`PollStream::poll_read`].
    ///
    /// # Panics
    ///
    /// As of [`PollStream::poll_read`].
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        room: &mut [MaybeUninit<u8>],
    ) -> Poll<io::Result<usize>> {
        self.recv.poll_recv(cx, room, recv_pool, count_call)
    }

    /// As [`PollStream::poll_read_vectored`].
    ///
    /// # Errors
    ///
    /// As of [`PollStream::poll_read`].
    ///
    /// # Panics
    ///
    /// As of [`PollStream::poll_read`].
    pub fn poll_read_vectored(
        &mut self,
        cx: &mut Context<'_>,
        rooms: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.recv
            .poll_recv_vectored(cx, rooms, recv_pool, count_call)
    }

    /// Joins the halves again.
    ///
    /// # Errors
    ///
    /// Both halves, if they are not of the same stream.
    #[expect(clippy::result_large_err, reason = "it returns both halves")]
    pub fn reunite(
        self,
        mut writer: PollWriteHalf<S>,
    ) -> Result<PollStream<S>, (Self, PollWriteHalf<S>)> {
        if self.as_raw_fd() != writer.as_raw_fd() {
            return Err((self, writer));
        }
        writer.on_drop.0 = None;
        Ok(PollStream {
            reader: self,
            writer,
        })
    }
}

impl<S: StreamSocket> PollWriteHalf<S> {
    /// As [`PollStream::poll_write`].
    ///
    /// # Errors
    ///
    /// As of [`PollStream::poll_write`].
    ///
    /// # Panics
    ///
    /// As of [`PollStream::poll_read`].
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.send.poll_send(cx, bytes, submit, count_call)
    }

    /// As [`PollStream::poll_write_vectored`].
    ///
    /// # Errors
    ///
    /// As of [`PollStream::poll_write`].
    ///
    /// # Panics
    ///
    /// As of [`PollStream::poll_read`].
    pub fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.send.poll_send_vectored(cx, slices, submit, count_call)
    }

    /// As [`PollStream::shutdown`].
    ///
    /// # Errors
    ///
    /// As of [`PollStream::shutdown`].
    pub fn shutdown(&self) -> io::Result<()> {
        match self.stream.socket().options().shutdown(Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }

    /// Drops the half without shutting the direction down.
    pub fn forget(mut self) {
        self.on_drop.0 = None;
    }
}

/// The methods and traits that the stream and its halves share, by the field path of the native stream.
macro_rules! socket {
    ($type:ident $(, $path:ident)+) => {
        impl<S: StreamSocket> $type<S> {
            /// The local address.
            ///
            /// # Errors
            ///
            /// The OS error of getsockname(2).
            pub fn local_addr(&self) -> io::Result<S::Address> {
                self$(.$path)+.local_addr()
            }

            /// The address of the peer.
            ///
            /// # Errors
            ///
            /// The OS error of getpeername(2), for instance `NotConnected`.
            pub fn peer_addr(&self) -> io::Result<S::Address> {
                self$(.$path)+.peer_addr()
            }
        }

        impl<S: StreamSocket> AsFd for $type<S> {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self$(.$path)+.as_fd()
            }
        }

        impl<S: StreamSocket> AsRawFd for $type<S> {
            fn as_raw_fd(&self) -> RawFd {
                self$(.$path)+.as_raw_fd()
            }
        }

        impl<S: StreamSocket> fmt::Debug for $type<S> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($type)).field(&self$(.$path)+).finish()
            }
        }

        // Nothing in it is pinned.
        impl<S: StreamSocket> Unpin for $type<S> {}
    };
}

socket!(PollStream, reader, stream);
socket!(PollReadHalf, stream);
socket!(PollWriteHalf, stream);
