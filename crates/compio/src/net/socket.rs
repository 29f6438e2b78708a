//! The code that all sockets share.

use std::{io, time::Duration};

use compio_driver::{
    AcceptStream, Acceptor, AsFd, AsRawFd, BorrowedFd, Loan, OwnedFd, RawFd, SharedFd, SockAddr,
    ancillary::SocketAncillary,
    op::{Connect, Received, Send, SendMsg, SendTo, Shutdown},
    os_calls::{
        handle,
        socket::{self, SocketRef},
    },
};
use compio_io::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};
use socket2::{Domain, Protocol, Type};

use super::ReceivedMessage;
use crate::{
    runtime::{close, lazy, submit, with_driver},
    sys,
};

/// How many connections may wait to be accepted. Linux caps it at `somaxconn`, of which this is
/// the default.
pub(super) const BACKLOG: i32 = 4096;

/// A socket of any kind. Clones are handles of the same socket.
#[derive(Debug, Clone)]
pub(crate) struct Socket {
    fd: SharedFd,
}

impl Socket {
    pub(crate) fn new(domain: Domain, kind: Type, protocol: Option<Protocol>) -> io::Result<Self> {
        // A plain call: it never waits.
        socket::create(domain, kind, protocol).map(Into::into)
    }

    /// The calls that are not requests.
    pub(crate) fn options(&self) -> SocketRef<'_> {
        SocketRef::new(self.as_fd())
    }

    pub(crate) async fn connect(&self, address: SockAddr) -> io::Result<()> {
        submit(Connect::new(self.fd.clone(), address)).await
    }

    pub(crate) fn accept(
        &self,
        acceptor: &Acceptor,
    ) -> impl Future<Output = io::Result<(OwnedFd, SockAddr)>> {
        lazy(|| with_driver(|driver| acceptor.accept(driver, &self.fd)))
    }

    pub(crate) async fn close(self) -> io::Result<()> {
        close(self.fd).await
    }

    /// Waits until the kernel has answered the operations of dropped futures. Returns whether
    /// arrivals are kept for the next receive.
    pub(crate) async fn settle(&self) -> bool {
        with_driver(|driver| driver.settle(&self.fd)).await
    }

    /// The connections of a listener.
    pub(crate) fn incoming(&self, acceptor: &Acceptor) -> AcceptStream {
        with_driver(|driver| acceptor.stream(driver, &self.fd))
    }

    /// A handle for an operation or stream that outlives this borrow.
    pub(crate) fn handle(&self) -> SharedFd {
        self.fd.clone()
    }

    pub(crate) fn recv<B: IoBufMut>(&self, buffer: B) -> impl Future<Output = BufResult<usize, B>> {
        lazy(|| with_driver(|driver| driver.receive(&self.fd, buffer)))
    }

    pub(crate) fn peek<B: IoBufMut>(&self, buffer: B) -> impl Future<Output = BufResult<usize, B>> {
        lazy(|| with_driver(|driver| driver.peek(&self.fd, buffer)))
    }

    pub(crate) async fn recv_vectored<V: IoVectoredBufMut>(
        &self,
        buffers: V,
    ) -> BufResult<usize, V> {
        let receive = with_driver(|driver| driver.receive_vectored(&self.fd, buffers));
        let (received, (buffers, _)) = receive.await;
        (received.map(|received| received.len), buffers)
    }

    pub(crate) fn send<B: IoBuf>(&self, buffer: B) -> impl Future<Output = BufResult<usize, B>> {
        lazy(|| submit(Send::new(self.fd.clone(), buffer, 0)))
    }

    pub(crate) async fn send_zero_copy<B: IoBuf>(&self, buffer: B) -> BufResult<usize, Loan<B>> {
        with_driver(|driver| driver.send_zero_copy(self.fd.clone(), buffer, 0)).await
    }

    pub(crate) async fn send_vectored_zero_copy<V: IoVectoredBuf>(
        &self,
        buffers: V,
    ) -> BufResult<usize, Loan<V>> {
        with_driver(|driver| driver.send_msg_zero_copy(self.fd.clone(), buffers, None, 0)).await
    }

    pub(crate) async fn send_to_zero_copy<B: IoBuf>(
        &self,
        buffer: B,
        address: SockAddr,
    ) -> BufResult<usize, Loan<B>> {
        with_driver(|driver| driver.send_to_zero_copy(self.fd.clone(), buffer, address, 0)).await
    }

    pub(crate) async fn send_vectored<V: IoVectoredBuf>(&self, buffers: V) -> BufResult<usize, V> {
        let message = SendMsg::new(self.fd.clone(), buffers, [0; 0], None, 0);
        let (sent, (buffers, _)) = submit(message).await;
        (sent, buffers)
    }

    pub(crate) async fn recv_from<B: IoBufMut>(
        &self,
        buffer: B,
    ) -> BufResult<(usize, Option<SockAddr>), B> {
        with_driver(|driver| driver.receive_from(&self.fd, buffer)).await
    }

    pub(crate) async fn peek_from<B: IoBufMut>(
        &self,
        buffer: B,
    ) -> BufResult<(usize, Option<SockAddr>), B> {
        with_driver(|driver| driver.peek_from(&self.fd, buffer)).await
    }

    pub(crate) async fn recv_from_vectored<V: IoVectoredBufMut>(
        &self,
        buffers: V,
    ) -> BufResult<(usize, Option<SockAddr>), V> {
        let receive = with_driver(|driver| driver.receive_vectored(&self.fd, buffers));
        let (received, (buffers, _)) = receive.await;
        let received = received.map(|received| (received.len, received.address));
        (received, buffers)
    }

    pub(crate) async fn send_to<B: IoBuf>(
        &self,
        buffer: B,
        address: SockAddr,
    ) -> BufResult<usize, B> {
        submit(SendTo::new(self.fd.clone(), buffer, address, 0)).await
    }

    pub(crate) async fn send_to_vectored<V: IoVectoredBuf>(
        &self,
        buffers: V,
        address: SockAddr,
    ) -> BufResult<usize, V> {
        let message = SendMsg::new(self.fd.clone(), buffers, [0; 0], Some(address), 0);
        let (sent, (buffers, _)) = submit(message).await;
        (sent, buffers)
    }

    pub(crate) async fn recv_msg<V: IoVectoredBufMut>(
        &self,
        buffers: V,
        ancillary: SocketAncillary,
    ) -> BufResult<Received, (V, SocketAncillary)> {
        with_driver(|driver| driver.receive_ancillary(&self.fd, buffers, ancillary)).await
    }

    pub(crate) async fn send_msg<V: IoVectoredBuf>(
        &self,
        buffers: V,
        ancillary: SocketAncillary,
        address: Option<SockAddr>,
    ) -> BufResult<usize, (V, SocketAncillary)> {
        submit(SendMsg::new(
            self.fd.clone(),
            buffers,
            ancillary,
            address,
            0,
        ))
        .await
    }

    /// Makes the last close reset a TCP connection instead of ending it. Unix sockets have no
    /// reset.
    pub(crate) fn abort(&self) {
        // Best effort: a socket that refuses the option has lost its connection.
        let _ = self.options().set_linger(Some(Duration::ZERO));
    }

    /// Shuts a connected socket down. A reset has shut it down already: shutdown(2) returns ENOTCONN
    /// then, which is a success here.
    pub(crate) async fn shutdown(&self, how: std::net::Shutdown) -> io::Result<()> {
        match submit(Shutdown::new(self.fd.clone(), how)).await {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }
}

/// Conversion between descriptors and socket types: `from_std` and `into_std` of all types.
pub(crate) trait Adopt: Sized {
    /// Takes over a socket. Its file status flags stay: other processes, threads and event loops may
    /// share the open file description, and all operations work in either mode.
    fn adopt(fd: OwnedFd) -> io::Result<Self>;

    /// Fails if there are other handles or operations in flight, or if an arrival is kept for the
    /// next receive or accept.
    fn into_fd(self) -> Result<OwnedFd, Self>;
}

impl Adopt for Socket {
    fn adopt(fd: OwnedFd) -> io::Result<Self> {
        let socket = Self::from(fd);
        socket::adopt(socket.as_fd())?;
        Ok(socket)
    }

    fn into_fd(self) -> Result<OwnedFd, Self> {
        handle::expose(self.fd.as_fd());
        self.fd.try_unwrap().map_err(|fd| Self { fd })
    }
}

impl From<OwnedFd> for Socket {
    fn from(fd: OwnedFd) -> Self {
        Self { fd: fd.into() }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// A datagram's length, sender and completeness; `read` parses the sender's address.
pub(super) fn message<A>(
    received: Received,
    read: impl FnOnce(Option<SockAddr>) -> io::Result<A>,
) -> io::Result<ReceivedMessage<A>> {
    Ok(ReceivedMessage {
        len: received.len,
        address: read(received.address)?,
        truncated: received.flags & sys::MSG_TRUNC != 0,
    })
}

/// The length of a datagram, and the internet address of its sender.
pub(super) fn from_internet(
    (len, sender): (usize, Option<SockAddr>),
) -> io::Result<(usize, std::net::SocketAddr)> {
    Ok((len, internet_sender(sender)?))
}

/// The internet address of a datagram's sender.
pub(super) fn internet_sender(sender: Option<SockAddr>) -> io::Result<std::net::SocketAddr> {
    internet(sender.ok_or_else(|| io::Error::other("a datagram without a sender"))?)
}

/// The internet address that the kernel wrote.
pub(crate) fn internet(address: SockAddr) -> io::Result<std::net::SocketAddr> {
    address
        .as_socket()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not an internet address"))
}

/// The methods that all stream sockets share: reading, writing, halves, descriptors.
macro_rules! stream {
    ($stream:ident, $address:ty) => {
        impl $stream {
            /// Receives without consuming: the next receive gets the same bytes. Waits for at least
            /// one byte; 0 means EOF.
            ///
            /// # Cancellation
            ///
            /// Nothing is lost.
            ///
            /// # Errors
            ///
            /// The OS error of recv(2), for instance `ConnectionReset`, with the buffer.
            pub async fn peek<B: IoBufMut>(&self, buffer: B) -> BufResult<usize, B> {
                self.socket.peek(buffer).await
            }

            /// Receives continuously until EOF, into buffers of a pool.
            ///
            /// # Panics
            ///
            /// If the pool was made for another runtime.
            pub fn recv_stream(&self, pool: &BufferPool) -> RecvStream {
                RecvStream::new(&self.socket, pool)
            }

            /// Sends without copying, where the kernel supports it. The kernel holds the buffer
            /// longer than the send takes: until the peer has acknowledged or read the bytes, or is
            /// gone. So result and buffer come one after the other: await the [`Loan`] to get the
            /// buffer back.
            ///
            /// It pays for large buffers and real networks; on the loopback, kernels copy.
            ///
            /// # Platform differences
            ///
            /// Only with io_uring. Elsewhere, and for sockets without support, this is a write, and
            /// the loan ends at once.
            ///
            /// # Cancellation
            ///
            /// Nothing, a part or all may have been sent. The buffer is dropped when the kernel has
            /// released it.
            ///
            /// # Errors
            ///
            /// The OS error of send(2), for instance `BrokenPipe` or `ConnectionReset`, with the
            /// buffer.
            pub async fn send_zero_copy<B: IoBuf>(&self, buffer: B) -> BufResult<usize, Loan<B>> {
                self.socket.send_zero_copy(buffer).await
            }

            /// Sends several buffers, one after the other, as
            /// [`send_zero_copy`](Self::send_zero_copy). The [`Loan`] returns all of them. A part may
            /// be sent: at most 1,024 buffers at once.
            ///
            /// ```
            /// use compio::{io::AsyncWriteExt, net::TcpStream};
            ///
            /// async fn respond(mut stream: &TcpStream, response: [Vec<u8>; 2]) -> std::io::Result<()> {
            ///     let (sent, loan) = stream.send_vectored_zero_copy(response).await;
            ///     let sent = sent?;
            ///     let [header, body] = loan.await;
            ///     // A stream may take a part only.
            ///     let rest: Vec<u8> = header.into_iter().chain(body).skip(sent).collect();
            ///     stream.write_all(rest).await.0
            /// }
            /// ```
            ///
            /// # Platform differences
            ///
            /// As of [`send_zero_copy`](Self::send_zero_copy). On Linux 6.0, only that method sends
            /// without a copy.
            ///
            /// # Cancellation
            ///
            /// Nothing, a part or all may have been sent. The buffers are dropped when the kernel has
            /// released them.
            ///
            /// # Errors
            ///
            /// The OS error of send(2), for instance `BrokenPipe` or `ConnectionReset`, with the
            /// buffers.
            pub async fn send_vectored_zero_copy<V: IoVectoredBuf>(
                &self,
                buffers: V,
            ) -> BufResult<usize, Loan<V>> {
                self.socket.send_vectored_zero_copy(buffers).await
            }

            /// Borrows it as a reading and a writing half.
            pub fn split(&mut self) -> (ReadHalf<'_, Self>, WriteHalf<'_, Self>) {
                (ReadHalf(self), WriteHalf(self))
            }

            /// Splits it into a reading and a writing half, for two tasks. Dropping the writing
            /// half shuts that direction down.
            pub fn into_split(self) -> (OwnedReadHalf<Self>, OwnedWriteHalf<Self>) {
                let reader = OwnedReadHalf {
                    stream: Self {
                        socket: self.socket.clone(),
                    },
                };
                let on_drop = ShutDown(Some(self.socket.clone()));
                let writer = OwnedWriteHalf {
                    stream: self,
                    on_drop,
                };
                (reader, writer)
            }
        }

        half!(ReadHalf<'_, $stream>, $address);
        half!(WriteHalf<'_, $stream>, $address);
        half!(OwnedReadHalf<$stream>, $address);
        half!(OwnedWriteHalf<$stream>, $address);
        reading_half!(ReadHalf<'_, $stream>);
        reading_half!(OwnedReadHalf<$stream>);
        writing_half!(WriteHalf<'_, $stream>);
        writing_half!(OwnedWriteHalf<$stream>);

        read_write!(
            $stream,
            socket,
            "See [`net`](crate::net) about cancellation."
        );
        descriptor!($stream);
        settle!($stream, "read");
    };
}

/// Reading and writing, also through a reference, with the methods of a field.
macro_rules! read_write {
    ($type:ident, $field:ident, $about:literal) => {
        read_write!(for &$type, $field, $about);
        read_write!(for $type, $field, $about);
    };
    (for $type:ty, $field:ident, $about:literal) => {
        #[doc = $about]
        impl AsyncRead for $type {
            fn read<B: IoBufMut>(
                &mut self,
                buffer: B,
            ) -> impl Future<Output = BufResult<usize, B>> {
                self.$field.recv(buffer)
            }

            fn read_vectored<V: IoVectoredBufMut>(
                &mut self,
                buffers: V,
            ) -> impl Future<Output = BufResult<usize, V>> {
                self.$field.recv_vectored(buffers)
            }

            async fn settle(&mut self) -> bool {
                self.$field.settle().await
            }
        }

        #[doc = $about]
        impl AsyncWrite for $type {
            fn write<B: IoBuf>(&mut self, buffer: B) -> impl Future<Output = BufResult<usize, B>> {
                self.$field.send(buffer)
            }

            fn write_vectored<V: IoVectoredBuf>(
                &mut self,
                buffers: V,
            ) -> impl Future<Output = BufResult<usize, V>> {
                self.$field.send_vectored(buffers)
            }

            async fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }

            async fn shutdown(&mut self) -> io::Result<()> {
                self.$field.shutdown(std::net::Shutdown::Write).await
            }

            fn abort(&mut self) {
                self.$field.abort();
            }
        }
    };
}

/// The methods that both halves of a stream share.
macro_rules! half {
    ($half:ty, $address:ty) => {
        impl $half {
            /// This end's address.
            ///
            /// # Errors
            ///
            /// The OS error of getsockname(2).
            pub fn local_addr(&self) -> io::Result<$address> {
                self.as_stream().local_addr()
            }

            /// The other end's address.
            ///
            /// # Errors
            ///
            /// The OS error of getpeername(2), for instance `NotConnected`.
            pub fn peer_addr(&self) -> io::Result<$address> {
                self.as_stream().peer_addr()
            }
        }
    };
}

macro_rules! reading_half {
    ($half:ty) => {
        impl $half {
            /// Receives without consuming, as the stream's `peek`.
            ///
            /// # Cancellation
            ///
            /// Nothing is lost.
            ///
            /// # Errors
            ///
            /// The OS error of recv(2), for instance `ConnectionReset`, with the buffer.
            pub async fn peek<B: IoBufMut>(&self, buffer: B) -> BufResult<usize, B> {
                self.as_stream().peek(buffer).await
            }

            /// Receives continuously, as the stream's `recv_stream`.
            ///
            /// # Panics
            ///
            /// If the pool was made for another runtime.
            pub fn recv_stream(&self, pool: &BufferPool) -> RecvStream {
                self.as_stream().recv_stream(pool)
            }
        }
    };
}

macro_rules! writing_half {
    ($half:ty) => {
        impl $half {
            /// Sends without copying, as the stream's `send_zero_copy`.
            ///
            /// # Cancellation
            ///
            /// Nothing, a part or all may have been sent.
            ///
            /// # Errors
            ///
            /// The OS error of send(2), for instance `BrokenPipe` or `ConnectionReset`, with the
            /// buffer.
            pub async fn send_zero_copy<B: IoBuf>(&self, buffer: B) -> BufResult<usize, Loan<B>> {
                self.as_stream().send_zero_copy(buffer).await
            }

            /// Sends several buffers without copying, as the stream's `send_vectored_zero_copy`.
            ///
            /// # Cancellation
            ///
            /// Nothing, a part or all may have been sent.
            ///
            /// # Errors
            ///
            /// The OS error of send(2), for instance `BrokenPipe` or `ConnectionReset`, with the
            /// buffers.
            pub async fn send_vectored_zero_copy<V: IoVectoredBuf>(
                &self,
                buffers: V,
            ) -> BufResult<usize, Loan<V>> {
                self.as_stream().send_vectored_zero_copy(buffers).await
            }
        }
    };
}

/// The methods that all sockets share.
macro_rules! descriptor {
    // No listener.
    ($type:ident) => {
        impl Adopt for $type {
            fn adopt(fd: OwnedFd) -> io::Result<Self> {
                Socket::adopt(fd).map(|socket| Self { socket })
            }

            fn into_fd(self) -> Result<OwnedFd, Self> {
                self.socket.into_fd().map_err(|socket| Self { socket })
            }
        }

        descriptor!(borrowed $type);
    };
    // A listener, with its other fields beside the socket. They start empty.
    ($type:ident, acceptor $(, $other:ident)*) => {
        impl Adopt for $type {
            fn adopt(fd: OwnedFd) -> io::Result<Self> {
                let socket = Socket::adopt(fd)?;
                Ok(Self {
                    socket,
                    acceptor: Default::default(),
                    $($other: Default::default(),)*
                })
            }

            fn into_fd(self) -> Result<OwnedFd, Self> {
                if self.acceptor.has_kept() {
                    return Err(self);
                }
                let Self { socket, acceptor $(, $other)* } = self;
                let unwrapped = socket.into_fd();
                unwrapped.map_err(|socket| Self { socket, acceptor $(, $other)* })
            }
        }

        impl $type {
            /// Waits until the kernel has completed each accept of a dropped future. Returns whether
            /// a connection is kept: then the next [`accept`](Self::accept) takes it at once, and
            /// until then `into_std` fails.
            ///
            /// ```
            /// use std::{io, net};
            ///
            /// use compio::net::TcpListener;
            ///
            /// async fn hand_over(mut listener: TcpListener) -> io::Result<net::TcpListener> {
            ///     while listener.settle().await {
            ///         let (stream, _) = listener.accept().await?;
            ///         // Served here.
            ///         drop(stream);
            ///     }
            ///     Ok(listener.into_std().expect("the only handle"))
            /// }
            /// ```
            ///
            /// # Cancellation
            ///
            /// Nothing is lost.
            pub async fn settle(&mut self) -> bool {
                with_driver(|driver| self.acceptor.settle(driver)).await;
                self.socket.settle().await;
                self.acceptor.has_kept()
            }
        }

        descriptor!(borrowed $type);
    };
    (borrowed $type:ident) => {
        impl $type {
            /// Closes the socket and returns the error of the close. A drop ignores that error.
            ///
            /// If there are operations in flight, or other handles of the socket, it stays open until
            /// these are gone.
            ///
            /// # Cancellation
            ///
            /// The socket is closed in any case.
            ///
            /// # Errors
            ///
            /// The OS error of the close. The socket is closed nevertheless.
            pub async fn close(self) -> io::Result<()> {
                self.socket.close().await
            }
        }

        impl AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                compio_driver::os_calls::handle::expose(self.socket.as_fd())
            }
        }

        impl AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                self.socket.as_raw_fd()
            }
        }
    };
}

/// The wait for operations of dropped futures, for types that receive.
macro_rules! settle {
    ($type:ident, $receive:literal) => {
        impl $type {
            /// Waits until the kernel has completed each operation of a dropped future. Returns
            /// whether an arrival is kept: then the next
            #[doc = $receive]
            /// takes it at once, and until then `into_std` fails.
            ///
            /// # Cancellation
            ///
            /// Nothing is lost.
            pub async fn settle(&mut self) -> bool {
                self.socket.settle().await
            }
        }
    };
}

/// Conversion from and to std's type of the same name.
macro_rules! std_type {
    ($type:ident, $std:ty) => {
        /// As `from_std`.
        impl TryFrom<$std> for $type {
            type Error = io::Error;

            fn try_from(socket: $std) -> io::Result<Self> {
                Self::from_std(socket)
            }
        }

        /// As `into_std`.
        impl TryFrom<$type> for $std {
            type Error = $type;

            fn try_from(socket: $type) -> Result<Self, $type> {
                socket.into_std()
            }
        }
    };
}

pub(super) use {descriptor, half, reading_half, settle, stream, writing_half};
pub(crate) use {read_write, std_type};
