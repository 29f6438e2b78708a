//! [`Cursor`]: sequential reads and writes over positioned ones.

use std::io::{self, SeekFrom};

use crate::{
    buf::{BufResult, IntoInner, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut},
    io::{AsyncRead, AsyncReadAt, AsyncSeek, AsyncSize, AsyncWrite, AsyncWriteAt, seek::target},
};

/// Reads and writes a positioned source, such as a file, from start to end.
///
/// It adds a position to [`AsyncReadAt`] and [`AsyncWriteAt`], as [`std::io::Cursor`]
/// does to memory. (That type is a reader here as well.) Several cursors over clones
/// of one file have a position each.
///
/// # Errors
///
/// A failed operation does not move the position. An operation that would move it
/// behind [`u64::MAX`] fails with [`InvalidInput`](io::ErrorKind::InvalidInput).
///
/// # Cancellation
///
/// The position moves when an operation has completed. A dropped read loses only
/// the buffer. A dropped write may have written some of its bytes, and the next
/// write overwrites them.
///
/// ```
/// use std::io::SeekFrom;
///
/// use compio::io::{AsyncReadExt, AsyncSeek, Cursor};
///
/// # pollster::block_on(async {
/// let mut source = Cursor::new(b"abcdef");
/// source.seek(SeekFrom::Current(4)).await?;
/// assert_eq!(source.read_to_end(Vec::new()).await.1, b"ef");
/// assert_eq!(source.position(), 6);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor<F> {
    inner: F,
    position: u64,
}

impl<F> Cursor<F> {
    /// At the start.
    pub fn new(inner: F) -> Self {
        Self { inner, position: 0 }
    }

    /// Where the next operation begins, in bytes from the start.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Sets where the next operation begins, in bytes from the start.
    pub fn set_position(&mut self, position: u64) {
        self.position = position;
    }

    /// The inner reader or writer.
    pub fn get_ref(&self) -> &F {
        &self.inner
    }

    /// The inner reader or writer.
    pub fn get_mut(&mut self) -> &mut F {
        &mut self.inner
    }

    /// Returns the inner reader or writer.
    pub fn into_inner(self) -> F {
        self.inner
    }

    /// Moves the position by the result of an operation.
    fn advance<B>(&mut self, (result, buf): BufResult<usize, B>) -> BufResult<usize, B> {
        let moved = result.and_then(|len| {
            // No buffer in memory is longer than `i64::MAX`.
            self.position = target(self.position, i64::try_from(len).unwrap_or(i64::MAX))?;
            Ok(len)
        });
        (moved, buf)
    }
}

impl<F> IntoInner for Cursor<F> {
    type Inner = F;

    fn into_inner(self) -> F {
        self.inner
    }
}

impl<F: AsyncReadAt> AsyncRead for Cursor<F> {
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        let done = self.inner.read_at(buf, self.position).await;
        self.advance(done)
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, buf: V) -> BufResult<usize, V> {
        let done = self.inner.read_vectored_at(buf, self.position).await;
        self.advance(done)
    }
}

impl<F: AsyncWriteAt> AsyncWrite for Cursor<F> {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        let done = self.inner.write_at(buf, self.position).await;
        self.advance(done)
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, buf: V) -> BufResult<usize, V> {
        let done = self.inner.write_vectored_at(buf, self.position).await;
        self.advance(done)
    }

    /// Does nothing: the cursor buffers nothing.
    async fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Does nothing: there is no peer.
    async fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<F: AsyncSize> AsyncSeek for Cursor<F> {
    async fn seek(&mut self, pos: SeekFrom) -> io::Result<u64> {
        self.position = match pos {
            SeekFrom::Start(position) => position,
            SeekFrom::Current(offset) => target(self.position, offset)?,
            SeekFrom::End(offset) => target(self.inner.size().await?, offset)?,
        };
        Ok(self.position)
    }
}
