//! Memory as source and sink: slices, vectors, cursors. Operations wait for
//! nothing but a budget, see [`coop`](crate::coop). So there is nothing to
//! cancel, and no byte is ever lost.
//!
//! Positions and growth are as in the standard library's `Read` and `Write`.

use std::{
    cell::RefCell,
    io::{self, Cursor, Seek, SeekFrom, Write},
};

use crate::{
    buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut},
    coop::consume_budget,
    io::{AsyncBufRead, AsyncRead, AsyncReadAt, AsyncSeek, AsyncSize, AsyncWrite, AsyncWriteAt},
};

/// The bytes of `source` from `pos` on; none behind its end.
fn from_position(source: &[u8], pos: u64) -> &[u8] {
    let begin = usize::try_from(pos).unwrap_or(usize::MAX);
    source.get(begin..).unwrap_or_default()
}

/// The bytes behind the position of a cursor.
fn remaining<T: AsRef<[u8]>>(cursor: &Cursor<T>) -> &[u8] {
    from_position(cursor.get_ref().as_ref(), cursor.position())
}

/// Reads the first bytes of the slice and moves its start behind them.
impl AsyncRead for &[u8] {
    async fn read<B: IoBufMut>(&mut self, mut buf: B) -> BufResult<usize, B> {
        consume_budget().await;
        let len = buf.init_from(self);
        *self = &self[len..];
        (Ok(len), buf)
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, mut buf: V) -> BufResult<usize, V> {
        consume_budget().await;
        let len = buf.init_from(self);
        *self = &self[len..];
        (Ok(len), buf)
    }
}

impl AsyncBufRead for &[u8] {
    async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        consume_budget().await;
        Ok(self)
    }

    fn consume(&mut self, len: usize) {
        *self = &self[len..];
    }
}

/// Reads from the cursor's position and moves it.
impl<T: AsRef<[u8]>> AsyncRead for Cursor<T> {
    async fn read<B: IoBufMut>(&mut self, mut buf: B) -> BufResult<usize, B> {
        consume_budget().await;
        let len = buf.init_from(remaining(self));
        self.set_position(self.position() + len as u64);
        (Ok(len), buf)
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, mut buf: V) -> BufResult<usize, V> {
        consume_budget().await;
        let len = buf.init_from(remaining(self));
        self.set_position(self.position() + len as u64);
        (Ok(len), buf)
    }
}

impl<T: AsRef<[u8]>> AsyncBufRead for Cursor<T> {
    async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        consume_budget().await;
        Ok(remaining(self))
    }

    fn consume(&mut self, len: usize) {
        self.set_position(self.position() + len as u64);
    }
}

/// Moves as the standard library's cursor does.
impl<T: AsRef<[u8]>> AsyncSeek for Cursor<T> {
    async fn seek(&mut self, pos: SeekFrom) -> io::Result<u64> {
        Seek::seek(self, pos)
    }
}

impl AsyncSize for [u8] {
    async fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

impl AsyncReadAt for [u8] {
    async fn read_at<B: IoBufMut>(&self, mut buf: B, pos: u64) -> BufResult<usize, B> {
        consume_budget().await;
        (Ok(buf.init_from(from_position(self, pos))), buf)
    }

    async fn read_vectored_at<V: IoVectoredBufMut>(
        &self,
        mut buf: V,
        pos: u64,
    ) -> BufResult<usize, V> {
        consume_budget().await;
        (Ok(buf.init_from(from_position(self, pos))), buf)
    }
}

/// Owners of bytes, which read as the bytes do.
macro_rules! read_at_as_slice {
    ($([$($generics:tt)*] $owner:ty),*) => {$(
        impl<$($generics)*> AsyncSize for $owner {
            async fn size(&self) -> io::Result<u64> {
                self.as_slice().size().await
            }
        }

        impl<$($generics)*> AsyncReadAt for $owner {
            async fn read_at<B: IoBufMut>(&self, buf: B, pos: u64) -> BufResult<usize, B> {
                self.as_slice().read_at(buf, pos).await
            }

            async fn read_vectored_at<V: IoVectoredBufMut>(
                &self,
                buf: V,
                pos: u64,
            ) -> BufResult<usize, V> {
                self.as_slice().read_vectored_at(buf, pos).await
            }
        }
    )*};
}

read_at_as_slice!([] Vec<u8>, [const N: usize] [u8; N]);

/// Writes slice after slice. A sink that takes only a part of a slice is full, and
/// takes nothing of the next one.
fn gather<V: IoVectoredBuf>(sink: &mut impl Write, buf: &V) -> io::Result<usize> {
    buf.slices().map(|slice| sink.write(slice)).sum()
}

/// Sinks in memory, written with the standard library's `Write`.
macro_rules! write_as_std {
    ($($(#[$doc:meta])* [$($generics:tt)*] $sink:ty),* $(,)?) => {$(
        $(#[$doc])*
        impl<$($generics)*> AsyncWrite for $sink {
            async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
                consume_budget().await;
                (Write::write(self, buf.as_init()), buf)
            }

            async fn write_vectored<V: IoVectoredBuf>(&mut self, buf: V) -> BufResult<usize, V> {
                consume_budget().await;
                (gather(self, &buf), buf)
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

write_as_std! {
    /// Appends, and grows the vector.
    [] Vec<u8>,
    /// Overwrites from the cursor's position, and grows the vector; a gap before
    /// the position is zeroed.
    [] Cursor<Vec<u8>>,
    /// As the cursor over the vector itself.
    [] Cursor<&mut Vec<u8>>,
    /// Overwrites from the cursor's position, up to the end of the slice.
    [] Cursor<&mut [u8]>,
    /// Overwrites from the cursor's position, up to the end of the slice.
    [] Cursor<Box<[u8]>>,
    /// Overwrites from the cursor's position, up to the end of the array.
    [const N: usize] Cursor<[u8; N]>,
    /// Overwrites the first bytes of the slice and moves its start behind them.
    [] &mut [u8],
}

/// Memory that is read and written at a position. The methods of the traits take
/// `&self`, hence the cell.
///
/// No operation waits, so the cell is not borrowed between two operations. An
/// operation panics if the program itself keeps a borrow.
macro_rules! positioned_cell {
    ($($(#[$doc:meta])* [$($generics:tt)*] $memory:ty => ($($all:tt)*);)*) => {$(
        impl<$($generics)*> AsyncSize for RefCell<$memory> {
            async fn size(&self) -> io::Result<u64> {
                Ok(self.borrow().len() as u64)
            }
        }

        impl<$($generics)*> AsyncReadAt for RefCell<$memory> {
            async fn read_at<B: IoBufMut>(&self, mut buf: B, pos: u64) -> BufResult<usize, B> {
                (Ok(buf.init_from(from_position(&self.borrow()[..], pos))), buf)
            }

            async fn read_vectored_at<V: IoVectoredBufMut>(
                &self,
                mut buf: V,
                pos: u64,
            ) -> BufResult<usize, V> {
                (Ok(buf.init_from(from_position(&self.borrow()[..], pos))), buf)
            }
        }

        $(#[$doc])*
        impl<$($generics)*> AsyncWriteAt for RefCell<$memory> {
            async fn write_at<B: IoBuf>(&self, buf: B, pos: u64) -> BufResult<usize, B> {
                let result = write_at_position(&mut (*self.borrow_mut()) $($all)*, pos, |sink| {
                    Write::write(sink, buf.as_init())
                });
                (result, buf)
            }

            async fn write_vectored_at<V: IoVectoredBuf>(
                &self,
                buf: V,
                pos: u64,
            ) -> BufResult<usize, V> {
                let result = write_at_position(&mut (*self.borrow_mut()) $($all)*, pos, |sink| {
                    gather(sink, &buf)
                });
                (result, buf)
            }
        }
    )*};
}

/// Calls `write` with a cursor over `memory` at `pos`.
fn write_at_position<M>(
    memory: M,
    pos: u64,
    write: impl FnOnce(&mut Cursor<M>) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut sink = Cursor::new(memory);
    sink.set_position(pos);
    write(&mut sink)
}

positioned_cell! {
    /// Overwrites, and grows the vector; a gap before the position is zeroed.
    ///
    /// ```
    /// use std::cell::RefCell;
    ///
    /// use compio::io::AsyncWriteAtExt;
    ///
    /// # pollster::block_on(async {
    /// let sink = RefCell::new(b"abc".to_vec());
    /// sink.write_all_at("xyz", 2).await.0.unwrap();
    /// assert_eq!(sink.into_inner(), b"abxyz");
    /// # });
    /// ```
    [] Vec<u8> => ();
    /// Overwrites, up to the end of the slice.
    [] Box<[u8]> => ([..]);
    /// Overwrites, up to the end of the array.
    [const N: usize] [u8; N] => ([..]);
}
