//! [`empty`], [`sink`], [`repeat`]: a reader at EOF, a writer that discards its
//! bytes, and a reader of one repeated byte. They wait for nothing but a budget:
//! see [`coop`](crate::coop).

use std::io;

use crate::{
    buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut},
    coop::consume_budget,
    io::{AsyncBufRead, AsyncRead, AsyncWrite, settle},
};

/// A reader at EOF, and a writer that discards its bytes. Made by [`empty`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Empty;

/// A writer that discards its bytes. Made by [`sink`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Sink;

/// A reader of one repeated byte. Made by [`repeat`].
#[derive(Clone, Debug)]
pub struct Repeat(u8);

/// Returns a reader at EOF.
///
/// ```
/// use compio::io::{AsyncReadExt, empty};
///
/// # pollster::block_on(async {
/// let (read, buffer) = empty().read_to_end(b"abc".to_vec()).await;
/// assert_eq!((read.unwrap(), &buffer[..]), (0, &b"abc"[..]));
/// # });
/// ```
pub fn empty() -> Empty {
    Empty
}

/// Returns a writer that discards its bytes.
///
/// ```
/// use compio::io::{copy, sink};
///
/// # pollster::block_on(async {
/// assert_eq!(copy(&mut &b"abc"[..], &mut sink()).await.unwrap(), 3);
/// # });
/// ```
pub fn sink() -> Sink {
    Sink
}

/// Returns a reader that fills every buffer with `byte` and never ends.
///
/// ```
/// use compio::io::{AsyncReadExt, repeat};
///
/// # pollster::block_on(async {
/// let (_, buffer) = repeat(b'-').take(3).read_to_end(Vec::new()).await;
/// assert_eq!(buffer, b"---");
/// # });
/// ```
pub fn repeat(byte: u8) -> Repeat {
    Repeat(byte)
}

impl AsyncRead for Empty {
    async fn read<B: IoBufMut>(&mut self, mut buf: B) -> BufResult<usize, B> {
        consume_budget().await;
        settle(&mut buf, 0);
        (Ok(0), buf)
    }
}

impl AsyncBufRead for Empty {
    async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        consume_budget().await;
        Ok(&[])
    }

    fn consume(&mut self, _len: usize) {}
}

impl AsyncRead for Repeat {
    async fn read<B: IoBufMut>(&mut self, mut buf: B) -> BufResult<usize, B> {
        consume_budget().await;
        let result = buf.init_with(|room| {
            room.fill(self.0);
            Ok(room.len())
        });
        (result, buf)
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, mut buf: V) -> BufResult<usize, V> {
        consume_budget().await;
        let total = buf.fill(self.0);
        (Ok(total), buf)
    }
}

macro_rules! write_nowhere {
    ($($writer:ty),*) => {$(
        impl AsyncWrite for $writer {
            async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
                consume_budget().await;
                (Ok(buf.buf_len()), buf)
            }

            async fn write_vectored<V: IoVectoredBuf>(&mut self, buf: V) -> BufResult<usize, V> {
                consume_budget().await;
                (Ok(buf.total_len()), buf)
            }

            async fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }

            async fn shutdown(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
    )*};
}

write_nowhere!(Empty, Sink);
