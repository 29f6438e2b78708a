//! The traits of `futures-io`.

use std::{
    io::{self, IoSlice, IoSliceMut},
    pin::Pin,
    task::{Context, Poll},
};

use futures_io::{AsyncRead, AsyncWrite};

use super::{PollReadHalf, PollStream, PollWriteHalf, StreamSocket};

macro_rules! read {
    ($type:ident) => {
        /// As [`PollStream::poll_read`].
        impl<S: StreamSocket> AsyncRead for $type<S> {
            fn poll_read(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                room: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                let rooms = &mut [IoSliceMut::new(room)];
                $type::poll_read_vectored(&mut *self, cx, rooms)
            }

            fn poll_read_vectored(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                rooms: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                $type::poll_read_vectored(&mut *self, cx, rooms)
            }
        }
    };
}

macro_rules! write {
    ($type:ident) => {
        /// As [`PollStream::poll_write`]. A flush has nothing to do. A close shuts the direction down.
        impl<S: StreamSocket> AsyncWrite for $type<S> {
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

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(self.shutdown())
            }
        }
    };
}

read!(PollStream);
read!(PollReadHalf);
write!(PollStream);
write!(PollWriteHalf);
