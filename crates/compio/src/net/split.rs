//! The halves of a stream: one to read, one to write.

use std::{error::Error, fmt, io};

use compio_driver::AsRawFd;
use compio_io::{
    buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut},
    io::{AsyncRead, AsyncWrite},
};

use super::socket::Socket;

/// The reading half of a stream, made by `split`.
#[derive(Debug)]
pub struct ReadHalf<'a, S>(pub(crate) &'a S);

/// The writing half of a stream, made by `split`.
#[derive(Debug)]
pub struct WriteHalf<'a, S>(pub(crate) &'a S);

/// The reading half of a stream, made by `into_split`.
#[derive(Debug)]
pub struct OwnedReadHalf<S> {
    pub(super) stream: S,
}

/// The writing half of a stream, made by `into_split`. Its drop shuts the direction down, so that
/// the peer reads to EOF.
#[derive(Debug)]
pub struct OwnedWriteHalf<S> {
    pub(super) stream: S,
    pub(super) on_drop: ShutDown,
}

/// Shuts the writing direction down when it is dropped.
#[derive(Debug)]
pub(super) struct ShutDown(pub(super) Option<Socket>);

impl Drop for ShutDown {
    fn drop(&mut self) {
        if let Some(socket) = &self.0 {
            // Best effort: the peer may be gone already.
            let _ = socket.options().shutdown(std::net::Shutdown::Write);
        }
    }
}

impl<'a, S> ReadHalf<'a, S> {
    /// The stream that this is a half of.
    pub fn as_stream(&self) -> &'a S {
        self.0
    }
}

impl<'a, S> WriteHalf<'a, S> {
    /// The stream that this is a half of.
    pub fn as_stream(&self) -> &'a S {
        self.0
    }
}

impl<S: AsRawFd> OwnedReadHalf<S> {
    /// Joins the halves again.
    ///
    /// # Errors
    ///
    /// Both halves, if they are not of the same stream.
    pub fn reunite(self, other: OwnedWriteHalf<S>) -> Result<S, ReuniteError<S>> {
        other.reunite(self)
    }
}

impl<S> OwnedReadHalf<S> {
    /// The stream that this is a half of.
    pub fn as_stream(&self) -> &S {
        &self.stream
    }
}

impl<S: AsRawFd> OwnedWriteHalf<S> {
    /// Joins the halves again.
    ///
    /// # Errors
    ///
    /// Both halves, if they are not of the same stream.
    pub fn reunite(mut self, other: OwnedReadHalf<S>) -> Result<S, ReuniteError<S>> {
        if self.stream.as_raw_fd() != other.stream.as_raw_fd() {
            return Err(ReuniteError(other, self));
        }
        self.on_drop.0 = None;
        Ok(self.stream)
    }
}

impl<S> OwnedWriteHalf<S> {
    /// The stream that this is a half of.
    pub fn as_stream(&self) -> &S {
        &self.stream
    }

    /// Drops the half without shutting the direction down.
    pub fn forget(mut self) {
        self.on_drop.0 = None;
    }
}

/// The error of `reunite`: contains both halves, which were not of the same stream.
#[derive(Debug)]
pub struct ReuniteError<S>(pub OwnedReadHalf<S>, pub OwnedWriteHalf<S>);

impl<S> fmt::Display for ReuniteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves are not of the same stream")
    }
}

impl<S: fmt::Debug> Error for ReuniteError<S> {}

macro_rules! as_stream {
    ($($half:ty),* $(,)?) => {$(
        impl<S> AsRef<S> for $half {
            fn as_ref(&self) -> &S {
                self.as_stream()
            }
        }
    )*};
}

as_stream!(
    ReadHalf<'_, S>,
    WriteHalf<'_, S>,
    OwnedReadHalf<S>,
    OwnedWriteHalf<S>
);

impl<S> AsyncRead for ReadHalf<'_, S>
where
    for<'s> &'s S: AsyncRead,
{
    async fn read<B: IoBufMut>(&mut self, buffer: B) -> BufResult<usize, B> {
        let mut stream = self.0;
        stream.read(buffer).await
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, buffers: V) -> BufResult<usize, V> {
        let mut stream = self.0;
        stream.read_vectored(buffers).await
    }

    async fn settle(&mut self) -> bool {
        let mut stream = self.0;
        AsyncRead::settle(&mut stream).await
    }
}

impl<S> AsyncRead for OwnedReadHalf<S>
where
    for<'s> &'s S: AsyncRead,
{
    async fn read<B: IoBufMut>(&mut self, buffer: B) -> BufResult<usize, B> {
        ReadHalf(&self.stream).read(buffer).await
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, buffers: V) -> BufResult<usize, V> {
        ReadHalf(&self.stream).read_vectored(buffers).await
    }

    async fn settle(&mut self) -> bool {
        ReadHalf(&self.stream).settle().await
    }
}

impl<S> AsyncWrite for WriteHalf<'_, S>
where
    for<'s> &'s S: AsyncWrite,
{
    async fn write<B: IoBuf>(&mut self, buffer: B) -> BufResult<usize, B> {
        let mut stream = self.0;
        stream.write(buffer).await
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, buffers: V) -> BufResult<usize, V> {
        let mut stream = self.0;
        stream.write_vectored(buffers).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        let mut stream = self.0;
        stream.flush().await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        let mut stream = self.0;
        stream.shutdown().await
    }

    fn abort(&mut self) {
        let mut stream = self.0;
        stream.abort();
    }
}

impl<S> AsyncWrite for OwnedWriteHalf<S>
where
    for<'s> &'s S: AsyncWrite,
{
    async fn write<B: IoBuf>(&mut self, buffer: B) -> BufResult<usize, B> {
        WriteHalf(&self.stream).write(buffer).await
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, buffers: V) -> BufResult<usize, V> {
        WriteHalf(&self.stream).write_vectored(buffers).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        WriteHalf(&self.stream).flush().await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        WriteHalf(&self.stream).shutdown().await
    }

    /// Its drop then does not shut the direction down: the peer would take that for a regular EOF.
    fn abort(&mut self) {
        WriteHalf(&self.stream).abort();
        self.on_drop.0 = None;
    }
}
