//! The stream of a connection: bytes that were read to choose the protocol come first, and a write that waits too long
//! fails.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes};
use compio::time::{Sleep, sleep};
use hyper::rt::{Read, ReadBufCursor, Write};

use super::activity::Activity;

/// See the module.
#[derive(Debug)]
pub(super) struct ConnectionIo<I> {
    first: Bytes,
    inner: I,
    activity: Rc<Activity>,
    write_timeout: Option<Duration>,
    /// Ends a write that waits.
    stalled: Option<Sleep>,
}

impl<I> ConnectionIo<I> {
    pub(super) fn new(
        first: Bytes,
        inner: I,
        activity: Rc<Activity>,
        write_timeout: Option<Duration>,
    ) -> Self {
        Self {
            first,
            inner,
            activity,
            write_timeout,
            stalled: None,
        }
    }

    /// The stream, and its unread bytes.
    pub(super) fn into_parts(self) -> (I, Bytes) {
        (self.inner, self.first)
    }

    /// As [`check`](Self::check), for a result that is a number of bytes.
    fn check_written(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(len)) = polled {
            self.activity.note_written(len);
        }
        self.check(cx, polled)
    }

    /// Fails a write that has waited too long.
    fn check<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let Some(timeout) = self.write_timeout else {
            return Poll::Pending;
        };
        let stalled = self.stalled.get_or_insert_with(|| sleep(timeout));
        std::task::ready!(Pin::new(stalled).poll(cx));
        self.stalled = None;
        let message = "the peer does not read";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)))
    }
}

impl<I: Read + Unpin> Read for ConnectionIo<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let len = self.first.len().min(buffer.remaining());
            buffer.put_slice(&self.first[..len]);
            self.first.advance(len);
            self.activity.note_read();
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if read.is_ready() {
            self.activity.note_read();
        }
        read
    }
}

impl<I: Write + Unpin> Write for ConnectionIo<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.check_written(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.check_written(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.check(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(cx);
        let is_closed = |error: &io::Error| error.kind() == io::ErrorKind::NotConnected;
        // The peer may have closed the connection first, which is no failure.
        self.check(cx, polled).map(|ended| match ended {
            Err(error) if is_closed(&error) => Ok(()),
            ended => ended,
        })
    }
}
