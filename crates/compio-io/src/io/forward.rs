//! Pointers to readers and writers are readers and writers.
//!
//! Reads and writes at a position take `&self`, so shared pointers implement them;
//! the others need `&mut`. A stream that is read and written by reference, as sockets are,
//! is also read and written through its [`Rc`].

use std::{
    io::{self, SeekFrom},
    rc::Rc,
    sync::Arc,
};

use crate::{
    buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut},
    io::{AsyncBufRead, AsyncRead, AsyncReadAt, AsyncSeek, AsyncSize, AsyncWrite, AsyncWriteAt},
};

macro_rules! forward_unique {
    ($($pointer:ty),*) => {$(
        impl<T: AsyncRead + ?Sized> AsyncRead for $pointer {
            async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
                (**self).read(buf).await
            }

            async fn read_vectored<V: IoVectoredBufMut>(
                &mut self,
                buf: V,
            ) -> BufResult<usize, V> {
                (**self).read_vectored(buf).await
            }

            async fn settle(&mut self) -> bool {
                (**self).settle().await
            }
        }

        impl<T: AsyncBufRead + ?Sized> AsyncBufRead for $pointer {
            async fn fill_buf(&mut self) -> io::Result<&[u8]> {
                (**self).fill_buf().await
            }

            fn consume(&mut self, len: usize) {
                (**self).consume(len);
            }
        }

        impl<T: AsyncWrite + ?Sized> AsyncWrite for $pointer {
            async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
                (**self).write(buf).await
            }

            async fn write_vectored<V: IoVectoredBuf>(
                &mut self,
                buf: V,
            ) -> BufResult<usize, V> {
                (**self).write_vectored(buf).await
            }

            async fn flush(&mut self) -> io::Result<()> {
                (**self).flush().await
            }

            async fn shutdown(&mut self) -> io::Result<()> {
                (**self).shutdown().await
            }

            fn abort(&mut self) {
                (**self).abort();
            }
        }

        impl<T: AsyncSeek + ?Sized> AsyncSeek for $pointer {
            async fn seek(&mut self, pos: SeekFrom) -> io::Result<u64> {
                (**self).seek(pos).await
            }

            async fn rewind(&mut self) -> io::Result<()> {
                (**self).rewind().await
            }

            async fn stream_position(&mut self) -> io::Result<u64> {
                (**self).stream_position().await
            }
        }
    )*};
}

macro_rules! forward_shared {
    ($($pointer:ty),*) => {$(
        impl<T: AsyncReadAt + ?Sized> AsyncReadAt for $pointer {
            async fn read_at<B: IoBufMut>(&self, buf: B, pos: u64) -> BufResult<usize, B> {
                (**self).read_at(buf, pos).await
            }

            async fn read_vectored_at<V: IoVectoredBufMut>(
                &self,
                buf: V,
                pos: u64,
            ) -> BufResult<usize, V> {
                (**self).read_vectored_at(buf, pos).await
            }
        }

        impl<T: AsyncWriteAt + ?Sized> AsyncWriteAt for $pointer {
            async fn write_at<B: IoBuf>(&self, buf: B, pos: u64) -> BufResult<usize, B> {
                (**self).write_at(buf, pos).await
            }

            async fn write_vectored_at<V: IoVectoredBuf>(
                &self,
                buf: V,
                pos: u64,
            ) -> BufResult<usize, V> {
                (**self).write_vectored_at(buf, pos).await
            }
        }

        impl<T: AsyncSize + ?Sized> AsyncSize for $pointer {
            async fn size(&self) -> io::Result<u64> {
                (**self).size().await
            }
        }
    )*};
}

/// Implements a trait for a handle of a stream, by a reference to it.
macro_rules! forward_by_reference {
    (AsyncRead for $handle:ident by $get:ident) => {
        impl<S> AsyncRead for $handle<S>
        where
            for<'s> &'s S: AsyncRead,
        {
            async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
                let mut stream: &S = self.$get();
                stream.read(buf).await
            }

            async fn read_vectored<V: IoVectoredBufMut>(&mut self, buf: V) -> BufResult<usize, V> {
                let mut stream: &S = self.$get();
                stream.read_vectored(buf).await
            }

            async fn settle(&mut self) -> bool {
                let mut stream: &S = self.$get();
                stream.settle().await
            }
        }
    };
    (AsyncWrite for $handle:ident by $get:ident) => {
        impl<S> AsyncWrite for $handle<S>
        where
            for<'s> &'s S: AsyncWrite,
        {
            async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
                let mut stream: &S = self.$get();
                stream.write(buf).await
            }

            async fn write_vectored<V: IoVectoredBuf>(&mut self, buf: V) -> BufResult<usize, V> {
                let mut stream: &S = self.$get();
                stream.write_vectored(buf).await
            }

            async fn flush(&mut self) -> io::Result<()> {
                let mut stream: &S = self.$get();
                stream.flush().await
            }

            async fn shutdown(&mut self) -> io::Result<()> {
                let mut stream: &S = self.$get();
                stream.shutdown().await
            }

            fn abort(&mut self) {
                let mut stream: &S = self.$get();
                stream.abort();
            }
        }
    };
}

pub(super) use forward_by_reference;

forward_unique!(&mut T, Box<T>);
forward_by_reference!(AsyncRead for Rc by as_ref);
forward_by_reference!(AsyncWrite for Rc by as_ref);
forward_shared!(&T, &mut T, Box<T>, Rc<T>, Arc<T>);
