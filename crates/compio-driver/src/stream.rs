//! Operations that go on by themselves: accepting connections, and receiving into a pool of
//! buffers; and sends that give their buffer back later.
//!
//! Where the kernel answers one request several times, that is used; elsewhere the request is made
//! again for each answer. What comes out is the same.

use std::{
    fmt,
    future::Future,
    io, mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use compio_io::buf::IoBuf;

use crate::{
    buffers::{BufferPool, PooledBuffer},
    driver::Inner,
    fd::SharedFd,
    op::{
        Accept, PollOnce, Readiness, Recv, Send,
        multi::{AcceptMulti, RecvMulti, SendZeroCopy},
    },
    receiving::{Guarded, LentFd, Receive, Settling, Way},
    request::is_cancelled,
    submit::Submit,
    submit_multi::{Next, SubmitMulti},
    sys::{self, OwnedFd},
};

/// The connections of a listening socket, one after the other. Made by
/// [`Driver::accept_stream`](crate::Driver::accept_stream).
///
/// Where one request brings many, some are accepted before they are asked for: all that wait at that
/// moment, but no more once there are a few dozen.
///
/// # Cancellation
///
/// Between two connections nothing is lost by not polling it. Dropping it closes the connections
/// that were accepted and not taken yet.
pub struct AcceptStream {
    driver: Rc<Inner>,
    fd: SharedFd,
    state: Accepting,
}

enum Accepting {
    Idle,
    Multi(SubmitMulti<AcceptMulti<SharedFd>>),
    Single(Submit<Accept>),
}

impl AcceptStream {
    pub(crate) fn new(driver: Rc<Inner>, fd: SharedFd) -> Self {
        Self {
            driver,
            fd,
            state: Accepting::Idle,
        }
    }

    /// The next connection. An error concerns one connection or the moment, and does not end the
    /// stream.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<OwnedFd>> {
        loop {
            let accepted = match &mut self.state {
                Accepting::Idle => {
                    self.state = self.accept();
                    continue;
                }
                Accepting::Multi(accept) => match ready!(accept.poll_next(cx)) {
                    Next::Item(fd) => return Poll::Ready(Ok(fd)),
                    Next::End(last) => last.transpose(),
                },
                Accepting::Single(accept) => {
                    Some(ready!(Pin::new(accept).poll(cx)).map(|(fd, _)| fd))
                }
            };
            self.state = Accepting::Idle;
            if let Some(accepted) = accepted {
                return Poll::Ready(accepted);
            }
        }
    }

    fn accept(&self) -> Accepting {
        let fd = self.fd.clone();
        if self.driver.extras().accept_multi {
            let operation = AcceptMulti::new(fd);
            Accepting::Multi(SubmitMulti::new(Rc::clone(&self.driver), operation))
        } else {
            Accepting::Single(Submit::new(Rc::clone(&self.driver), Accept::new(fd)))
        }
    }
}

impl fmt::Debug for AcceptStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AcceptStream").field(&self.fd).finish()
    }
}

/// The bytes of a stream socket, in the order of their coming, in buffers of a pool. Made by
/// [`Driver::recv_stream`](crate::Driver::recv_stream).
///
/// # Cancellation
///
/// Nothing is lost: what was received and not taken when it is dropped is received by the next receive
/// of [`Driver`](crate::Driver) from this descriptor, or the next `RecvStream`. After a
/// [`cancel`](Self::cancel) it comes out of this one.
///
/// One that is not polled any more may have received into a few dozen of the pool's buffers, which
/// others have to do without.
pub struct RecvStream {
    fd: SharedFd,
    pool: BufferPool,
    flags: i32,
    state: Receiving,
    is_cancelled: bool,
    /// Something has come since the end was looked for.
    has_come: bool,
    /// The request under way was given up, to be made again.
    is_doubtful: bool,
    /// Waits for a buffer to come back.
    returning: Settling,
    /// Waits for what came of receives that were dropped.
    settling: Settling,
}

enum Receiving {
    Idle,
    /// The kernel chooses the buffers.
    Multi(SubmitMulti<Guarded<RecvMulti<LentFd>>>),
    /// No buffer is held.
    Waiting(Submit<PollOnce>),
    Single(Receive<SharedFd, Recv<PooledBuffer, LentFd>>),
    Ended,
}

impl RecvStream {
    pub(crate) fn new(fd: SharedFd, pool: BufferPool, flags: i32) -> Self {
        // When it waits, and for what, is its own business: the kernel's answers differ here.
        let waiting = sys::MSG_WAITALL | sys::MSG_DONTWAIT.unwrap_or(0);
        Self {
            fd,
            pool,
            flags: flags & !waiting,
            state: Receiving::Idle,
            is_cancelled: false,
            has_come: false,
            is_doubtful: false,
            returning: Settling::default(),
            settling: Settling::default(),
        }
    }

    /// Asks for the end. What has been received by then still comes, and after it `None`.
    pub fn cancel(&mut self) {
        self.is_cancelled = true;
        match &self.state {
            Receiving::Idle => self.state = Receiving::Ended,
            Receiving::Multi(receive) => receive.cancel(),
            Receiving::Waiting(wait) => wait.cancel(),
            Receiving::Single(receive) => receive.cancel(),
            Receiving::Ended => {}
        }
    }

    /// The next bytes; `None` at the end of the stream. An error does not end it: the next poll
    /// tries again.
    ///
    /// When all buffers of the pool are handed out, it waits until one has come back.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<PooledBuffer>>> {
        loop {
            match &mut self.state {
                Receiving::Idle => {
                    if self.is_cancelled {
                        self.state = Receiving::Ended;
                        continue;
                    }
                    match ready!(self.poll_leftovers(cx)) {
                        Some(Ok(None)) => {
                            self.state = Receiving::Ended;
                            continue;
                        }
                        Some(left) => return Poll::Ready(left.transpose()),
                        None => {}
                    }
                    if !self.finds_buffer(cx) {
                        let refused = self.pool.driver().refuses();
                        return refused
                            .map_or(Poll::Pending, |error| Poll::Ready(Some(Err(error))));
                    }
                    self.state = self.begin();
                }
                Receiving::Multi(receive) => {
                    let Poll::Ready(next) = receive.poll_next(cx) else {
                        // The kernel may have overlooked an end that came close behind the bytes.
                        // A new request would find it.
                        if mem::take(&mut self.has_come) && self.pool.has_ended(&self.fd) {
                            self.is_doubtful = true;
                            receive.cancel();
                        }
                        return Poll::Pending;
                    };
                    let answer = match next {
                        // A buffer that the kernel has chosen for nothing goes back.
                        Next::Item(buffer) if buffer.is_empty() => continue,
                        Next::Item(buffer) => {
                            self.has_come = true;
                            return Poll::Ready(Some(Ok(buffer)));
                        }
                        // All items have been handed out before.
                        Next::End(arrived) => arrived.into_inner().0,
                    };
                    let was_doubtful = mem::take(&mut self.is_doubtful);
                    self.state = Receiving::Idle;
                    match answer {
                        Ok(Some(0)) => self.state = Receiving::Ended,
                        // Its bytes have come with an item.
                        Ok(_) => {}
                        Err(error) if is_out_of_buffers(&error) => {}
                        Err(error) if was_doubtful && is_cancelled(&error) => {}
                        Err(error) if self.was_called_off(&error) => {}
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    }
                }
                Receiving::Waiting(wait) => {
                    let readiness = ready!(Pin::new(wait).poll(cx));
                    match readiness {
                        Err(error) if self.was_called_off(&error) => self.state = Receiving::Idle,
                        Err(error) => {
                            self.state = Receiving::Idle;
                            return Poll::Ready(Some(Err(error)));
                        }
                        Ok(_) => self.state = self.try_now(),
                    }
                }
                Receiving::Single(receive) => {
                    let (result, buffer) = ready!(Pin::new(receive).poll(cx));
                    self.state = Receiving::Idle;
                    match result {
                        Ok(0) => self.state = Receiving::Ended,
                        Ok(_) => return Poll::Ready(Some(Ok(buffer))),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            self.state = self.wait();
                        }
                        Err(error) if self.was_called_off(&error) => {}
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    }
                }
                Receiving::Ended => return Poll::Ready(None),
            }
        }
    }

    /// What receives that were dropped have left, none at their end; nothing if they have left nothing.
    fn poll_leftovers(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Option<PooledBuffer>>>> {
        let Some(leftovers) = self.fd.leftovers() else {
            return Poll::Ready(None);
        };
        let driver = self.pool.driver();
        if leftovers.are_in_doubt() && driver.refuses().is_none() {
            ready!(self.settling.poll(driver, leftovers, cx));
        }
        if let Some(error) = driver.refuses() {
            return Poll::Ready(Some(Err(error)));
        }
        Poll::Ready(leftovers.next_pooled(&self.pool))
    }

    /// Whether there is a buffer. If not, the task is woken when one has come back.
    fn finds_buffer(&mut self, cx: &mut Context<'_>) -> bool {
        if self.pool.has_some() {
            return true;
        }
        let driver = self.pool.driver();
        self.returning.listen(driver, cx, self.pool.waiters());
        self.pool.has_some()
    }

    fn begin(&self) -> Receiving {
        let driver = self.pool.driver();
        if let Some(group) = self.pool.group() {
            let receive = |fd| RecvMulti::new(fd, self.pool.clone(), group, self.flags);
            let receive = Guarded::new(self.fd.clone(), receive, Way::Take);
            Receiving::Multi(SubmitMulti::new(Rc::clone(driver), receive))
        } else if driver.extras().try_at_once {
            self.try_now()
        } else {
            self.wait()
        }
    }

    /// Receives what is there, if there is a buffer for it.
    fn try_now(&self) -> Receiving {
        let buffer = self.pool.take();
        buffer.map_or(Receiving::Idle, |buffer| self.receive(buffer))
    }

    fn receive(&self, buffer: PooledBuffer) -> Receiving {
        let flags = self.flags | sys::MSG_DONTWAIT.unwrap_or(0);
        let driver = Rc::clone(self.pool.driver());
        let receive = |fd| Recv::new(fd, buffer, flags);
        Receiving::Single(Receive::by(driver, self.fd.clone(), receive, Way::Take))
    }

    fn wait(&self) -> Receiving {
        let wait = PollOnce::new(self.fd.clone(), Readiness::READABLE);
        Receiving::Waiting(Submit::new(Rc::clone(self.pool.driver()), wait))
    }

    /// Whether the error is the echo of [`cancel`](Self::cancel).
    fn was_called_off(&self, error: &io::Error) -> bool {
        self.is_cancelled && is_cancelled(error)
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        if let Receiving::Multi(receive) = &self.state
            && receive.is_airborne()
        {
            let leftovers = self.fd.leftovers_or_new();
            leftovers.expect_one(self.pool.driver());
        }
    }
}

fn is_out_of_buffers(error: &io::Error) -> bool {
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

/// A send that need not copy. Made by
/// [`Driver::send_zero_copy`](crate::Driver::send_zero_copy). Its output is how much was sent, and the
/// buffer, on loan until the kernel has done with it.
///
/// # Cancellation
///
/// As for [`Send`]: a part may have been sent. The buffer is dropped when the kernel has done with
/// it, which may be when the peer has read, or is gone.
pub struct SendZeroCopyFuture<B: IoBuf> {
    driver: Rc<Inner>,
    fd: SharedFd,
    flags: i32,
    state: Sending<B>,
}

enum Sending<B: IoBuf> {
    Multi(SubmitMulti<SendZeroCopy<B>>),
    /// The kernel cannot with this socket, and is about to give the buffer back.
    Refused(SubmitMulti<SendZeroCopy<B>>),
    Single(Submit<Send<B>>),
    Done,
}

/// A buffer that the kernel still reads; awaited, it comes back: at the latest when the peer has
/// acknowledged or read all that was sent of it, or is gone.
///
/// A driver that is dropped meanwhile waits for that, at most for its shutdown timeout, and leaks the
/// buffer then.
///
/// # Cancellation
///
/// Dropping it drops the buffer, as soon as the kernel has done with it.
#[must_use = "dropping it drops the buffer"]
pub struct Loan<B: IoBuf>(Lent<B>);

enum Lent<B: IoBuf> {
    Out(SubmitMulti<SendZeroCopy<B>>),
    Back(Option<B>),
}

impl<B: IoBuf> SendZeroCopyFuture<B> {
    pub(crate) fn new(driver: Rc<Inner>, fd: SharedFd, buffer: B, flags: i32) -> Self {
        let state = if driver.extras().send_zero_copy {
            let operation = SendZeroCopy::new(fd.clone(), buffer, flags);
            Sending::Multi(SubmitMulti::new(Rc::clone(&driver), operation))
        } else {
            Sending::Single(Submit::new(
                Rc::clone(&driver),
                Send::new(fd.clone(), buffer, flags),
            ))
        };
        Self {
            driver,
            fd,
            flags,
            state,
        }
    }

    fn send_plainly(&self, buffer: B) -> Sending<B> {
        let send = Send::new(self.fd.clone(), buffer, self.flags);
        Sending::Single(Submit::new(Rc::clone(&self.driver), send))
    }
}

/// The operation is in its cell once it has been begun: nothing in here is pinned.
impl<B: IoBuf> Unpin for SendZeroCopyFuture<B> {}

impl<B: IoBuf> Future for SendZeroCopyFuture<B> {
    type Output = (io::Result<usize>, Loan<B>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut self.state {
                Sending::Multi(send) => {
                    let next = ready!(send.poll_next(cx));
                    let Sending::Multi(send) = mem::replace(&mut self.state, Sending::Done) else {
                        unreachable!("it has just been polled");
                    };
                    match next {
                        Next::Item(Err(error)) if wants_a_copy(&error) => {
                            self.state = Sending::Refused(send);
                        }
                        Next::Item(sent) => return Poll::Ready((sent, Loan(Lent::Out(send)))),
                        Next::End((Err(error), buffer)) if wants_a_copy(&error) => {
                            self.state = self.send_plainly(buffer);
                        }
                        Next::End((sent, buffer)) => {
                            return Poll::Ready((sent, Loan(Lent::Back(Some(buffer)))));
                        }
                    }
                }
                Sending::Refused(send) => {
                    if let Next::End((_, buffer)) = ready!(send.poll_next(cx)) {
                        self.state = self.send_plainly(buffer);
                    }
                }
                Sending::Single(send) => {
                    let (sent, buffer) = ready!(Pin::new(send).poll(cx));
                    self.state = Sending::Done;
                    return Poll::Ready((sent, Loan(Lent::Back(Some(buffer)))));
                }
                Sending::Done => panic!("polled after completion"),
            }
        }
    }
}

/// Whether a send failed, with nothing sent, that would have to copy: the socket's kind knows no other
/// way, or too much memory is locked for others already.
fn wants_a_copy(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::Unsupported, io::ErrorKind::OutOfMemory];
    kinds.contains(&error.kind()) || is_out_of_buffers(error)
}

/// As for [`SendZeroCopyFuture`].
impl<B: IoBuf> Unpin for Loan<B> {}

impl<B: IoBuf> Future for Loan<B> {
    type Output = B;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<B> {
        loop {
            match &mut self.0 {
                Lent::Back(buffer) => {
                    return Poll::Ready(buffer.take().expect("polled after completion"));
                }
                Lent::Out(send) => {
                    if let Next::End((_, buffer)) = ready!(send.poll_next(cx)) {
                        self.0 = Lent::Back(Some(buffer));
                    }
                }
            }
        }
    }
}

impl<B: IoBuf> fmt::Debug for SendZeroCopyFuture<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendZeroCopyFuture")
    }
}

impl<B: IoBuf> fmt::Debug for Loan<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Loan")
    }
}
