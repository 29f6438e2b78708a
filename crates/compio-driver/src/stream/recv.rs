//! A stream of received buffers.

use std::{
    fmt,
    future::Future,
    io, mem,
    ops::ControlFlow,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use crate::{
    buffer_queue::Ticket,
    buffers::{BufferPool, PooledBuffer},
    cancel::Cancelled,
    driver::Driver,
    fd::SharedFd,
    multishot::{Next, RawOp},
    op::{
        Nop, PollOnce, Readiness, Recv,
        multishot::{RecvMulti, RecvPooled},
    },
    orphan::OrphanWait,
    recv::{LosslessRecv, Receive, RecvMode},
    request::{Request, is_cancelled},
    submit::Submit,
    sys,
};

impl Driver {
    /// The bytes of a stream socket, in buffers of a pool of the same driver. One multishot request serves
    /// all, if the kernel supports that. `flags` are the system's `MSG_` flags, of which `MSG_DONTWAIT`,
    /// `MSG_PEEK`, `MSG_TRUNC` and `MSG_WAITALL` have no effect.
    ///
    /// # Panics
    ///
    /// If the pool was made for another driver.
    pub fn recv_stream(&self, fd: SharedFd, pool: &BufferPool, flags: i32) -> RecvStream {
        assert!(
            Rc::ptr_eq(self.inner(), pool.driver()),
            "the buffer pool belongs to another driver: create one for this driver"
        );
        RecvStream::new(fd, pool.clone(), flags)
    }
}

/// The bytes of a stream socket, in the order of arrival, in buffers of a pool. Made by
/// [`Driver::recv_stream`](crate::Driver::recv_stream). [`of_datagrams`](Self::of_datagrams) receives from a
/// socket with messages.
///
/// # Cancellation
///
/// Nothing is lost: if it is dropped, the next receive of [`Driver`] from this descriptor, or
/// the next `RecvStream`, returns its unread data. After a [`cancel`](Self::cancel) this stream returns the
/// unread data itself.
///
/// A stream that is no longer polled may hold data in a few dozen buffers of the pool. Other users of the
/// pool lack these buffers.
///
/// A stream with a flag for other data than the bytes of the connection, such as `MSG_OOB`, neither keeps data
/// nor returns unread data.
// Every idle connection has one: its size matters.
pub struct RecvStream {
    fd: SharedFd,
    pool: BufferPool,
    state: Receiving,
    is_cancelled: bool,
    /// Whether each item is a datagram. An empty one is no EOF.
    has_messages: bool,
    /// State that few streams need.
    rest: Option<Box<Rest>>,
}

const _: () = assert!(size_of::<RecvStream>() <= 40);

enum Receiving {
    Idle,
    /// The kernel picks the buffers.
    Multi {
        receive: RawOp<LosslessRecv<RecvMulti<SharedFd>>>,
        /// Data has arrived since the last check for EOF.
        has_come: bool,
        /// The request was cancelled, to be submitted again.
        is_doubtful: bool,
    },
    /// The backend picks the buffer.
    Pooled(RawOp<LosslessRecv<RecvPooled<SharedFd>>>),
    /// The stream picks the buffer: see [`Rest`].
    ByHand,
    Ended,
}

#[derive(Default)]
struct Rest {
    flags: i32,
    by_hand: ByHand,
    /// The place in the pool's queue.
    ticket: Ticket,
    /// Tokens that end the wait in the queue.
    cancels: Vec<Cancelled>,
    /// Completes when the kernel has tried a receive that has waited in the queue.
    probe: Option<Submit<Nop>>,
    /// Waits for the completions of dropped receives.
    orphan_wait: OrphanWait,
}

impl Rest {
    /// Whether the kernel has tried a receive that had waited in the queue. Returns `true` once.
    fn was_tried(this: &mut Option<Box<Self>>, cx: &mut Context<'_>) -> bool {
        let probe = this.as_mut().and_then(|rest| rest.probe.as_mut());
        probe.is_some_and(|probe| Pin::new(probe).poll(cx).is_ready())
    }
}

#[derive(Default)]
enum ByHand {
    #[default]
    Idle,
    /// No buffer is held.
    Waiting(Submit<PollOnce>),
    Single(Receive<SharedFd, Recv<PooledBuffer>>),
}

impl RecvStream {
    pub(crate) fn new(fd: SharedFd, pool: BufferPool, flags: i32) -> Self {
        // The stream itself controls the waiting. Kernels treat these two flags differently here. A peek would
        // return the same bytes again and again, and a drop would keep them as unread data.
        let ignored = sys::MSG_WAITALL | sys::MSG_DONTWAIT.unwrap_or(0) | sys::MSG_PEEK;
        let flags = flags & !ignored;
        let rest = || {
            Box::new(Rest {
                flags,
                ..Rest::default()
            })
        };
        Self {
            fd,
            pool,
            state: Receiving::Idle,
            is_cancelled: false,
            has_messages: false,
            rest: (flags != 0).then(rest),
        }
    }

    /// Makes it a stream of datagrams, each in a buffer of its own, without its sender. For sockets with
    /// messages: an empty datagram is an empty buffer, and there is no EOF. The part of a datagram that does
    /// not fit into a buffer is lost.
    ///
    /// # Cancellation
    ///
    /// If the stream is dropped, empty datagrams that it has received are lost.
    #[must_use]
    pub fn of_datagrams(mut self) -> Self {
        self.has_messages = true;
        self
    }

    /// Ends the stream. Data that has been received by then is still returned, followed by `None`.
    pub fn cancel(&mut self) {
        self.is_cancelled = true;
        match &self.state {
            Receiving::Idle => {
                self.state = Receiving::Ended;
                self.end_wait();
            }
            Receiving::Multi { receive, .. } => receive.cancel(self.pool.driver()),
            Receiving::Pooled(receive) => receive.cancel(self.pool.driver()),
            Receiving::ByHand => match self.rest.as_deref().map(|rest| &rest.by_hand) {
                Some(ByHand::Waiting(wait)) => wait.cancel(),
                Some(ByHand::Single(receive)) => receive.cancel(),
                Some(ByHand::Idle) | None => {}
            },
            Receiving::Ended => {}
        }
    }

    /// The next bytes; `None` at EOF. An error does not end the stream: the next poll
    /// tries again.
    ///
    /// If all buffers of the pool are in use, it waits until one is returned.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<PooledBuffer>>> {
        loop {
            let driver = self.pool.driver();
            let answer = match &mut self.state {
                Receiving::Idle => match ready!(self.poll_begin(cx)) {
                    ControlFlow::Continue(()) => continue,
                    ControlFlow::Break(next) => {
                        self.end_wait();
                        return Poll::Ready(next);
                    }
                },
                Receiving::Multi {
                    receive,
                    has_come,
                    is_doubtful,
                } => {
                    let Poll::Ready(next) = receive.poll_next(driver, cx) else {
                        if Rest::was_tried(&mut self.rest, cx) {
                            // No data: the free buffer is for other streams.
                            self.end_wait();
                            continue;
                        }
                        // The kernel may have missed an EOF that arrived right after the bytes.
                        // A new request finds it.
                        if mem::take(has_come)
                            && !self.has_messages
                            && self.pool.has_ended(&self.fd)
                        {
                            *is_doubtful = true;
                            receive.cancel(driver);
                        }
                        return Poll::Pending;
                    };
                    match next {
                        // The kernel picked a buffer and wrote nothing: the buffer returns to the pool.
                        Next::Item(buffer) if buffer.is_empty() => continue,
                        Next::Item(buffer) => {
                            *has_come = true;
                            self.end_wait();
                            return Poll::Ready(Some(Ok(buffer)));
                        }
                        Next::End((end, _)) => {
                            let is_doubtful = *is_doubtful;
                            self.state = Receiving::Idle;
                            if let Some(rest) = &mut self.rest {
                                rest.probe = None;
                            }
                            // All items have been returned before. The bytes of the final completion
                            // were in one of them.
                            match end {
                                Ok(Some(0)) => Ok(None),
                                Ok(_) => continue,
                                Err(error) if is_doubtful && is_cancelled(&error) => continue,
                                Err(error) if is_out_of_buffers(&error) => continue,
                                Err(error) => Err(error),
                            }
                        }
                    }
                }
                Receiving::Pooled(receive) => {
                    let received = ready!(receive.poll(driver, cx));
                    self.state = Receiving::Idle;
                    match received {
                        Err(error) if is_out_of_buffers(&error) => continue,
                        answer => answer,
                    }
                }
                Receiving::ByHand => {
                    let Poll::Ready(arrived) = self.poll_by_hand(cx) else {
                        if Rest::was_tried(&mut self.rest, cx) {
                            self.end_wait();
                        }
                        return Poll::Pending;
                    };
                    self.state = Receiving::Idle;
                    match arrived {
                        None => continue,
                        Some(Ok((0, _))) => Ok(None),
                        Some(received) => received.map(|(_, buffer)| Some(buffer)),
                    }
                }
                Receiving::Ended => {
                    self.end_wait();
                    return Poll::Ready(None);
                }
            };
            self.end_wait();
            match answer {
                Ok(Some(buffer)) => return Poll::Ready(Some(Ok(buffer))),
                // An empty datagram takes no buffer of the pool.
                Ok(None) if self.has_messages => {
                    return Poll::Ready(Some(Ok(self.pool.beside(&[]))));
                }
                Ok(None) => self.state = Receiving::Ended,
                Err(error) if self.was_called_off(&error) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    /// Begins to receive, unless unread data, an error or EOF comes first.
    fn poll_begin(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ControlFlow<Option<io::Result<PooledBuffer>>>> {
        if self.is_cancelled {
            self.state = Receiving::Ended;
            return Poll::Ready(ControlFlow::Continue(()));
        }
        match ready!(self.poll_unread(cx)) {
            Some(Ok(None)) if self.has_messages => {
                let empty = self.pool.beside(&[]);
                return Poll::Ready(ControlFlow::Break(Some(Ok(empty))));
            }
            Some(Ok(None)) => {
                self.state = Receiving::Ended;
                return Poll::Ready(ControlFlow::Continue(()));
            }
            Some(left) => return Poll::Ready(ControlFlow::Break(left.transpose())),
            None => {}
        }
        let has_buffer = self.finds_buffer(cx);
        if let Some(error) = self.pool.driver().refusal() {
            return Poll::Ready(ControlFlow::Break(Some(Err(error))));
        }
        if !has_buffer {
            return Poll::Pending;
        }
        self.begin();
        Poll::Ready(ControlFlow::Continue(()))
    }

    /// The unread data of dropped receives: `Some(Ok(None))` at EOF, `None` if there is none.
    fn poll_unread(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Option<PooledBuffer>>>> {
        if self.mode() == RecvMode::Beside {
            return Poll::Ready(None);
        }
        let Some(unread) = self.fd.unread() else {
            return Poll::Ready(None);
        };
        let driver = self.pool.driver();
        let rest = &mut self.rest;
        ready!(unread.poll_settled(driver, cx, || &mut rest.get_or_insert_default().orphan_wait));
        if let Some(error) = driver.refusal() {
            return Poll::Ready(Some(Err(error)));
        }
        Poll::Ready(unread.next_pooled(&self.pool))
    }

    /// Whether the pool has a buffer. If not, the task is woken when one is returned.
    fn finds_buffer(&mut self, cx: &mut Context<'_>) -> bool {
        if self.pool.has_some() {
            return true;
        }
        let rest = self.rest.get_or_insert_default();
        self.pool.queue().list(&mut rest.ticket, cx.waker());
        rest.cancels = self.pool.driver().listen_for_cancels(cx);
        self.pool.has_some()
    }

    /// Ends the wait in the pool's queue, if there is one: other streams can have a free buffer.
    fn end_wait(&mut self) {
        let Some(rest) = &mut self.rest else { return };
        rest.probe = None;
        if rest.ticket.is_some() {
            self.pool.queue().leave(&mut rest.ticket);
            rest.cancels = Vec::new();
            if rest.flags == 0 && matches!(self.state, Receiving::Multi { .. } | Receiving::Ended) {
                // No wait in it is active now.
                self.rest = None;
            }
            self.pool.pass_on();
        }
    }

    fn flags(&self) -> i32 {
        self.rest.as_ref().map_or(0, |rest| rest.flags)
    }

    fn mode(&self) -> RecvMode {
        RecvMode::of(self.flags())
    }

    fn begin(&mut self) {
        let flags = self.flags();
        let Self { fd, pool, .. } = &*self;
        let driver = pool.driver();
        if let Some(group) = pool.group() {
            let receive = RecvMulti::new(fd.clone(), pool.clone(), group, flags);
            let receive = LosslessRecv::new(receive, self.mode());
            let (receive, request) = RawOp::insert_multishot(driver, receive);
            self.state = Receiving::Multi {
                receive,
                has_come: false,
                is_doubtful: false,
            };
            self.submit(&request);
        } else if driver.capabilities().recv_pooled {
            let receive = RecvPooled::new(fd.clone(), pool.clone(), flags);
            let receive = LosslessRecv::new(receive, self.mode());
            let (receive, request) = RawOp::insert(driver, receive);
            self.state = Receiving::Pooled(receive);
            self.submit(&request);
        } else {
            let wait = ByHand::wait(fd, pool);
            self.rest.get_or_insert_default().by_hand = wait;
            self.state = Receiving::ByHand;
        }
        if let Receiving::Multi { .. } | Receiving::ByHand = self.state
            && let Some(rest) = &mut self.rest
            && rest.ticket.is_some()
        {
            // The kernel tries it in the next turn. If there is no buffer left, this stream keeps its place.
            rest.probe = Some(Submit::new(Rc::clone(self.pool.driver()), Nop::new()));
            return;
        }
        // The backend has tried it.
        self.end_wait();
        if flags == 0 && !matches!(self.state, Receiving::ByHand) {
            // No wait in it is active now.
            self.rest = None;
        }
    }

    /// Submits the operation that was just inserted.
    fn submit(&self, request: &Request) {
        let driver = self.pool.driver();
        match &self.state {
            Receiving::Multi { receive, .. } => receive.submit(driver, request),
            Receiving::Pooled(receive) => receive.submit(driver, request),
            Receiving::Idle | Receiving::ByHand | Receiving::Ended => {}
        }
    }

    /// Waits for readiness, then receives the available data. `None` if the pool has no buffer.
    fn poll_by_hand(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<(usize, PooledBuffer)>>> {
        let rest = self.rest.get_or_insert_default();
        loop {
            match &mut rest.by_hand {
                ByHand::Idle => return Poll::Ready(None),
                ByHand::Waiting(wait) => {
                    let readiness = ready!(Pin::new(wait).poll(cx));
                    rest.by_hand = ByHand::Idle;
                    if let Err(error) = readiness {
                        return Poll::Ready(Some(Err(error)));
                    }
                    if let Some(buffer) = self.pool.take() {
                        rest.by_hand = ByHand::receive(&self.fd, &self.pool, buffer, rest.flags);
                    }
                }
                ByHand::Single(receive) => {
                    let (result, buffer) = ready!(Pin::new(receive).poll(cx));
                    rest.by_hand = ByHand::Idle;
                    match result {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            rest.by_hand = ByHand::wait(&self.fd, &self.pool);
                        }
                        result => return Poll::Ready(Some(result.map(|len| (len, buffer)))),
                    }
                }
            }
        }
    }

    /// Whether [`cancel`](Self::cancel) is the cause of the error.
    fn was_called_off(&self, error: &io::Error) -> bool {
        self.is_cancelled && is_cancelled(error)
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        let driver = self.pool.driver();
        // Before it is abandoned, which may complete it at once.
        let mode = self.mode();
        let orphan_added = || {
            if mode == RecvMode::Consume {
                self.fd.unread_or_new().orphan_added(driver);
            }
        };
        match mem::replace(&mut self.state, Receiving::Ended) {
            Receiving::Multi { receive, .. } => {
                orphan_added();
                receive.abandon(driver);
            }
            Receiving::Pooled(receive) => {
                orphan_added();
                receive.abandon(driver);
            }
            Receiving::Idle | Receiving::ByHand | Receiving::Ended => {}
        }
        self.end_wait();
    }
}

impl ByHand {
    fn wait(fd: &SharedFd, pool: &BufferPool) -> Self {
        let wait = PollOnce::new(fd.clone(), Readiness::READABLE);
        Self::Waiting(Submit::new(Rc::clone(pool.driver()), wait))
    }

    /// Receives the available data.
    fn receive(fd: &SharedFd, pool: &BufferPool, buffer: PooledBuffer, flags: i32) -> Self {
        let flags = flags | sys::MSG_DONTWAIT.unwrap_or(0);
        let driver = Rc::clone(pool.driver());
        let receive = Recv::new(fd.clone(), buffer, flags);
        let mode = RecvMode::of(flags);
        Self::Single(Receive::by(driver, fd.clone(), receive, mode))
    }
}

pub(crate) fn is_out_of_buffers(error: &io::Error) -> bool {
    error.raw_os_error() == Some(sys::ENOBUFS)
}

impl fmt::Debug for RecvStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvStream")
            .field("fd", &self.fd)
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}
