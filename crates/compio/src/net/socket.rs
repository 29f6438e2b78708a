//! What all sockets share.

use std::io;

use compio_driver::{
    AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd, SharedFd, SockAddr,
    op::{Accept, Connect, Recv, RecvFrom, RecvMsg, Send, SendMsg, SendTo, Shutdown},
};
use compio_io::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut};
use socket2::{Domain, Protocol, SockRef, Type};

use crate::runtime::submit;

/// How many connections may wait to be accepted. The kernel caps it at `somaxconn`, of which this is
/// the default.
pub(super) const BACKLOG: i32 = 4096;

/// A socket of any kind. Clones are handles of the same socket.
#[derive(Debug, Clone)]
pub(crate) struct Socket {
    fd: SharedFd,
}

impl Socket {
    pub(super) fn new(domain: Domain, kind: Type, protocol: Option<Protocol>) -> io::Result<Self> {
        // A plain call: it never waits.
        let socket = socket2::Socket::new(domain, kind, protocol)?;
        Ok(OwnedFd::from(socket).into())
    }

    pub(crate) fn options(&self) -> SockRef<'_> {
        SockRef::from(self)
    }

    pub(super) async fn connect(&self, address: SockAddr) -> io::Result<()> {
        submit(Connect::new(self.fd.clone(), address)).await
    }

    pub(super) async fn accept(&self) -> io::Result<(Self, SockAddr)> {
        let (fd, address) = submit(Accept::new(self.fd.clone())).await?;
        Ok((fd.into(), address))
    }

    pub(super) async fn recv<B: IoBufMut>(&self, buffer: B) -> BufResult<usize, B> {
        submit(Recv::new(self.fd.clone(), buffer, 0)).await
    }

    pub(super) async fn recv_vectored<V: IoVectoredBufMut>(
        &self,
        buffers: V,
    ) -> BufResult<usize, V> {
        let message = RecvMsg::new(self.fd.clone(), buffers, [0; 0], 0);
        let (received, (buffers, _)) = submit(message).await;
        (received.map(|received| received.len), buffers)
    }

    pub(super) async fn send<B: IoBuf>(&self, buffer: B) -> BufResult<usize, B> {
        submit(Send::new(self.fd.clone(), buffer, 0)).await
    }

    pub(super) async fn send_vectored<V: IoVectoredBuf>(&self, buffers: V) -> BufResult<usize, V> {
        let message = SendMsg::new(self.fd.clone(), buffers, [0; 0], None, 0);
        let (sent, (buffers, _)) = submit(message).await;
        (sent, buffers)
    }

    pub(super) async fn recv_from<B: IoBufMut>(
        &self,
        buffer: B,
    ) -> BufResult<(usize, Option<SockAddr>), B> {
        submit(RecvFrom::new(self.fd.clone(), buffer, 0)).await
    }

    pub(super) async fn send_to<B: IoBuf>(
        &self,
        buffer: B,
        address: SockAddr,
    ) -> BufResult<usize, B> {
        submit(SendTo::new(self.fd.clone(), buffer, address, 0)).await
    }

    pub(super) async fn shutdown(&self, how: std::net::Shutdown) -> io::Result<()> {
        submit(Shutdown::new(self.fd.clone(), how)).await
    }
}

/// Between descriptors and what is made of them: `from_std` and `into_std` of all types.
pub(crate) trait Adopt: Sized {
    /// Takes over a socket that may have been made by others, in whatever mode they left it: the
    /// kernel shall wait, not refuse.
    fn adopt(fd: OwnedFd) -> io::Result<Self>;

    /// Fails if there are other handles or operations under way.
    fn into_fd(self) -> Result<OwnedFd, Self>;
}

impl Adopt for Socket {
    fn adopt(fd: OwnedFd) -> io::Result<Self> {
        let socket = Self::from(fd);
        socket.options().set_nonblocking(false)?;
        Ok(socket)
    }

    fn into_fd(self) -> Result<OwnedFd, Self> {
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

/// The internet address that the kernel wrote.
pub(super) fn internet(address: SockAddr) -> io::Result<std::net::SocketAddr> {
    address
        .as_socket()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not an internet address"))
}

/// What is the same for every stream socket: reading, writing, halves, descriptors.
macro_rules! stream {
    ($stream:ident) => {
        impl $stream {
            /// Looks at it as a reading and a writing half.
            pub fn split(&mut self) -> (ReadHalf<'_, Self>, WriteHalf<'_, Self>) {
                (ReadHalf(self), WriteHalf(self))
            }

            /// Takes it apart into a reading and a writing half, for two tasks. Dropping the
            /// writing half shuts that direction down.
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

        read_write!(
            $stream,
            socket,
            "See [`net`](crate::net) about cancellation."
        );
        descriptor!($stream);
    };
}

/// Reading and writing, through a reference, too, by the methods of a field.
macro_rules! read_write {
    ($type:ident, $field:ident, $about:literal) => {
        #[doc = $about]
        impl AsyncRead for &$type {
            async fn read<B: IoBufMut>(&mut self, buffer: B) -> BufResult<usize, B> {
                self.$field.recv(buffer).await
            }

            async fn read_vectored<V: IoVectoredBufMut>(
                &mut self,
                buffers: V,
            ) -> BufResult<usize, V> {
                self.$field.recv_vectored(buffers).await
            }
        }

        #[doc = $about]
        impl AsyncWrite for &$type {
            async fn write<B: IoBuf>(&mut self, buffer: B) -> BufResult<usize, B> {
                self.$field.send(buffer).await
            }

            async fn write_vectored<V: IoVectoredBuf>(
                &mut self,
                buffers: V,
            ) -> BufResult<usize, V> {
                self.$field.send_vectored(buffers).await
            }

            async fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }

            async fn shutdown(&mut self) -> io::Result<()> {
                self.$field.shutdown(std::net::Shutdown::Write).await
            }
        }

        #[doc = $about]
        impl AsyncRead for $type {
            async fn read<B: IoBufMut>(&mut self, buffer: B) -> BufResult<usize, B> {
                (&*self).read(buffer).await
            }

            async fn read_vectored<V: IoVectoredBufMut>(
                &mut self,
                buffers: V,
            ) -> BufResult<usize, V> {
                (&*self).read_vectored(buffers).await
            }
        }

        #[doc = $about]
        impl AsyncWrite for $type {
            async fn write<B: IoBuf>(&mut self, buffer: B) -> BufResult<usize, B> {
                (&*self).write(buffer).await
            }

            async fn write_vectored<V: IoVectoredBuf>(
                &mut self,
                buffers: V,
            ) -> BufResult<usize, V> {
                (&*self).write_vectored(buffers).await
            }

            async fn flush(&mut self) -> io::Result<()> {
                (&*self).flush().await
            }

            async fn shutdown(&mut self) -> io::Result<()> {
                (&*self).shutdown().await
            }
        }
    };
}

/// What is the same for everything that is a socket.
macro_rules! descriptor {
    ($type:ident) => {
        impl Adopt for $type {
            fn adopt(fd: OwnedFd) -> io::Result<Self> {
                Socket::adopt(fd).map(|socket| Self { socket })
            }

            fn into_fd(self) -> Result<OwnedFd, Self> {
                self.socket.into_fd().map_err(|socket| Self { socket })
            }
        }

        impl AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.socket.as_fd()
            }
        }

        impl AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                self.socket.as_raw_fd()
            }
        }
    };
}

pub(crate) use read_write;
pub(super) use {descriptor, stream};
