//! The state of one connection, and its progress.
//!
//! ```text
//! stream --> PollReader --> WebSocketContext --> messages
//! stream <-- PollWriter <-- Output <-- messages; pongs and close frames of WebSocketContext
//! ```
//!
//! Each function is a poll. It keeps all state here, so that a dropped future loses nothing. Operations of the stream
//! stay in the reader and the writer.
//!
//! A receive also sends: the pongs and close frames that it causes, and output of dropped sends. It never waits for
//! that: the peer may read only after it has sent. If the peer does not read at all, a later pong replaces an earlier
//! one, so that the output is bounded.
//!
//! ```text
//!          close frame received          reply sent, stream shut down
//! Open ----------------------------> Closed ----------------------------> Ended
//!   \--- EOF, error of the stream or of the protocol ------------------------^
//! ```

use std::{
    io::{self, Read},
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use compio_io::{
    io::{AsyncRead, AsyncWrite, PollReader, PollWriter},
    waiters::Waiters,
};
use tungstenite::{
    Bytes, Message,
    protocol::{
        CloseFrame, Role, WebSocketContext,
        frame::{
            FrameHeader, Utf8Bytes,
            coding::{Control, Data, OpCode},
        },
    },
};

use crate::{Config, Error, config::CONTROL_MAX, output::Output};

/// The largest receive, in bytes.
const RECEIVE: usize = 64 * 1024;

/// The largest send, in bytes.
const SEND: usize = 256 * 1024;

/// The longest payload of a control frame.
const CONTROL_PAYLOAD_MAX: usize = 125;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// The peer's close frame was returned.
    Closed,
    /// No more messages are returned.
    Ended,
}

pub(crate) struct Engine<S> {
    context: WebSocketContext,
    role: Role,
    reader: PollReader<Rc<S>>,
    writer: PollWriter<Rc<S>>,
    output: Output,
    phase: Phase,
    receivers: Waiters,
    senders: Waiters,
    /// Wakers to wake once the engine is not borrowed.
    pub(crate) woken: Vec<Waker>,
    /// The context has taken all received bytes.
    is_drained: bool,
    is_eof: bool,
    /// The error of a receive, for the context's next read.
    input_error: Option<io::Error>,
    /// The context may have control frames for the output.
    is_queued: bool,
    /// Sends since the last flush.
    is_unflushed: bool,
    /// The error of the sending direction, for the next send.
    send_error: Option<io::Error>,
    is_output_lost: bool,
    is_shut_down: bool,
    /// The peer was sent the close code of an error.
    has_failed: bool,
}

impl<S: 'static> Engine<S>
where
    for<'s> &'s S: AsyncRead + AsyncWrite,
{
    /// The operations of a stream.
    pub(crate) fn operations(stream: &Rc<S>) -> (PollReader<Rc<S>>, PollWriter<Rc<S>>) {
        (
            PollReader::with_capacity(RECEIVE, Rc::clone(stream)),
            PollWriter::with_capacity(SEND, Rc::clone(stream)),
        )
    }
}

impl<S> Engine<S> {
    /// A connection after its handshake. `unread` are bytes that were received before those in the reader.
    pub(crate) fn new(
        role: Role,
        reader: PollReader<Rc<S>>,
        writer: PollWriter<Rc<S>>,
        unread: Vec<u8>,
        config: &Config,
    ) -> Self {
        Self {
            context: WebSocketContext::from_partially_read(unread, role, Some(config.protocol())),
            role,
            reader,
            writer,
            output: Output::default(),
            phase: Phase::Open,
            receivers: Waiters::default(),
            senders: Waiters::default(),
            woken: Vec::new(),
            is_drained: false,
            is_eof: false,
            input_error: None,
            is_queued: false,
            is_unflushed: false,
            send_error: None,
            is_output_lost: false,
            is_shut_down: false,
            has_failed: false,
        }
    }

    /// Whether messages can be sent.
    pub(crate) fn is_open(&self) -> bool {
        self.phase == Phase::Open && self.context.can_write()
    }

    /// Whether no more messages are returned.
    #[cfg(feature = "futures")]
    pub(crate) fn has_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// Whether this side ends the stream before the peer does.
    pub(crate) fn is_first_to_end(&self) -> bool {
        self.role == Role::Server || self.has_failed
    }

    /// The next message: `None` at the end, after a close frame or an error was returned.
    pub(crate) fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Message, Error>>> {
        loop {
            let sent = self.poll_output(cx);
            match self.phase {
                Phase::Open => {}
                Phase::Closed => {
                    ready!(sent);
                    if self.role == Role::Server {
                        // The server ends the stream first (RFC 6455, 7.1.1). Its failure changes nothing.
                        let _ = ready!(self.poll_shutdown(cx));
                    }
                    self.phase = Phase::Ended;
                    return Poll::Ready(None);
                }
                Phase::Ended => return Poll::Ready(None),
            }
            if self.is_drained {
                ready!(self.poll_input(cx));
            }
            match self.with_context(|context, memory| context.read(memory)) {
                Ok(message) => {
                    self.is_queued |= message.is_ping() || message.is_close();
                    if message.is_close() {
                        self.phase = Phase::Closed;
                    }
                    // Pongs and replies leave before their cause is returned, also if no other call follows.
                    let _ = self.poll_output(cx);
                    return Poll::Ready(Some(Ok(message)));
                }
                Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_drained = true;
                }
                Err(error) => return Poll::Ready(self.fail(cx, error).map(Err)),
            }
        }
    }

    /// Receives bytes into the reader. An error is returned by the context's next read.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self {
            reader,
            receivers,
            woken,
            ..
        } = self;
        let received = receivers.poll(cx, woken, |cx| reader.poll_fill_buf(cx).map_ok(<[u8]>::len));
        let received = ready!(received);
        self.is_eof = matches!(received, Ok(0));
        if let Err(error) = received {
            self.input_error = Some(error);
        }
        self.is_drained = false;
        Poll::Ready(())
    }

    /// Ends the connection after an error. The peer is sent its close code.
    fn fail(&mut self, cx: &mut Context<'_>, error: tungstenite::Error) -> Option<Error> {
        let error = Error::from_read(error);
        if let Some(code) = error.as_ref().and_then(Error::close_code) {
            self.has_failed = true;
            self.queue_close(Some(CloseFrame {
                code,
                reason: Utf8Bytes::default(),
            }));
        }
        let _ = self.poll_output(cx);
        self.phase = Phase::Ended;
        error
    }

    /// Waits until a message is accepted, then takes it. It is sent by the next polls of either direction.
    pub(crate) fn poll_feed(
        &mut self,
        cx: &mut Context<'_>,
        message: &mut Option<Message>,
    ) -> Poll<Result<(), Error>> {
        ready!(self.poll_room(cx))?;
        let Some(message) = message.take() else {
            return Poll::Ready(Ok(()));
        };
        Poll::Ready(self.push(message))
    }

    /// Waits until a message is accepted.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            self.take_send_error()?;
            if !self.is_open() {
                return Poll::Ready(Err(Error::Closed));
            }
            if self.output.has_room() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_output(cx));
        }
    }

    /// Adds a message to the output, which has room.
    pub(crate) fn push(&mut self, message: Message) -> Result<(), Error> {
        if !self.is_open() {
            return Err(Error::Closed);
        }
        let data = |data| FrameHeader {
            opcode: OpCode::Data(data),
            ..FrameHeader::default()
        };
        let control = |control| FrameHeader {
            opcode: OpCode::Control(control),
            ..FrameHeader::default()
        };
        let (mut header, payload) = match message {
            Message::Text(text) => (data(Data::Text), Bytes::from(text)),
            Message::Binary(bytes) => (data(Data::Binary), bytes),
            Message::Ping(payload) => (control(Control::Ping), payload),
            Message::Pong(payload) => (control(Control::Pong), payload),
            Message::Close(frame) => return self.push_close(frame),
            Message::Frame(frame) => (frame.header().clone(), frame.into_payload()),
        };
        if matches!(header.opcode, OpCode::Control(_)) && payload.len() > CONTROL_PAYLOAD_MAX {
            return Err(Error::InvalidMessage(
                "the payload of a ping or pong is longer than 125 bytes",
            ));
        }
        header.mask = match self.role {
            Role::Client => Some(rand::random()),
            Role::Server => None,
        };
        self.output.push(&header, payload);
        Ok(())
    }

    /// Begins the close handshake.
    fn push_close(&mut self, frame: Option<CloseFrame>) -> Result<(), Error> {
        if let Some(frame) = &frame {
            if frame.reason.len() > CONTROL_PAYLOAD_MAX - size_of::<u16>() {
                return Err(Error::InvalidMessage(
                    "the reason of a close frame is longer than 123 bytes",
                ));
            }
            if !frame.code.is_allowed() {
                return Err(Error::InvalidMessage("the close code must not be sent"));
            }
        }
        self.queue_close(frame);
        Ok(())
    }

    /// Lets the context send a close frame, behind its pongs. Has no effect if it has sent one.
    fn queue_close(&mut self, frame: Option<CloseFrame>) {
        self.is_queued = true;
        // Frames that the output does not accept now stay in the context.
        let _ = self.with_room_in_context(|context, memory| context.flush(memory));
        let _ = self.with_room_in_context(|context, memory| context.close(memory, frame));
    }

    /// Calls the context without its limit of control frames. At the limit it would never pass on its last one, for
    /// instance a server's reply to a close frame.
    fn with_room_in_context<T>(
        &mut self,
        call: impl FnOnce(&mut WebSocketContext, &mut Memory<'_, S>) -> T,
    ) -> T {
        let limit = |context: &mut WebSocketContext, len| {
            context.set_config(|config| config.max_write_buffer_size = len);
        };
        limit(&mut self.context, usize::MAX);
        let output = self.with_context(call);
        limit(&mut self.context, CONTROL_MAX);
        output
    }

    /// No task waits for the output any more: those that wait for messages send it.
    pub(crate) fn pass_output_to_receivers(&mut self) {
        if !self.output.is_empty() {
            self.receivers.take_all(&mut self.woken);
        }
    }

    /// Waits until all output is sent.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_output(cx));
        Poll::Ready(self.take_send_error())
    }

    /// Sends and flushes the output. Ready if nothing is in flight. An error waits for the next send.
    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.is_output_lost {
            if self.is_queued && self.output.has_room() {
                let flushed = self.with_room_in_context(|context, memory| context.flush(memory));
                // Other errors mean that the connection is closed and nothing is left.
                self.is_queued = matches!(flushed, Err(tungstenite::Error::Io(_)));
            }
            let Self {
                writer,
                senders,
                woken,
                output,
                ..
            } = self;
            let polled = if !output.is_empty() {
                let slices = output.slices();
                let sent = ready!(senders.poll(cx, woken, |cx| {
                    writer.poll_gather(cx, slices.into_iter())
                }));
                self.is_unflushed = true;
                sent.map(|len| self.output.consume(len))
            } else if self.is_unflushed {
                self.output.release();
                let flushed = ready!(senders.poll(cx, woken, |cx| writer.poll_flush(cx)));
                self.is_unflushed = false;
                flushed
            } else {
                break;
            };
            if let Err(error) = polled {
                self.send_error = Some(error);
                self.is_output_lost = true;
            }
        }
        Poll::Ready(())
    }

    /// Ends the sending direction of the stream, after all output.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.is_shut_down {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_output(cx));
        self.take_send_error()?;
        let Self {
            writer,
            senders,
            woken,
            ..
        } = self;
        let ended = ready!(senders.poll(cx, woken, |cx| writer.poll_shutdown(cx)));
        self.is_shut_down = true;
        Poll::Ready(ended.map_err(Error::Io))
    }

    /// Discards received bytes until EOF or an error.
    pub(crate) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Self {
                reader,
                receivers,
                woken,
                ..
            } = self;
            let received =
                receivers.poll(cx, woken, |cx| reader.poll_fill_buf(cx).map_ok(<[u8]>::len));
            match ready!(received) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(len) => self.reader.consume(len),
            }
        }
    }

    fn take_send_error(&mut self) -> Result<(), Error> {
        match self.send_error.take() {
            Some(error) => Err(Error::Io(error)),
            None if self.is_output_lost => Err(Error::Closed),
            None => Ok(()),
        }
    }

    /// Calls the protocol over the received bytes and the output.
    fn with_context<T>(
        &mut self,
        call: impl FnOnce(&mut WebSocketContext, &mut Memory<'_, S>) -> T,
    ) -> T {
        let mut memory = Memory {
            reader: &mut self.reader,
            output: &mut self.output,
            error: &mut self.input_error,
            is_eof: self.is_eof,
        };
        call(&mut self.context, &mut memory)
    }
}

/// The stream that the protocol sees: received bytes, and the output.
struct Memory<'a, S> {
    reader: &'a mut PollReader<Rc<S>>,
    output: &'a mut Output,
    error: &'a mut Option<io::Error>,
    is_eof: bool,
}

impl<S> Read for Memory<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let received = self.reader.buffer();
        if received.is_empty() {
            return match self.error.take() {
                Some(error) => Err(error),
                None if self.is_eof => Ok(0),
                None => Err(io::ErrorKind::WouldBlock.into()),
            };
        }
        let len = received.len().min(buffer.len());
        buffer[..len].copy_from_slice(&received[..len]);
        self.reader.consume(len);
        Ok(len)
    }
}

impl<S> io::Write for Memory<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(self.output, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
