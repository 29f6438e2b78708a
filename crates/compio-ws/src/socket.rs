//! The connection of both sides, and its halves.

use std::{
    cell::RefCell,
    fmt,
    future::poll_fn,
    mem,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use compio::time::timeout;
use compio_io::{
    coop,
    io::{AsyncRead, AsyncWrite},
};
use tungstenite::{
    Message,
    protocol::{CloseFrame, Role, frame::coding::CloseCode},
};

use crate::{Config, Error, engine::Engine};

/// A WebSocket connection over a stream of compio, such as `TcpStream`, `UnixStream`, `TlsStream` or the streams of
/// `duplex`. Made by [`connect`](crate::connect()), [`client`](crate::client), [`accept`](crate::accept) and the
/// upgrades of HTTP servers.
///
/// - **[`recv`](Self::recv)** returns whole messages. Pings are answered before they are returned, and close frames,
///   too: a program that only receives keeps its connection.
/// - **[`send`](Self::send)** returns once the message is sent. [`feed`](Self::feed) collects small ones, and
///   [`flush`](Self::flush) sends them with one operation.
/// - **[`close`](Self::close)** executes the close handshake.
/// - **A drop** sends no close frame: the peer sees the end of the stream. Output that is being sent is still sent.
/// - **[`split`](Self::split)** makes two halves, for two tasks.
///
/// With the feature `futures` it implements `Stream` and `Sink`.
///
/// # Cancellation
///
/// Each operation can be dropped at any time, and the connection stays valid:
///
/// - A dropped `recv` loses nothing. The receive stays in flight, and the next `recv` returns the message.
/// - A dropped `send` or `feed` has accepted its message or not. An accepted message is sent whole, by the next
///   operation of either direction. The first poll accepts it, unless 64 KiB of frames or a part of a message of more
///   than 8 KiB wait behind the send in flight, which takes up to 256 KiB.
/// - A dropped `flush` or `close` continues with the next operation.
///
/// # Memory
///
/// A connection that waits in `recv` holds 4 KiB of the protocol and the buffer of its receive: 1 KiB at first, up to
/// 64 KiB after receives that filled it, and less again after smaller ones. After a frame of more than 4 KiB, the protocol keeps a
/// buffer of its length. Small messages share buffers of 4 KiB: copy one that is kept for long. While it sends, a
/// connection holds up to 64 KiB of frames, one payload, and a copy of at most 256 KiB of both.
///
/// A peer can make it hold [`max_message_size`](Config::max_message_size) and
/// [`max_frame_size`](Config::max_frame_size) together. A peer that sends pings and reads nothing is held to one buffer
/// of pongs.
pub struct WebSocket<S> {
    shared: Rc<Shared<S>>,
}

struct Shared<S> {
    engine: RefCell<Engine<S>>,
    stream: Rc<S>,
    close_timeout: Duration,
}

impl<S> Shared<S> {
    /// Runs one step. Wakers run once the engine is not borrowed.
    fn step<T>(&self, step: impl FnOnce(&mut Engine<S>) -> T) -> T {
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

    async fn recv(&self) -> Option<Result<Message, Error>> {
        poll_fn(|cx| {
            // Messages that are received already never wait: a reader of many must let other tasks run.
            ready!(coop::poll_proceed(cx));
            self.step(|engine| engine.poll_recv(cx))
        })
        .await
    }

    async fn feed(&self, message: Message) -> Result<(), Error> {
        let mut message = Some(message);
        self.sending(|engine, cx| engine.poll_feed(cx, &mut message))
            .await
    }

    async fn send(&self, message: Message) -> Result<(), Error> {
        self.feed(message).await?;
        self.flush().await
    }

    async fn flush(&self) -> Result<(), Error> {
        self.sending(Engine::poll_flush).await
    }

    /// Waits for a poll that sends output. If this future is dropped before, waiting receivers send it.
    async fn sending<T>(
        &self,
        mut poll: impl FnMut(&mut Engine<S>, &mut Context<'_>) -> Poll<T>,
    ) -> T {
        struct Dropped<'a, S>(&'a Shared<S>);
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
}

fn close_message(code: CloseCode, reason: &str) -> Message {
    Message::Close(Some(CloseFrame {
        code,
        reason: reason.into(),
    }))
}

impl<S: 'static> WebSocket<S>
where
    for<'s> &'s S: AsyncRead + AsyncWrite,
{
    /// A connection over a stream whose handshake another library has executed. `unread` are bytes behind the
    /// handshake that it has received already.
    ///
    /// ```
    /// use compio::io::duplex;
    /// use compio_ws::{Config, Message, Role, WebSocket};
    ///
    /// # compio::task::block_on(async {
    /// let (left, right) = duplex(1024);
    /// let mut client = WebSocket::from_stream(left, Role::Client, Vec::new(), Config::new());
    /// let mut server = WebSocket::from_stream(right, Role::Server, Vec::new(), Config::new());
    /// client.send("hello").await?;
    /// assert_eq!(server.recv().await.unwrap()?, Message::text("hello"));
    /// # Ok::<(), compio_ws::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn from_stream(stream: S, role: Role, unread: impl Into<Vec<u8>>, config: Config) -> Self {
        let stream = Rc::new(stream);
        let (reader, writer) = Engine::operations(&stream);
        let engine = Engine::new(role, reader, writer, unread.into(), &config);
        Self::new(engine, stream, &config)
    }
}

impl<S> WebSocket<S> {
    pub(crate) fn new(engine: Engine<S>, stream: Rc<S>, config: &Config) -> Self {
        let shared = Shared {
            engine: RefCell::new(engine),
            stream,
            close_timeout: config.close_timeout,
        };
        Self {
            shared: Rc::new(shared),
        }
    }

    /// The stream below. Its reads and writes would break the protocol.
    pub fn get_ref(&self) -> &S {
        &self.shared.stream
    }

    /// Receives the next message. `None` is the end: after a close frame or an error was returned.
    ///
    /// The close frame of the peer is returned as a message. Its reply is sent by this call and the next one: call it
    /// until it returns `None`, or call [`close`](Self::close). After that, no message can be sent.
    ///
    /// # Errors
    ///
    /// - [`Error::Protocol`], [`Error::Utf8`], [`Error::TooLarge`]: the peer is sent the close code 1002, 1007 or 1009.
    ///   [`close`](Self::close) then waits until it has read the code.
    /// - [`Error::Io`]: an error of the stream. Its kind is [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof) if the
    ///   peer has closed the stream without a close frame.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub async fn recv(&mut self) -> Option<Result<Message, Error>> {
        self.shared.recv().await
    }

    /// Sends a message, and waits until it and all earlier ones are sent.
    ///
    /// The payload is not copied before it is sent, except for messages of up to 8 KiB, and for those of clients whose
    /// [`Bytes`](crate::Bytes) have other owners: clients have to mask them.
    ///
    /// # Errors
    ///
    /// - [`Error::Closed`] after a close frame was sent or received, and after an error of the connection.
    /// - [`Error::InvalidMessage`]: a control frame is too long, or the close code must not be sent.
    /// - [`Error::Io`]: an error of the stream, of this or of an earlier send.
    ///
    /// # Cancellation
    ///
    /// The message was accepted, and is sent by the next operation, or it was not: see [`WebSocket`].
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.shared.send(message.into()).await
    }

    /// Accepts a message without waiting until it is sent, unless 64 KiB wait already. [`flush`](Self::flush) sends it.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancellation
    ///
    /// As [`send`](Self::send).
    pub async fn feed(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.shared.feed(message.into()).await
    }

    /// Waits until all accepted messages are sent.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]: an error of the stream. [`Error::Closed`] after an earlier one.
    ///
    /// # Cancellation
    ///
    /// The next operation continues.
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.shared.flush().await
    }

    /// Executes the close handshake: sends a close frame, discards messages until the peer's close frame, and waits for
    /// the end of the stream. The server ends it first.
    ///
    /// If the peer has sent its close frame before, this waits for the end alone. After an error of
    /// [`recv`](Self::recv), it waits until the peer has received the close code, and has closed the stream.
    ///
    /// To receive the discarded messages, send a [`Message::Close`] instead, and receive until `None`.
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidMessage`]: the reason is longer than 123 bytes, or the code must not be sent.
    /// - [`Error::Io`]: [`TimedOut`](std::io::ErrorKind::TimedOut) if the peer has not answered within the
    ///   [limit](Config::close_timeout), and other errors of the stream.
    /// - [`Error::Protocol`], [`Error::Utf8`], [`Error::TooLarge`] for the messages that it discards.
    ///
    /// # Cancellation
    ///
    /// The close frame was accepted, and other operations continue. Call it again, or receive until `None`.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        let mut closed = None;
        let closing = async {
            let handshake = self.close_handshake(code, reason).await;
            let is_stream_usable =
                !matches!(handshake, Err(Error::Io(_) | Error::InvalidMessage(_)));
            closed = Some(handshake);
            if is_stream_usable {
                self.end().await;
            }
        };
        // After the handshake, the limit of the stream's end is no error.
        let _ = timeout(self.shared.close_timeout, closing).await;
        closed.unwrap_or_else(|| {
            Err(Error::timed_out(
                "the peer has not answered the close frame",
            ))
        })
    }

    async fn close_handshake(&self, code: CloseCode, reason: &str) -> Result<(), Error> {
        match self.shared.feed(close_message(code, reason)).await {
            Ok(()) | Err(Error::Closed) => {}
            Err(error) => return Err(error),
        }
        while let Some(message) = self.shared.recv().await {
            message?;
        }
        Ok(())
    }

    /// Ends the stream. A server ends it first, and after a failure the peer may still be sending.
    async fn end(&self) {
        let is_first = self.shared.step(|engine| engine.is_first_to_end());
        if is_first {
            // The peer may have closed the stream.
            let _ = poll_fn(|cx| self.shared.step(|engine| engine.poll_shutdown(cx))).await;
        }
        poll_fn(|cx| self.shared.step(|engine| engine.poll_drain(cx))).await;
        let _ = poll_fn(|cx| self.shared.step(|engine| engine.poll_shutdown(cx))).await;
    }

    /// Splits it into halves, for two tasks.
    ///
    /// The receiver answers pings and close frames, while the sender waits or is idle. Dropping a half does nothing
    /// until the other one is dropped.
    ///
    /// ```
    /// use compio::{io::duplex, task};
    /// use compio_ws::{CloseCode, Config, Message, Role, WebSocket};
    ///
    /// # task::block_on(async {
    /// let (left, right) = duplex(1024);
    /// let client = WebSocket::from_stream(left, Role::Client, Vec::new(), Config::new());
    /// let mut server = WebSocket::from_stream(right, Role::Server, Vec::new(), Config::new());
    ///
    /// let (mut sender, mut receiver) = client.split();
    /// let echo = task::spawn(async move {
    ///     while let Some(Ok(message)) = server.recv().await {
    ///         if message.is_text() && server.send(message).await.is_err() {
    ///             break;
    ///         }
    ///     }
    /// });
    /// let sending = task::spawn(async move {
    ///     sender.send("hello").await?;
    ///     sender.close(CloseCode::Normal, "").await
    /// });
    /// assert_eq!(receiver.recv().await.unwrap()?, Message::text("hello"));
    /// assert!(receiver.recv().await.unwrap()?.is_close());
    /// assert!(receiver.recv().await.is_none());
    /// sending.await.unwrap()?;
    /// echo.await.unwrap();
    /// # Ok::<(), compio_ws::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn split(self) -> (Sender<S>, Receiver<S>) {
        let receiver = Receiver {
            shared: Rc::clone(&self.shared),
        };
        let sender = Sender {
            shared: self.shared,
        };
        (sender, receiver)
    }
}

/// The sending half of a [`WebSocket`].
///
/// Dropping it neither closes the connection nor sends a close frame.
pub struct Sender<S> {
    shared: Rc<Shared<S>>,
}

impl<S> Sender<S> {
    /// As [`WebSocket::send`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`].
    ///
    /// # Cancellation
    ///
    /// As [`WebSocket::send`].
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.shared.send(message.into()).await
    }

    /// As [`WebSocket::feed`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`].
    ///
    /// # Cancellation
    ///
    /// As [`WebSocket::send`].
    pub async fn feed(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.shared.feed(message.into()).await
    }

    /// As [`WebSocket::flush`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::flush`].
    ///
    /// # Cancellation
    ///
    /// As [`WebSocket::flush`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.shared.flush().await
    }

    /// Sends a close frame. The receiving half receives until the peer has answered it.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`].
    ///
    /// # Cancellation
    ///
    /// As [`WebSocket::send`].
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.shared.send(close_message(code, reason)).await
    }

    /// Combines the halves.
    ///
    /// # Errors
    ///
    /// Returns both halves if they are not of the same connection.
    pub fn unsplit(self, receiver: Receiver<S>) -> Result<WebSocket<S>, (Self, Receiver<S>)> {
        if Rc::ptr_eq(&self.shared, &receiver.shared) {
            Ok(WebSocket {
                shared: self.shared,
            })
        } else {
            Err((self, receiver))
        }
    }
}

/// The receiving half of a [`WebSocket`].
///
/// It answers pings and close frames while it is awaited: receive until `None`.
pub struct Receiver<S> {
    shared: Rc<Shared<S>>,
}

impl<S> Receiver<S> {
    /// As [`WebSocket::recv`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::recv`].
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub async fn recv(&mut self) -> Option<Result<Message, Error>> {
        self.shared.recv().await
    }
}

macro_rules! debug {
    ($($name:ident),*) => {$(
        impl<S: fmt::Debug> fmt::Debug for $name<S> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("stream", &self.shared.stream)
                    .finish_non_exhaustive()
            }
        }
    )*};
}

debug!(WebSocket, Sender, Receiver);

/// `Stream` and `Sink`.
#[cfg(feature = "futures")]
mod futures {
    use std::{
        pin::Pin,
        task::{Context, Poll, ready},
    };

    use compio_io::coop;
    use futures_core::{Stream, stream::FusedStream};
    use futures_sink::Sink;
    use tungstenite::Message;

    use super::{Receiver, Sender, WebSocket, close_message};
    use crate::{CloseCode, Error};

    macro_rules! stream {
        ($($name:ident),*) => {$(
            /// See `recv`.
            impl<S> Stream for $name<S> {
                type Item = Result<Message, Error>;

                fn poll_next(
                    self: Pin<&mut Self>,
                    cx: &mut Context<'_>,
                ) -> Poll<Option<Self::Item>> {
                    ready!(coop::poll_proceed(cx));
                    self.shared.step(|engine| engine.poll_recv(cx))
                }
            }

            impl<S> FusedStream for $name<S> {
                fn is_terminated(&self) -> bool {
                    self.shared.step(|engine| engine.has_ended())
                }
            }
        )*};
    }

    macro_rules! sink {
        ($($name:ident),*) => {$(
            /// See `feed` and `flush`. A close sends the close frame with the code 1000, and flushes.
            impl<S> Sink<Message> for $name<S> {
                type Error = Error;

                fn poll_ready(
                    self: Pin<&mut Self>,
                    cx: &mut Context<'_>,
                ) -> Poll<Result<(), Error>> {
                    self.shared.step(|engine| engine.poll_room(cx))
                }

                fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
                    self.shared.step(|engine| engine.push(message))
                }

                fn poll_flush(
                    self: Pin<&mut Self>,
                    cx: &mut Context<'_>,
                ) -> Poll<Result<(), Error>> {
                    self.shared.step(|engine| engine.poll_flush(cx))
                }

                fn poll_close(
                    self: Pin<&mut Self>,
                    cx: &mut Context<'_>,
                ) -> Poll<Result<(), Error>> {
                    self.shared.step(|engine| {
                        if engine.is_open() {
                            engine.push(close_message(CloseCode::Normal, ""))?;
                        }
                        engine.poll_flush(cx)
                    })
                }
            }
        )*};
    }

    stream!(WebSocket, Receiver);
    sink!(WebSocket, Sender);
}
