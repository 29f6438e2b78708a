//! A body that is read from a file.

use std::{
    fmt,
    future::poll_fn,
    io,
    ops::Range,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use compio::{buf::BufResult, io::AsyncReadAt};
use http_body::{Body, Frame, SizeHint};

/// The longest read, and so the longest frame.
const READ: usize = 64 * 1024;

/// A body with a range of a file, or of any other source that can be read at positions.
///
/// It reads 64 KiB at a time, when the peer has room for them. So a slow peer costs one buffer, and a dropped body
/// reads no further.
///
/// Its length is known: hyper sets `content-length`. The source may change while it is read: if it ends before the
/// range, the body fails with [`UnexpectedEof`](io::ErrorKind::UnexpectedEof), and hyper closes the connection.
///
/// ```
/// use compio::task::block_on;
/// use compio_http::FileBody;
/// use http_body_util::BodyExt;
///
/// block_on(async {
///     let body = FileBody::start(&b"abcdef"[..], 1..4).await?;
///     assert_eq!(body.collect().await?.to_bytes(), "bcd");
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
///
/// `compio::fs::File` is such a source; its length is in its metadata. The example `files` of `examples/services` is a
/// server of a folder.
pub struct FileBody<R> {
    source: Rc<R>,
    next: u64,
    end: u64,
    /// The bytes before `next` that are not sent yet.
    first: Option<Bytes>,
    /// The read in flight.
    reading: Option<Reading>,
}

/// A read, with its buffer.
type Reading = Pin<Box<dyn Future<Output = BufResult<usize, Vec<u8>>>>>;

impl<R: AsyncReadAt + 'static> FileBody<R> {
    /// A body of the bytes in this range, of which it reads the first ones now.
    ///
    /// hyper sends them together with the head of the response: one packet and one wake-up of the peer less than with
    /// [`new`](Self::new). And the service can answer a failed read with an error.
    ///
    /// # Errors
    ///
    /// Errors of the source; [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if it ends at the start of a range that is not
    /// empty.
    ///
    /// # Cancellation
    ///
    /// Loses nothing but the buffer.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    pub async fn start(source: R, range: Range<u64>) -> io::Result<Self> {
        let mut body = Self::new(source, range);
        if body.next < body.end {
            body.first = Some(poll_fn(|cx| body.poll_read(cx)).await?);
        }
        Ok(body)
    }

    /// A body of the bytes in this range. It begins to read when it is sent.
    ///
    /// # Panics
    ///
    /// If the range ends before its start.
    #[track_caller]
    pub fn new(source: R, range: Range<u64>) -> Self {
        assert!(range.start <= range.end, "not a range: {range:?}");
        Self {
            source: Rc::new(source),
            next: range.start,
            end: range.end,
            first: None,
            reading: None,
        }
    }

    /// Reads the next bytes, of which there are some.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let left = self.end - self.next;
        let reading = self.reading.get_or_insert_with(|| {
            let (source, position) = (Rc::clone(&self.source), self.next);
            let len = usize::try_from(left).map_or(READ, |left| left.min(READ));
            Box::pin(async move { source.read_at(Vec::with_capacity(len), position).await })
        });
        let (read, mut buffer) = ready!(reading.as_mut().poll(cx));
        self.reading = None;
        let len = match read {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            read => read,
        };
        let len = len.inspect_err(|_| self.next = self.end)?;
        // A buffer may have more room than was requested.
        let len = usize::try_from(left).map_or(len, |left| left.min(len));
        buffer.truncate(len);
        self.next += len as u64;
        Poll::Ready(Ok(buffer.into()))
    }

    /// The number of bytes that are not sent yet.
    fn left(&self) -> u64 {
        let first = self.first.as_ref().map_or(0, Bytes::len);
        self.end - self.next + first as u64
    }
}

impl<R: AsyncReadAt + 'static> Body for FileBody<R> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if self.next == self.end {
            return Poll::Ready(None);
        }
        self.poll_read(cx).map_ok(Frame::data).map(Some)
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}

impl<R> fmt::Debug for FileBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileBody")
            .field("next", &self.next)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
