//! [`Chain`]: two readers, one after the other.

use std::io;

use crate::{
    buf::{BufResult, IoBufMut, IoVectoredBufMut},
    io::{AsyncBufRead, AsyncRead},
};

/// Reads one source to its end, then another. Made by
/// [`chain`](crate::io::AsyncReadExt::chain).
///
/// A read uses one of the two readers, so at the end of the first it is short.
///
/// # Cancellation
///
/// As for the current reader.
///
/// ```
/// use compio::io::{AsyncBufReadExt, AsyncReadExt};
///
/// # pollster::block_on(async {
/// let mut source = (&b"one\nt"[..]).chain(&b"wo\n"[..]);
/// assert_eq!(source.read_line(String::new()).await.1, "one\n");
/// assert_eq!(source.read_line(String::new()).await.1, "two\n");
/// # });
/// ```
#[derive(Debug)]
pub struct Chain<A, B> {
    first: A,
    second: B,
    first_ended: bool,
}

impl<A, B> Chain<A, B> {
    pub(crate) fn new(first: A, second: B) -> Self {
        Self {
            first,
            second,
            first_ended: false,
        }
    }

    /// Both readers.
    pub fn get_ref(&self) -> (&A, &B) {
        (&self.first, &self.second)
    }

    /// Both readers. Bytes read from them directly are missing in the chain.
    pub fn get_mut(&mut self) -> (&mut A, &mut B) {
        (&mut self.first, &mut self.second)
    }

    /// Unwraps both readers.
    pub fn into_inner(self) -> (A, B) {
        (self.first, self.second)
    }
}

impl<A: AsyncRead, B: AsyncRead> AsyncRead for Chain<A, B> {
    async fn read<T: IoBufMut>(&mut self, mut buf: T) -> BufResult<usize, T> {
        if !self.first_ended {
            // A buffer without room makes the result zero before EOF, too.
            let room = buf.buf_capacity() > 0;
            let read;
            (read, buf) = self.first.read(buf).await;
            match read {
                Ok(0) if room => self.first_ended = true,
                read => return (read, buf),
            }
        }
        self.second.read(buf).await
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, mut buf: V) -> BufResult<usize, V> {
        if !self.first_ended {
            let room = buf.total_capacity() > 0;
            let read;
            (read, buf) = self.first.read_vectored(buf).await;
            match read {
                Ok(0) if room => self.first_ended = true,
                read => return (read, buf),
            }
        }
        self.second.read_vectored(buf).await
    }

    async fn settle(&mut self) -> bool {
        if self.first_ended {
            self.second.settle().await
        } else {
            self.first.settle().await
        }
    }
}

impl<A: AsyncBufRead, B: AsyncBufRead> AsyncBufRead for Chain<A, B> {
    async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if !self.first_ended {
            self.first_ended = self.first.fill_buf().await?.is_empty();
        }
        if self.first_ended {
            self.second.fill_buf().await
        } else {
            // Does not wait: there are buffered bytes.
            self.first.fill_buf().await
        }
    }

    fn consume(&mut self, len: usize) {
        if self.first_ended {
            self.second.consume(len);
        } else {
            self.first.consume(len);
        }
    }
}
