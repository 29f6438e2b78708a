//! [`join`] and [`split`]: a stream out of a reader and a writer, and two halves
//! out of a stream.
//!
//! A stream that is read and written only through `&mut` cannot be split. A read
//! would hold a lock while it waits, so no write could start before bytes arrive.

use std::{future::poll_fn, io, rc::Rc};

use crate::{
    buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut},
    io::{
        AsyncBufRead, AsyncRead, AsyncWrite, PollReader, PollWriter, forward::forward_by_reference,
    },
};

/// A reader and a writer as one stream. Made by [`join`].
#[derive(Clone, Debug)]
pub struct Join<R, W> {
    reader: R,
    writer: W,
}

/// Combines a reader and a writer into one stream.
///
/// ```
/// use compio::io::{AsyncReadExt, AsyncWriteExt, join};
///
/// # pollster::block_on(async {
/// let mut stream = join(&b"question"[..], Vec::new());
/// let (_, question) = stream.read_to_end(Vec::new()).await;
/// stream.write_all("answer").await.0?;
/// assert_eq!(question, b"question");
/// assert_eq!(stream.into_inner().1, b"answer");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub fn join<R, W>(reader: R, writer: W) -> Join<R, W> {
    Join { reader, writer }
}

impl<R, W> Join<R, W> {
    /// The reader.
    pub fn reader(&self) -> &R {
        &self.reader
    }

    /// The reader.
    pub fn reader_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// The writer.
    pub fn writer(&self) -> &W {
        &self.writer
    }

    /// The writer.
    pub fn writer_mut(&mut self) -> &mut W {
        &mut self.writer
    }

    /// Returns the reader and the writer.
    pub fn into_inner(self) -> (R, W) {
        (self.reader, self.writer)
    }
}

impl<R, W> Join<PollReader<R>, PollWriter<W>> {
    /// Unwraps reader and writer after their last operations, and returns the bytes that were read ahead.
    ///
    /// It [flushes](AsyncWrite::flush) the writer and [cancels](PollReader::cancel) the read in flight,
    /// which a library that polls this stream may have left behind. This gives back a connection
    /// after an HTTP upgrade:
    ///
    /// ```
    /// use compio::io::{AsyncWriteExt, PollReader, PollWriter, duplex, join, split};
    /// # use std::task::{Context, Waker};
    ///
    /// # pollster::block_on(async {
    /// let (mut client, server) = duplex(64);
    /// let (reader, writer) = split(server);
    /// let mut stream = join(PollReader::new(reader), PollWriter::new(writer));
    /// // A library has polled the stream, and waits for more bytes.
    /// # assert!(stream.reader_mut().poll_fill_buf(&mut Context::from_waker(Waker::noop())).is_pending());
    /// client.write_all("ahead").await.0?;
    ///
    /// let (reader, writer, ahead) = stream.into_parts().await?;
    /// assert_eq!(ahead, b"ahead");
    /// let server = reader.unsplit(writer).expect("two halves of one stream");
    /// # drop(server);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// Errors of the writer, for the flush or for an earlier write, and of the read in flight. Use
    /// [`into_inner`](Self::into_inner) to get the parts of a broken connection.
    ///
    /// # Cancellation
    ///
    /// The stream is dropped: accepted bytes are still written, and bytes that were read ahead are lost.
    pub async fn into_parts(mut self) -> io::Result<(R, W, Vec<u8>)> {
        poll_fn(|cx| self.writer.poll_flush(cx)).await?;
        self.reader.cancel().await?;
        let (reader, bytes) = self.reader.into_parts().map_err(|_| in_flight())?;
        let writer = self.writer.into_inner().map_err(|_| in_flight())?;
        Ok((reader, writer, bytes))
    }
}

/// After a flush and a cancel, no operation is in flight.
fn in_flight() -> io::Error {
    io::Error::other("an operation is still in flight")
}

impl<R: AsyncRead, W> AsyncRead for Join<R, W> {
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        self.reader.read(buf).await
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, buf: V) -> BufResult<usize, V> {
        self.reader.read_vectored(buf).await
    }

    async fn settle(&mut self) -> bool {
        self.reader.settle().await
    }
}

impl<R: AsyncBufRead, W> AsyncBufRead for Join<R, W> {
    async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf().await
    }

    fn consume(&mut self, len: usize) {
        self.reader.consume(len);
    }
}

impl<R, W: AsyncWrite> AsyncWrite for Join<R, W> {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        self.writer.write(buf).await
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, buf: V) -> BufResult<usize, V> {
        self.writer.write_vectored(buf).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.writer.flush().await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.writer.shutdown().await
    }

    fn abort(&mut self) {
        self.writer.abort();
    }
}

/// The half that reads. Made by [`split`].
#[derive(Debug)]
pub struct ReadHalf<S>(Rc<S>);

/// The half that writes. Made by [`split`].
#[derive(Debug)]
pub struct WriteHalf<S>(Rc<S>);

/// Splits a stream into a half that reads and a half that writes, which can be
/// used at the same time, on one thread.
///
/// It takes streams that are read and written through shared references, as
/// sockets are. Dropping a half does nothing until the other is dropped, too;
/// [`shutdown`](AsyncWrite::shutdown) ends the direction.
///
/// ```
/// use compio::io::{AsyncReadExt, AsyncWriteExt, duplex, split};
///
/// # pollster::block_on(async {
/// let (stream, mut other) = duplex(64);
/// let (mut reader, mut writer) = split(stream);
/// writer.write_all("hello").await.0?;
/// other.write_all("world").await.0?;
/// assert_eq!(reader.read_exact([0; 5]).await.1, *b"world");
/// reader.unsplit(writer).expect("two halves of one stream");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub fn split<S>(stream: S) -> (ReadHalf<S>, WriteHalf<S>)
where
    for<'s> &'s S: AsyncRead + AsyncWrite,
{
    let stream = Rc::new(stream);
    (ReadHalf(Rc::clone(&stream)), WriteHalf(stream))
}

impl<S> ReadHalf<S> {
    /// The stream of this half.
    pub fn get_ref(&self) -> &S {
        &self.0
    }

    /// Combines the halves into their stream again.
    ///
    /// # Errors
    ///
    /// Returns both halves if they are not of the same stream.
    pub fn unsplit(self, other: WriteHalf<S>) -> Result<S, (Self, WriteHalf<S>)> {
        if !Rc::ptr_eq(&self.0, &other.0) {
            return Err((self, other));
        }
        drop(other);
        // Each stream has two handles, and one is left.
        Ok(Rc::into_inner(self.0).expect("a third half"))
    }
}

impl<S> WriteHalf<S> {
    /// The stream of this half.
    pub fn get_ref(&self) -> &S {
        &self.0
    }
}

forward_by_reference!(AsyncRead for ReadHalf by get_ref);
forward_by_reference!(AsyncWrite for WriteHalf by get_ref);
