//! [`empty`], [`sink`], [`repeat`]: where nothing comes from, where everything
//! vanishes, and one byte without end. None of them waits for anything but a
//! budget: see [`coop`](crate::coop).

use std::io;

use crate::{
    buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut},
    coop::consume_budget,
    io::{AsyncBufRead, AsyncRead, AsyncWrite, settle},
};

/// A reader that has ended, and a writer that takes everything and keeps
/// nothing. Made by [`empty`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Empty;

/// A writer that takes everything and keeps nothing. Made by [`sink`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Sink;

/// A reader of one byte, again and again. Made by [`repeat`].
#[derive(Clone, Debug)]
pub struct Repeat(u8);

/// A reader that has ended.
///
/// ```
/// use compio_io::io::{AsyncReadExt, empty};
///
/// # pollster::block_on(async {
/// let (read, buffer) = empty().read_to_end(b"abc".to_vec()).await;
/// assert_eq!((read.unwrap(), &buffer[..]), (0, &b"abc"[..]));
/// # });
/// ```
pub fn empty() -> Empty {
    Empty
}

/// A writer that takes everything and keeps nothing.
///
/// ```
/// use compio_io::io::{copy, sink};
///
/// # pollster::block_on(async {
/// assert_eq!(copy(&mut &b"abc"[..], &mut sink()).await.unwrap(), 3);
/// # });
/// ```
pub fn sink() -> Sink {
    Sink
}

/// A reader that fills every buffer with `byte` and never ends.
///
/// ```
/// use compio_io::io::{AsyncReadExt, repeat};
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
