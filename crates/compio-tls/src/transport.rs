//! The encrypted side of a connection: a stream whose operations survive the futures that wait for them.
//!
//! [`Completion`] keeps each receive and each send of a compio stream in the connection, with its owned
//! buffer. A stream that is polled with borrowed buffers can be another [`Transport`].

use std::{
    fmt, io,
    rc::Rc,
    task::{Context, Poll, ready},
};

use compio_io::io::{AsyncRead, AsyncWrite, PollReader, PollWriter};

/// Passes encrypted bytes to a writer, which takes a prefix. Returns the error of the writer.
pub(crate) type Output<'a> = &'a mut dyn FnMut(&mut dyn io::Write) -> io::Result<usize>;

/// A stream of encrypted bytes. A call that returns `Pending` is repeated by the next call of its direction.
pub(crate) trait Transport {
    /// The bytes that are received and not consumed.
    fn received(&self) -> &[u8];

    fn consume(&mut self, len: usize);

    /// Receives more bytes if there are none: their number, 0 at EOF.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>>;

    /// Waits until the last send is complete, then begins to send bytes that `output` writes.
    fn poll_send(&mut self, cx: &mut Context<'_>, output: Output<'_>) -> Poll<io::Result<()>>;

    /// Waits until all sends are complete.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Flushes the stream, and releases the memory of the sends.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends the sending direction.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Records that the peer must not take the end of the stream for a regular one.
    fn abort(&mut self);
}

/// The largest receive.
const RECEIVE: usize = 64 * 1024;

/// The largest send: a full queue of rustls, which limits the plaintext to 64 KiB, and its overhead.
const SEND: usize = 80 * 1024;

/// A stream of compio's traits.
pub(crate) struct Completion<S> {
    stream: Rc<S>,
    reader: PollReader<Rc<S>>,
    writer: PollWriter<Rc<S>>,
}

impl<S: 'static> Completion<S>
where
    for<'s> &'s S: AsyncRead + AsyncWrite,
{
    pub(crate) fn new(stream: S) -> Self {
        let stream = Rc::new(stream);
        Self {
            reader: PollReader::with_capacity(RECEIVE, Rc::clone(&stream)),
            writer: PollWriter::with_capacity(SEND, Rc::clone(&stream)),
            stream,
        }
    }
}

impl<S> Completion<S> {
    pub(crate) fn stream(&self) -> &Rc<S> {
        &self.stream
    }
}

impl<S> Transport for Completion<S>
where
    for<'s> &'s S: AsyncRead + AsyncWrite,
{
    fn received(&self) -> &[u8] {
        self.reader.buffer()
    }

    fn consume(&mut self, len: usize) {
        self.reader.consume(len);
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.reader.poll_fill_buf(cx).map_ok(<[u8]>::len)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, output: Output<'_>) -> Poll<io::Result<()>> {
        let writer = &mut self.writer;
        match output(&mut Gather { writer, cx }) {
            Ok(_) => Poll::Ready(Ok(())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.writer.poll_gather(cx, std::iter::empty()))?;
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.poll_shutdown(cx)
    }

    fn abort(&mut self) {
        (&*self.stream).abort();
    }
}

/// Copies the records of a session into the buffer of one send.
struct Gather<'a, 'c, S> {
    writer: &'a mut PollWriter<Rc<S>>,
    cx: &'a mut Context<'c>,
}

impl<S> io::Write for Gather<'_, '_, S>
where
    for<'s> &'s S: AsyncRead + AsyncWrite,
{
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[io::IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let slices = slices.iter().map(|slice| &**slice);
        match self.writer.poll_gather(self.cx, slices) {
            Poll::Ready(written) => written,
            // The operation in flight has registered the waker.
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<S: fmt::Debug> fmt::Debug for Completion<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stream.fmt(f)
    }
}
