//! The traits of `hyper::rt`.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::rt::{Read, ReadBufCursor, Write};

use super::{PollReadHalf, PollStream, PollWriteHalf, StreamSocket};

macro_rules! read {
    ($type:ident) => {
        /// As [`PollStream::poll_read`].
        impl<S: StreamSocket> Read for $type<S> {
            fn poll_read(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                mut room: ReadBufCursor<'_>,
            ) -> Poll<io::Result<()>> {
                // SAFETY: no byte in it becomes uninitialised.
                let unfilled = unsafe { room.as_mut() };
                let len = ready!($type::poll_read(&mut *self, cx, unfilled))?;
                // SAFETY: the read has initialised the first `len` bytes.
                unsafe { room.advance(len) };
                Poll::Ready(Ok(()))
            }
        }
    };
}

macro_rules! write {
    ($type:ident) => {
        /// As [`PollStream::poll_write`]. A flush has nothing to do.
        impl<S: StreamSocket> Write for $type<S> {
            fn poll_write(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                $type::poll_write(&mut *self, cx, bytes)
            }

            fn poll_write_vectored(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                slices: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                $type::poll_write_vectored(&mut *self, cx, slices)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(self.shutdown())
            }
        }
    };
}

read!(PollStream);
read!(PollReadHalf);
write!(PollStream);
write!(PollWriteHalf);
