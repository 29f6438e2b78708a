//! [`Take`]: a reader that ends early.

use std::io;

use crate::{
    buf::{BufResult, IntoInner, IoBufMut},
    io::{AsyncBufRead, AsyncRead, settle},
};

/// A reader that ends after a number of bytes. Made by
/// [`take`](crate::io::AsyncReadExt::take).
///
/// It never reads behind the limit. Vectored reads fill the first buffer only.
///
/// ```
/// use compio::io::{AsyncRead, AsyncReadExt};
///
/// # pollster::block_on(async {
/// let mut head = (&b"headbody"[..]).take(4);
/// let (_, bytes) = head.read(Vec::with_capacity(64)).await;
/// assert_eq!((&bytes[..], head.limit()), (&b"head"[..], 0));
/// assert_eq!(head.into_inner(), b"body");
/// # });
/// ```
#[derive(Debug)]
pub struct Take<R> {
    reader: R,
    limit: u64,
}

impl<R> Take<R> {
    pub(crate) fn new(reader: R, limit: u64) -> Self {
        Self { reader, limit }
    }

    /// How many bytes may still be read.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Sets how many bytes may still be read, independent of earlier reads.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// The reader.
    pub fn get_ref(&self) -> &R {
        &self.reader
    }

    /// The reader. Bytes read from it directly do not count.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// Unwraps the reader.
    pub fn into_inner(self) -> R {
        self.reader
    }

    fn count(&mut self, read: usize) {
        self.limit = self
            .limit
            .checked_sub(read as u64)
            .expect("a reader claims more bytes than it had room for");
    }
}

impl<R> IntoInner for Take<R> {
    type Inner = R;

    fn into_inner(self) -> R {
        self.reader
    }
}

impl<R: AsyncRead> AsyncRead for Take<R> {
    /// # Cancellation
    ///
    /// As for the reader. Bytes lost in a dropped read do not count towards the
    /// limit.
    async fn read<B: IoBufMut>(&mut self, mut buf: B) -> BufResult<usize, B> {
        let capacity = buf.buf_capacity();
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        if limit == 0 {
            settle(&mut buf, 0);
            return (Ok(0), buf);
        }
        if capacity <= limit {
            let (read, buf) = self.reader.read(buf).await;
            if let Ok(n) = read {
                self.count(n);
            }
            return (read, buf);
        }
        let (read, window) = self.reader.read(buf.slice(..limit)).await;
        let mut buf = window.into_inner();
        if let Ok(n) = read {
            self.count(n);
            // The slice only lengthens the buffer.
            settle(&mut buf, n);
        }
        (read, buf)
    }

    async fn settle(&mut self) -> bool {
        self.limit > 0 && self.reader.settle().await
    }
}

impl<R: AsyncBufRead> AsyncBufRead for Take<R> {
    async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.limit == 0 {
            return Ok(&[]);
        }
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let bytes = self.reader.fill_buf().await?;
        Ok(&bytes[..bytes.len().min(limit)])
    }

    fn consume(&mut self, len: usize) {
        self.count(len);
        self.reader.consume(len);
    }
}
