//! The stream of both sides.

use std::{
    cell::RefCell,
    fmt,
    future::poll_fn,
    io::{self, IoSlice},
    mem,
    rc::Rc,
    task::{Context, Poll},
};

use compio_io::{
    buf::{BufResult, IntoInner, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut},
    coop::consume_budget,
    io::{self as stream_io, AsyncBufRead, AsyncRead, AsyncWrite, ReadHalf, WriteHalf},
};
use rustls::{Connection, pki_types::CertificateDer};

use crate::{engine::Engine, session::Rustls, transport::Completion};

/// A TLS stream over a stream of compio, such as `TcpStream`, `UnixStream` or the streams of `duplex`. Made by
/// [`TlsConnector`](crate::TlsConnector), [`TlsAcceptor`](crate::TlsAcceptor) and
/// [`LazyAccept`](crate::LazyAccept).
///
/// It is read and written through the traits of `compio::io`, also by reference: one task can read while another
/// one writes. [`into_split`](Self::into_split) makes two halves.
///
/// - **A read** returns plaintext as soon as there is some, up to the capacity of its buffer, and 0 after
///   `close_notify`. If the peer ends the stream without `close_notify`, the result is an
///   [`UnexpectedEof`](io::ErrorKind::UnexpectedEof): an attacker may have cut the stream.
/// - **A write** encrypts up to 64 KiB, sends them with one operation, and returns their number once they are
///   sent.
/// - **A flush** completes the handshake and sends output of dropped operations.
/// - **A shutdown** flushes, sends `close_notify`, and ends the sending direction of the stream below. Reads
///   continue (half-close). It succeeds if the peer has closed the connection first.
/// - **A drop** sends no `close_notify`: the peer reads an error unless it expects the end. Call
///   [`shutdown`](AsyncWrite::shutdown) first.
///
/// Reads and writes both send all pending output, and a read both receives and sends: a reply to a KeyUpdate
/// leaves an otherwise idle connection while it waits for a read. The failure of the protocol sends its alert
/// before the error is returned, and every later operation returns the error again.
///
/// # Cancellation
///
/// Each operation can be dropped at any time, and the next one continues:
///
/// - A dropped read loses nothing. The receive stays in flight.
/// - A dropped write has accepted nothing, or up to 64 KiB of its buffer. Accepted bytes are in the output. A read that
///   waits, or else the next operation of either direction, sends it: they are neither lost nor sent twice, and the
///   stream stays valid. Their
///   number is lost with the result, as with sockets. A [`PollWriter`](stream_io::PollWriter) over the writing half
///   keeps it.
/// - A dropped flush or shutdown continues with the next operation.
/// - A dropped handshake continues with the next operation.
///
/// Dropping the stream cancels the receive. A send in flight continues, as of a
/// [`PollWriter`](stream_io::PollWriter).
///
/// # Libraries that poll
///
/// With the features `tokio`, `futures-io` and `hyper` it implements the reader and writer traits of `tokio::io`,
/// `futures-io` and `hyper::rt`, with vectored writes. It stays on its thread: a library that requires `Send` takes it
/// in a `compio::runtime::SendWrapper`, which forwards these traits.
///
/// - **`poll_read`** copies decrypted bytes into the caller's buffer. It keeps no reference to the buffer.
/// - **`poll_write`** encrypts up to 64 KiB of the caller's buffer, begins to send them, and returns their number. If it
///   returns `Pending`, it has accepted nothing, and the next poll may pass other bytes. An error of the send is
///   returned by the next call.
/// - **`poll_flush`** completes the handshake, and waits until all accepted bytes are sent.
/// - **`poll_shutdown`**, or `poll_close`, sends `close_notify` after them, and ends the sending direction.
///
/// A poll that is not repeated loses nothing, and neither does a switch to the traits of `compio::io`. The reading and
/// the writing direction may be polled by different tasks.
///
/// # Memory
///
/// A connection that waits in a read holds about 9 KiB, most of it in rustls, and the buffer of the pending
/// receive: 1 KiB at first, up to 64 KiB after receives that filled it, and less again after smaller ones. It holds
/// no buffer of its sends. While it is busy, at most 64 KiB of received bytes, 34 KiB of records and plaintext in
/// rustls, and two copies of 64 KiB of output are buffered. A peer cannot exceed these limits, except by a handshake
/// message of up to 64 KiB: rustls refuses longer ones, and no bytes are received while plaintext is unread.
pub struct TlsStream<S> {
    /// On the heap: the stream moves through futures, which would have room for several copies.
    engine: Box<RefCell<Engine<Rustls>>>,
    stream: Rc<S>,
}

impl<S: 'static> TlsStream<S>
where
    for<'s> &'s S: AsyncRead + AsyncWrite,
{
    pub(crate) fn new(connection: Connection, stream: S) -> Self {
        Self::with_transport(connection, Completion::new(stream))
    }

    pub(crate) fn with_transport(connection: Connection, transport: Completion<S>) -> Self {
        let stream = Rc::clone(transport.stream());
        Self {
            engine: Box::new(RefCell::new(Engine::new(
                Rustls::new(connection),
                Box::new(transport),
            ))),
            stream,
        }
    }
}

impl<S> TlsStream<S> {
    /// Processes bytes that the session has received before.
    pub(crate) fn begin(&self) {
        self.engine.borrow_mut().begin();
    }

    /// Splits it into a reading and a writing half, for two tasks.
    ///
    /// Dropping a half does nothing until the other one is dropped. [`shutdown`](AsyncWrite::shutdown) of the
    /// writing half sends `close_notify`. [`ReadHalf::unsplit`] joins them again.
    pub fn into_split(self) -> (ReadHalf<Self>, WriteHalf<Self>) {
        stream_io::split(self)
    }

    /// The stream below. Its reads and writes would break the protocol.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Passes the connection of rustls to a function, for instance to query its version or to export keys.
    ///
    /// ```
    /// use compio_tls::TlsStream;
    ///
    /// fn version<S>(stream: &TlsStream<S>) -> String {
    ///     let version = stream.with_connection(|connection| connection.protocol_version());
    ///     format!("{version:?}")
    /// }
    /// ```
    ///
    /// # Panics
    ///
    /// If the function uses this stream.
    pub fn with_connection<T>(&self, query: impl FnOnce(&Connection) -> T) -> T {
        query(&self.engine.borrow().session.connection)
    }

    /// The protocol that ALPN has chosen.
    pub fn alpn_protocol(&self) -> Option<Vec<u8>> {
        self.with_connection(|connection| connection.alpn_protocol().map(<[u8]>::to_vec))
    }

    /// The certificates of the peer, its own first. `None` before the handshake, and for a client without
    /// one.
    pub fn peer_certificates(&self) -> Option<Vec<CertificateDer<'static>>> {
        self.with_connection(|connection| connection.peer_certificates().map(<[_]>::to_vec))
    }

    /// The host name that the client has requested (SNI), at the server.
    pub fn server_name(&self) -> Option<String> {
        self.with_connection(|connection| match connection {
            Connection::Server(server) => server.server_name().map(str::to_owned),
            Connection::Client(_) => None,
        })
    }

    /// Whether the server has accepted the early data of this client. Known after the handshake.
    pub fn is_early_data_accepted(&self) -> bool {
        self.with_connection(|connection| match connection {
            Connection::Client(client) => client.is_early_data_accepted(),
            Connection::Server(_) => false,
        })
    }

    /// Runs one step. Wakers run once the engine is not borrowed.
    pub(crate) fn step<T>(&self, step: impl FnOnce(&mut Engine<Rustls>) -> T) -> T {
        let (output, woken) = {
            let mut engine = self.engine.borrow_mut();
            let output = step(&mut engine);
            (output, mem::take(&mut engine.woken))
        };
        for waker in woken {
            waker.wake();
        }
        output
    }
}

impl<S> TlsStream<S> {
    /// Completes the handshake and sends its last message. Returns at once if it is complete.
    ///
    /// # Errors
    ///
    /// - [`InvalidData`](io::ErrorKind::InvalidData): the peer breaks the protocol, speaks another one, sends an
    ///   alert, or its certificate is not valid. The inner error is a `rustls::Error`, or has one as its source.
    /// - [`UnexpectedEof`](io::ErrorKind::UnexpectedEof): the peer has closed the connection.
    /// - Errors of the stream below.
    ///
    /// # Cancellation
    ///
    /// The next operation continues the handshake.
    pub async fn handshake(&self) -> io::Result<()> {
        self.sending(Engine::poll_handshake).await
    }

    /// Encrypts a prefix of the bytes as early data of a client (0-RTT), and begins to send them with the first
    /// message. Returns their number.
    ///
    /// It is 0 if the client has no session of this server to resume, if its configuration does not enable early
    /// data, if the server would accept no more, or after the handshake.
    ///
    /// **Early data can be replayed by an attacker**: send idempotent requests only. A server may reject it:
    /// after the [`handshake`](Self::handshake), send the bytes again unless
    /// [`is_early_data_accepted`](Self::is_early_data_accepted).
    ///
    /// ```
    /// use std::io;
    ///
    /// use compio::{
    ///     buf::{IntoInner, IoBuf},
    ///     io::{AsyncWrite, AsyncWriteExt},
    ///     net::TcpStream,
    /// };
    /// use compio_tls::{TlsConnector, TlsStream};
    ///
    /// async fn request(
    ///     connector: TlsConnector,
    ///     tcp: TcpStream,
    ///     request: Vec<u8>,
    /// ) -> io::Result<TlsStream<TcpStream>> {
    ///     let mut tls = connector.stream("example.org", tcp)?;
    ///     let (early, request) = tls.write_early_data(request).await;
    ///     let early = early?;
    ///     tls.handshake().await?;
    ///     let sent = if tls.is_early_data_accepted() { early } else { 0 };
    ///     tls.write_all(request.slice(sent..)).await.0?;
    ///     tls.flush().await?;
    ///     Ok(tls)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Errors of the stream below.
    ///
    /// # Cancellation
    ///
    /// As of a write: see [`TlsStream`].
    pub async fn write_early_data<B: IoBuf>(&self, buf: B) -> BufResult<usize, B> {
        let written = self.sending(|engine, cx| engine.poll_write_early(cx, buf.as_init()));
        (written.await, buf)
    }

    /// Reads early data at the server (0-RTT), before the handshake is complete. 0 means that the client sends no
    /// more, or that the configuration does not accept early data.
    ///
    /// With `send_half_rtt_data` of its configuration, the server responds before the handshake is complete:
    /// writes are sent at once. Otherwise they are sent after it. Other reads return early data as well
    /// if it is not read before.
    ///
    /// **An attacker can replay early data**: execute idempotent requests only.
    ///
    /// # Errors
    ///
    /// As [`handshake`](Self::handshake).
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub async fn read_early_data<B: IoBufMut>(&self, mut buf: B) -> BufResult<usize, B> {
        if buf.buf_capacity() == 0 {
            return (Ok(0), buf);
        }
        match poll_fn(|cx| self.step(|engine| engine.poll_early(cx))).await {
            Ok(true) => {}
            Ok(false) => return (Ok(buf.init_from(&[])), buf),
            Err(error) => return (Err(error), buf),
        }
        let len = self.step(|engine| {
            let len = buf.init_from(engine.plaintext());
            engine.consume(len);
            len
        });
        (Ok(len), buf)
    }

    /// Changes the keys of the sending direction and requests that the peer does the same (TLS 1.3).
    ///
    /// rustls does so by itself before the limits of its keys. It limits the number of such requests of a peer.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) before the end of the handshake, and with TLS 1.2. Errors of
    /// the stream below.
    ///
    /// # Cancellation
    ///
    /// The keys are changed. The next operation sends the message.
    pub async fn update_keys(&self) -> io::Result<()> {
        self.step(|engine| engine.session.connection.refresh_traffic_keys())
            .map_err(crate::error::invalid_input)?;
        self.sending(Engine::poll_flush).await
    }

    /// Waits for a poll that sends output. If this future is dropped before, waiting readers send the rest.
    async fn sending<T>(
        &self,
        mut poll: impl FnMut(&mut Engine<Rustls>, &mut Context<'_>) -> Poll<T>,
    ) -> T {
        struct Dropped<'a, S>(&'a TlsStream<S>);
        impl<S> Drop for Dropped<'_, S> {
            fn drop(&mut self) {
                self.0.step(Engine::pass_output_to_receivers);
            }
        }
        let dropped = Dropped(self);
        let output = poll_fn(|cx| self.step(|engine| poll(engine, cx))).await;
        mem::forget(dropped);
        output
    }

    /// Waits until the bytes of a write are sent.
    async fn sent(&self, written: io::Result<usize>) -> io::Result<usize> {
        let len = written?;
        self.sending(Engine::poll_sent).await?;
        Ok(len)
    }

    /// Waits for plaintext: false at the end. The plaintext stays in the engine, until the caller waits again.
    async fn readable(&self) -> io::Result<bool> {
        // Decrypted bytes never wait: a reader of many must let other tasks run. Before the plaintext is found: another
        // task could take it.
        consume_budget().await;
        poll_fn(|cx| self.step(|engine| engine.poll_plaintext(cx))).await
    }

    /// Copies plaintext into the buffer, as much as is received and fits.
    fn take<B: IoBufMut>(&self, mut buf: B) -> (usize, B) {
        self.step(|engine| {
            let mut total = 0;
            while total < buf.buf_capacity() && engine.has_plaintext() {
                let plaintext = engine.plaintext();
                let len;
                if total == 0 {
                    len = buf.init_from(plaintext);
                } else {
                    let mut rest = buf.slice(total..);
                    len = rest.init_from(plaintext);
                    buf = rest.into_inner();
                }
                engine.consume(len);
                total += len;
            }
            (total, buf)
        })
    }
}

/// See [`TlsStream`] about cancellation.
impl<S> AsyncRead for &TlsStream<S> {
    async fn read<B: IoBufMut>(&mut self, mut buf: B) -> BufResult<usize, B> {
        if buf.buf_capacity() == 0 {
            return (Ok(0), buf);
        }
        match self.readable().await {
            Ok(true) => {
                let (len, buf) = self.take(buf);
                (Ok(len), buf)
            }
            Ok(false) => (Ok(buf.init_from(&[])), buf),
            Err(error) => (Err(error), buf),
        }
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, mut buf: V) -> BufResult<usize, V> {
        if buf.total_capacity() == 0 {
            return (Ok(0), buf);
        }
        match self.readable().await {
            Ok(true) => {
                let len = self.step(|engine| {
                    let len = buf.init_from(engine.plaintext());
                    engine.consume(len);
                    len
                });
                (Ok(len), buf)
            }
            Ok(false) => (Ok(buf.init_from(&[])), buf),
            Err(error) => (Err(error), buf),
        }
    }

    /// Returns whether plaintext is available. A receive in flight stays in flight.
    async fn settle(&mut self) -> bool {
        self.step(Engine::has_plaintext)
    }
}

/// See [`TlsStream`] about cancellation.
impl<S> AsyncWrite for &TlsStream<S> {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        let written = self.sending(|engine, cx| {
            let slices = [IoSlice::new(buf.as_init())];
            engine.poll_write(cx, &slices)
        });
        let written = written.await;
        (self.sent(written).await, buf)
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, buf: V) -> BufResult<usize, V> {
        let written = self.sending(|engine, cx| {
            let slices: Vec<IoSlice<'_>> = buf.slices().map(IoSlice::new).collect();
            engine.poll_write(cx, &slices)
        });
        let written = written.await;
        (self.sent(written).await, buf)
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.sending(Engine::poll_flush).await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.sending(Engine::poll_shutdown).await
    }

    fn abort(&mut self) {
        self.step(Engine::abort);
    }
}

/// See [`TlsStream`] about cancellation.
impl<S> AsyncRead for TlsStream<S> {
    async fn read<B: IoBufMut>(&mut self, buf: B) -> BufResult<usize, B> {
        (&*self).read(buf).await
    }

    async fn read_vectored<V: IoVectoredBufMut>(&mut self, buf: V) -> BufResult<usize, V> {
        (&*self).read_vectored(buf).await
    }

    async fn settle(&mut self) -> bool {
        (&*self).settle().await
    }
}

/// See [`TlsStream`] about cancellation.
impl<S> AsyncWrite for TlsStream<S> {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        (&*self).write(buf).await
    }

    async fn write_vectored<V: IoVectoredBuf>(&mut self, buf: V) -> BufResult<usize, V> {
        (&*self).write_vectored(buf).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        (&*self).flush().await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        (&*self).shutdown().await
    }

    fn abort(&mut self) {
        (&*self).abort();
    }
}

/// Returns the plaintext of one record, without a copy.
impl<S> AsyncBufRead for TlsStream<S> {
    async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.readable().await? {
            Ok(self.engine.get_mut().plaintext())
        } else {
            Ok(&[])
        }
    }

    fn consume(&mut self, len: usize) {
        self.engine.get_mut().consume(len);
    }
}

impl<S: fmt::Debug> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}
