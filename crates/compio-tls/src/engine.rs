//! The state of one connection, and its progress.
//!
//! ```text
//! stream --> Transport::received --> Session::receive --> plaintext, early data
//! stream <-- Transport::poll_send <-- Session::output <-- plaintext
//! ```
//!
//! Each function is a poll. It keeps all state here, so that a dropped future loses nothing. Polls of other
//! ecosystems' traits can call the same functions.
//!
//! Output that reads cause (handshake messages, replies to KeyUpdate, alerts) is sent by every poll of either
//! direction. A read never waits for it: the peer may send only after it has received.

use std::{
    io::{self, IoSlice},
    task::{Context, Poll, Waker, ready},
};

use compio_io::waiters::Waiters;

use crate::{
    error::{self, Failure, FirstBytes},
    session::Session,
    transport::Transport,
};

pub(crate) struct Engine<N> {
    pub(crate) session: N,
    transport: Box<dyn Transport>,
    receivers: Waiters,
    senders: Waiters,
    /// Wakers to wake once the engine is not borrowed.
    pub(crate) woken: Vec<Waker>,
    /// The fatal error of the session.
    failure: Option<Failure>,
    /// The error of the sending direction, for the next write.
    send_error: Option<io::Error>,
    is_output_lost: bool,
    /// A send has begun, and its end is not known.
    is_sending: bool,
    /// Sends since the last flush: the transport may hold their memory.
    is_unflushed: bool,
    is_eof: bool,
    /// `close_notify` is encrypted.
    is_shut_down: bool,
    /// The sending direction of the stream has ended. Replies to later messages of the peer are not sent.
    is_ended: bool,
    /// Early data that is not read, from `early_begin` on.
    early: Vec<u8>,
    early_begin: usize,
    may_get_early: bool,
    first: FirstBytes,
}

impl<N: Session> Engine<N> {
    pub(crate) fn new(session: N, transport: Box<dyn Transport>) -> Self {
        Self {
            session,
            transport,
            receivers: Waiters::default(),
            senders: Waiters::default(),
            woken: Vec::new(),
            failure: None,
            send_error: None,
            is_output_lost: false,
            is_sending: false,
            is_unflushed: false,
            is_eof: false,
            is_shut_down: false,
            is_ended: false,
            early: Vec::new(),
            early_begin: 0,
            may_get_early: true,
            first: FirstBytes::default(),
        }
    }

    /// Processes bytes that the session has received before it came here.
    pub(crate) fn begin(&mut self) {
        let (_, result) = self.session.receive(&[]);
        self.note(result);
        self.take_early();
    }

    /// Completes the handshake, and sends its last message.
    pub(crate) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let sent = self.poll_output(cx);
            self.check()?;
            if !self.session.is_handshaking() {
                ready!(sent);
                return Poll::Ready(self.take_send_error());
            }
            if self.is_eof {
                // The reason may be a reset, which only the send has reported.
                let error = self.send_error.take();
                return Poll::Ready(Err(error.unwrap_or_else(error::eof_in_handshake)));
            }
            ready!(self.poll_input(cx))?;
        }
    }

    /// Waits for plaintext or early data: false at the end, after `close_notify`.
    pub(crate) fn poll_plaintext(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            let sent = self.poll_output(cx);
            if !self.plaintext().is_empty() {
                return Poll::Ready(Ok(true));
            }
            self.check()?;
            if self.session.is_closed_by_peer() {
                return Poll::Ready(Ok(false));
            }
            if self.is_eof {
                return Poll::Ready(Err(self.unexpected_eof()));
            }
            let received = self.poll_input(cx);
            if received.is_pending() {
                self.session.release();
                if sent.is_ready() {
                    // An idle connection keeps no buffer of its sends.
                    let _ = self.poll_release(cx);
                }
            }
            ready!(received)?;
        }
    }

    /// Waits for early data: false if no more can arrive.
    pub(crate) fn poll_early(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            let _ = self.poll_output(cx);
            if self.early_begin < self.early.len() {
                return Poll::Ready(Ok(true));
            }
            self.check()?;
            self.take_early();
            if !self.may_get_early {
                return Poll::Ready(Ok(false));
            }
            if self.is_eof {
                return Poll::Ready(Err(self.unexpected_eof()));
            }
            ready!(self.poll_input(cx))?;
        }
    }

    /// The plaintext that is decrypted, without a wait.
    pub(crate) fn plaintext(&mut self) -> &[u8] {
        if self.early_begin < self.early.len() {
            &self.early[self.early_begin..]
        } else {
            self.session.plaintext()
        }
    }

    /// Whether plaintext is available after the received bytes are processed.
    pub(crate) fn has_plaintext(&mut self) -> bool {
        self.process();
        !self.plaintext().is_empty()
    }

    /// Notes that plaintext was read.
    pub(crate) fn consume(&mut self, len: usize) {
        if self.early_begin < self.early.len() {
            self.early_begin += len;
            if self.early_begin == self.early.len() {
                (self.early, self.early_begin) = (Vec::new(), 0);
            }
        } else {
            self.session.consume(len);
        }
    }

    /// Waits for the output of earlier writes, encrypts a prefix of the bytes, and begins to send it. Returns
    /// its length.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            self.take_send_error()?;
            if self.is_shut_down {
                return Poll::Ready(Err(error::is_shut_down()));
            }
            // A server may respond to early data before the end of the handshake.
            let is_handshaking = self.session.is_handshaking();
            let is_early = is_handshaking && self.session.has_accepted_early_data();
            if is_handshaking && !is_early {
                ready!(self.poll_handshake(cx))?;
            }
            ready!(self.poll_output(cx));
            self.take_send_error()?;
            self.check()?;
            let len = self.session.send(slices)?;
            if len == 0 && is_early && slices.iter().any(|slice| !slice.is_empty()) {
                // Its queue for the time after the handshake is full.
                ready!(self.poll_handshake(cx))?;
                continue;
            }
            let _ = self.poll_output(cx);
            self.take_send_error()?;
            return Poll::Ready(Ok(len));
        }
    }

    /// Encrypts a prefix of the bytes as early data, and begins to send it.
    pub(crate) fn poll_write_early(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_output(cx));
        self.take_send_error()?;
        self.check()?;
        let len = self.session.send_early_data(bytes)?;
        let _ = self.poll_output(cx);
        self.take_send_error()?;
        Poll::Ready(Ok(len))
    }

    /// Waits until all output is sent.
    pub(crate) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_output(cx));
        Poll::Ready(self.take_send_error())
    }

    /// Completes the handshake, and waits until all output is sent.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.take_send_error()?;
        if self.session.is_handshaking() && self.failure.is_none() && !self.is_shut_down {
            ready!(self.poll_handshake(cx))?;
        }
        ready!(self.poll_output(cx));
        self.take_send_error()?;
        ready!(self.poll_release(cx));
        Poll::Ready(self.take_send_error())
    }

    /// Sends `close_notify` after all output, and ends the sending direction of the stream.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut_down {
            ready!(self.poll_flush(cx).map(|flushed| {
                // The alert of a failure is output, too.
                if self.failure.is_some() {
                    Ok(())
                } else {
                    flushed
                }
            }))?;
            self.session.close();
            self.is_shut_down = true;
        }
        ready!(self.poll_output(cx));
        let mut ended = self.take_send_error();
        if ended.is_ok() {
            let Self {
                transport,
                senders,
                woken,
                ..
            } = self;
            ended = ready!(senders.poll(cx, woken, |cx| transport.poll_shutdown(cx)));
            self.is_ended = true;
        }
        Poll::Ready(match ended {
            // A peer that has closed the connection needs no close_notify. All data was sent before.
            Err(error) if error::is_disconnect(&error) => Ok(()),
            ended => ended,
        })
    }

    /// Sends the output of the session. Ready if nothing is in flight; an error waits for the next write.
    pub(crate) fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.is_output_lost
            && !self.is_ended
            && (self.session.has_output() || self.is_sending)
        {
            let Self {
                session,
                transport,
                senders,
                woken,
                ..
            } = self;
            let has_output = session.has_output();
            let sent = ready!(senders.poll(cx, woken, |cx| {
                if has_output {
                    transport.poll_send(cx, &mut |to| session.output(to))
                } else {
                    transport.poll_sent(cx)
                }
            }));
            self.is_sending = has_output;
            self.is_unflushed = true;
            if let Err(error) = sent {
                self.lose_output(error);
            }
        }
        Poll::Ready(())
    }

    /// No task waits for the output any more: those that wait for plaintext send it.
    pub(crate) fn pass_output_to_receivers(&mut self) {
        if self.is_sending || self.session.has_output() {
            self.receivers.take_all(&mut self.woken);
        }
    }

    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_unflushed || self.is_output_lost {
            return Poll::Ready(());
        }
        let Self {
            transport,
            senders,
            woken,
            ..
        } = self;
        let flushed = ready!(senders.poll(cx, woken, |cx| transport.poll_flush(cx)));
        self.is_unflushed = false;
        if let Err(error) = flushed {
            self.lose_output(error);
        }
        Poll::Ready(())
    }

    /// Processes received bytes. If there are none, receives some.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.transport.received().is_empty() {
            let Self {
                transport,
                receivers,
                woken,
                ..
            } = self;
            let len = ready!(receivers.poll(cx, woken, |cx| transport.poll_receive(cx)))?;
            self.is_eof = len == 0;
        }
        self.process();
        if self.failure.is_some() {
            // The alert for the peer.
            let _ = self.poll_output(cx);
        }
        Poll::Ready(Ok(()))
    }

    /// Passes received bytes to the session, until there is plaintext.
    fn process(&mut self) {
        while self.failure.is_none() {
            let received = self.transport.received();
            if received.is_empty() || !self.session.plaintext().is_empty() {
                break;
            }
            if self.session.is_closed_by_peer() {
                // Bytes behind `close_notify` are ignored.
                let len = received.len();
                self.transport.consume(len);
                break;
            }
            let is_handshaking = self.session.is_handshaking();
            if is_handshaking {
                self.first.add(received);
            }
            let (len, result) = self.session.receive(received);
            self.transport.consume(len);
            self.note(result);
            if is_handshaking {
                self.take_early();
            }
        }
    }

    pub(crate) fn abort(&mut self) {
        self.transport.abort();
    }

    fn take_early(&mut self) {
        if self.may_get_early {
            self.may_get_early = self.session.take_early_data(&mut self.early);
        }
    }

    fn note(&mut self, result: Result<(), rustls::Error>) {
        if let Err(error) = result {
            let failure = Failure::new(error, &self.first);
            // Such a peer cannot read an alert.
            self.is_ended |= failure.is_plain_http();
            self.failure = Some(failure);
        }
    }

    fn check(&self) -> io::Result<()> {
        self.failure
            .clone()
            .map_or(Ok(()), |failure| Err(failure.into()))
    }

    fn unexpected_eof(&self) -> io::Error {
        if self.session.is_handshaking() {
            error::eof_in_handshake()
        } else {
            error::truncated()
        }
    }

    fn lose_output(&mut self, error: io::Error) {
        self.send_error = Some(error);
        self.is_output_lost = true;
        self.is_sending = false;
    }

    fn take_send_error(&mut self) -> io::Result<()> {
        match self.send_error.take() {
            Some(error) => Err(error),
            None if self.is_output_lost => Err(error::is_output_lost()),
            None => Ok(()),
        }
    }
}
