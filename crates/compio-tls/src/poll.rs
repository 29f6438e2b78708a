//! Polls with borrowed buffers, for the reader and writer traits of other ecosystems.
//!
//! The engine's functions are polls already. A read copies plaintext into the caller's buffer, and a write encrypts
//! out of it, so that nothing of the buffer is kept after the poll.

#[cfg(feature = "futures-io")]
mod futures_io;
#[cfg(feature = "hyper")]
mod hyper_rt;
#[cfg(feature = "tokio")]
mod tokio_io;

use std::{
    io::{self, IoSlice},
    task::{Context, Poll, ready},
};

use compio_io::coop::poll_proceed;

use crate::TlsStream;

impl<S> TlsStream<S> {
    /// Waits for plaintext, and passes it to `copy` in pieces, up to `room` bytes. Returns their number: 0 at the
    /// end, or without room.
    fn poll_read_by(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
        mut copy: impl FnMut(&[u8]),
    ) -> Poll<io::Result<usize>> {
        if room == 0 || !ready!(self.step(|engine| engine.poll_plaintext(cx)))? {
            return Poll::Ready(Ok(0));
        }
        // Decrypted bytes never wait: a reader of many must let other tasks run.
        ready!(poll_proceed(cx));
        Poll::Ready(Ok(self.step(|engine| {
            let mut total = 0;
            while total < room && engine.has_plaintext() {
                let plaintext = engine.plaintext();
                let len = plaintext.len().min(room - total);
                copy(&plaintext[..len]);
                engine.consume(len);
                total += len;
            }
            total
        })))
    }

    /// Encrypts a prefix of the bytes, begins to send it, and returns its length. Pending: it has accepted nothing.
    fn poll_write_slices(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.step(|engine| engine.poll_write(cx, slices))
    }

    /// Waits until all accepted bytes are sent.
    fn poll_flush_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.step(|engine| engine.poll_flush(cx))
    }

    /// Sends `close_notify` after all accepted bytes, and ends the sending direction of the stream below.
    fn poll_shut_down(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.step(|engine| engine.poll_shutdown(cx))
    }
}
