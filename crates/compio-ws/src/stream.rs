//! The stream of connections whose transport is chosen at run time.

use std::io;

use compio::net::{TcpStream, UnixStream};
use compio_io::{
    buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut},
    io::{AsyncRead, AsyncWrite},
};
#[cfg(feature = "tls")]
use compio_tls::TlsStream;

/// A TCP stream, a Unix stream, or a TLS stream over TCP: the stream of [`connect`](crate::connect()) and of upgrades.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS over TCP.
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream<TcpStream>>),
}

macro_rules! forward {
    ($this:expr, $stream:ident => $call:expr) => {
        match $this {
            Stream::Tcp($stream) => $call,
            Stream::Unix($stream) => $call,
            #[cfg(feature = "tls")]
            Stream::Tls($stream) => {
                let $stream = &**$stream;
                $call
            }
        }
    };
}

impl AsyncRead for &Stream {
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        forward!(*self, stream => { let mut stream = stream; stream.read(buf).await })
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, buf: V) -> BufResult<usize, V> {
        forward!(*self, stream => { let mut stream = stream; stream.read_vectored(buf).await })
    }

    async fn settle(&mut self) -> bool {
        forward!(*self, stream => { let mut stream = stream; stream.settle().await })
    }
}

impl AsyncWrite for &Stream {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        forward!(*self, stream => { let mut stream = stream; stream.write(buf).await })
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, buf: V) -> BufResult<usize, V> {
        forward!(*self, stream => { let mut stream = stream; stream.write_vectored(buf).await })
    }

    async fn flush(&mut self) -> io::Result<()> {
        forward!(*self, stream => { let mut stream = stream; stream.flush().await })
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        forward!(*self, stream => { let mut stream = stream; AsyncWrite::shutdown(&mut stream).await })
    }

    fn abort(&mut self) {
        forward!(*self, stream => { let mut stream = stream; AsyncWrite::abort(&mut stream) });
    }
}
