//! Receives into and sends from borrowed slices, for polls.
//!
//! A completion-based operation owns its buffer. A poll only borrows one, so the kernel must not use it after
//! the poll. Here a poll tries the plain non-blocking call with the borrowed slice. If it has to wait:
//!
//! - A receive waits by an operation that picks a buffer of a pool when data arrives. That is one system call
//!   less than a wait for readiness with a receive after it, and the small copy costs less.
//! - A send waits for readiness. Its caller may return with other bytes.
//!
//! ```text
//!            a pooled buffer has bytes ---------------------------> copy, Ready
//! poll_recv  unread data of dropped receives ---------------------> copy, Ready
//!            the last receive was not short: recv(2) -------------> Ready
//!                                            | EAGAIN
//!            the last receive was short -----+--> wait: Pending --> a pooled buffer has bytes
//! ```
//!
//! A short receive has emptied the socket, so the next one waits at once. If that is wrong, the wait ends at
//! once.

use std::{
    fmt,
    io::{self, IoSlice, IoSliceMut},
    mem::{self, MaybeUninit},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use compio_io::coop::{has_budget_remaining, poll_proceed};

use crate::{
    buffers::{BufferPool, PooledBuffer},
    driver::Core,
    fd::SharedFd,
    metrics::OpKind,
    multishot::{Next, RawOp},
    op::{
        PollOnce, Readiness,
        multishot::{RecvMulti, RecvPooled},
    },
    orphan::OrphanWait,
    os_calls::socket::SocketRef,
    recv::{LosslessRecv, RecvMode},
    request::is_cancelled,
    stream::is_out_of_buffers,
    submit::Submit,
    sys::AsFd,
};

/// The receiving direction of a stream socket, for polls with borrowed slices.
///
/// The socket was [prepared](SocketRef::prepare_for_attempts).
///
/// # Cancellation
///
/// A poll that is not repeated loses nothing. Neither does the drop: the next receive from another handle of
/// the socket returns the bytes.
pub struct SliceRecv {
    fd: SharedFd,
    wait: Wait,
    /// Received bytes that were not taken. Not empty.
    left: Option<PooledBuffer>,
    /// The number of bytes of `left` that were taken.
    taken: usize,
    /// Whether recv(2) may succeed. False after a short receive.
    may_have_more: bool,
    /// Whether the pool had no buffer for the last wait.
    lacks_buffer: bool,
    /// Present only while there are pending orphans.
    orphan_wait: Option<Box<OrphanWait>>,
}

enum Wait {
    Idle,
    /// The kernel picks the buffer.
    Picked(Rc<Core>, RawOp<LosslessRecv<RecvMulti<SharedFd>>>),
    /// The backend picks the buffer.
    Pooled(Rc<Core>, RawOp<LosslessRecv<RecvPooled<SharedFd>>>),
    Ready(Submit<PollOnce>),
}

/// The end of a wait.
enum Waited {
    Bytes(PooledBuffer),
    Eof,
    /// The wait has to be repeated, or an attempt may succeed.
    Again,
}

impl SliceRecv {
    /// The receiving direction of this socket.
    pub fn new(fd: SharedFd) -> Self {
        Self {
            fd,
            wait: Wait::Idle,
            left: None,
            taken: 0,
            may_have_more: true,
            lacks_buffer: false,
            orphan_wait: None,
        }
    }

    /// Receives into a slice: the number of bytes, which are at its start; 0 at EOF, or if it is empty.
    ///
    /// Only the waker of the last poll is woken. `pool` returns a pool of the driver that the task waits for. `count` gets
    /// the results of plain calls, which are no operations of a driver: see
    /// [`DriverMetrics::count_call`](crate::DriverMetrics::count_call).
    pub fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        mut room: &mut [MaybeUninit<u8>],
        pool: impl Fn() -> BufferPool,
        count: impl Fn(OpKind, &io::Result<usize>),
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, &mut room, &pool, &count)
    }

    /// As [`poll_recv`](Self::poll_recv), into several slices, one after the other.
    pub fn poll_recv_vectored(
        &mut self,
        cx: &mut Context<'_>,
        mut rooms: &mut [IoSliceMut<'_>],
        pool: impl Fn() -> BufferPool,
        count: impl Fn(OpKind, &io::Result<usize>),
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, &mut rooms, &pool, &count)
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        room: &mut impl Room,
        pool: &impl Fn() -> BufferPool,
        count: &impl Fn(OpKind, &io::Result<usize>),
    ) -> Poll<io::Result<usize>> {
        let room_len = room.len();
        if room_len == 0 {
            return Poll::Ready(Ok(0));
        }
        // Bytes that the task has waited for take no unit of its budget. The rest of a buffer does: its wait may
        // still be there, without its end.
        let mut has_waited = self.left.is_none() && !matches!(self.wait, Wait::Idle);
        loop {
            if self.left.is_some() {
                if !has_waited {
                    ready!(poll_proceed(cx));
                }
                return Poll::Ready(Ok(self.take_left(room)));
            }
            if let Wait::Idle = self.wait {
                if self.fd.unread().is_some() {
                    match ready!(self.poll_unread(cx, pool))? {
                        Some(Waited::Bytes(buffer)) => {
                            self.put_left(buffer);
                            continue;
                        }
                        Some(Waited::Eof) => return Poll::Ready(Ok(0)),
                        Some(Waited::Again) | None => {}
                    }
                }
                if self.may_have_more {
                    if !has_budget_remaining() {
                        ready!(poll_proceed(cx));
                    }
                    let received = room.recv(SocketRef::new(self.fd.as_fd()));
                    if !would_block(&received) {
                        count(OpKind::Recv, &received);
                        self.may_have_more =
                            !matches!(received, Ok(len) if 0 < len && len < room_len);
                        // There was a unit left.
                        let _ = poll_proceed(cx);
                        return Poll::Ready(received);
                    }
                    self.may_have_more = false;
                }
                has_waited = false;
                self.begin(pool())?;
            }
            match ready!(self.poll_wait(cx)) {
                Ok(Waited::Bytes(buffer)) => self.put_left(buffer),
                Ok(Waited::Eof) => {
                    self.may_have_more = true;
                    return Poll::Ready(Ok(0));
                }
                Ok(Waited::Again) => {}
                Err(error) => {
                    self.may_have_more = true;
                    return Poll::Ready(Err(error));
                }
            }
        }
    }

    fn put_left(&mut self, buffer: PooledBuffer) {
        self.taken = 0;
        self.left = Some(buffer);
    }

    fn take_left(&mut self, room: &mut impl Room) -> usize {
        let Some(left) = &self.left else { return 0 };
        let len = room.fill(&left[self.taken..]);
        self.taken += len;
        if self.taken == left.len() {
            self.left = None;
        }
        len
    }

    /// The unread data of dropped receives. `None` if there is none.
    #[cold]
    fn poll_unread(
        &mut self,
        cx: &mut Context<'_>,
        pool: &impl Fn() -> BufferPool,
    ) -> Poll<io::Result<Option<Waited>>> {
        let Some(unread) = self.fd.unread() else {
            return Poll::Ready(Ok(None));
        };
        let pool = pool();
        let wait = &mut self.orphan_wait;
        ready!(unread.poll_settled(pool.driver(), cx, || wait.get_or_insert_default()));
        self.orphan_wait = None;
        if let Some(error) = pool.driver().refusal() {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(match unread.next_pooled(&pool) {
            None => Ok(None),
            Some(Ok(Some(buffer))) if buffer.is_empty() => Ok(Some(Waited::Again)),
            Some(Ok(Some(buffer))) => Ok(Some(Waited::Bytes(buffer))),
            Some(Ok(None)) => Ok(Some(Waited::Eof)),
            Some(Err(error)) => Err(error),
        })
    }

    fn begin(&mut self, pool: BufferPool) -> io::Result<()> {
        let driver = Rc::clone(pool.driver());
        if let Some(error) = driver.refusal() {
            return Err(error);
        }
        let fd = self.fd.clone();
        let lacks_buffer = mem::take(&mut self.lacks_buffer);
        self.wait = if let Some(group) = pool.group()
            && !lacks_buffer
        {
            let receive = RecvMulti::new(fd, pool, group, 0).once();
            let receive = LosslessRecv::new(receive, RecvMode::Consume);
            let (receive, request) = RawOp::insert_multishot(&driver, receive);
            receive.submit(&driver, &request);
            Wait::Picked(driver, receive)
        } else if driver.capabilities().recv_pooled && !lacks_buffer {
            let receive = RecvPooled::new(fd, pool, 0);
            let receive = LosslessRecv::new(receive, RecvMode::Consume);
            let (receive, request) = RawOp::insert(&driver, receive);
            receive.submit(&driver, &request);
            Wait::Pooled(driver, receive)
        } else {
            Wait::Ready(Submit::new(driver, PollOnce::new(fd, Readiness::READABLE)))
        };
        Ok(())
    }

    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Waited>> {
        let (error, is_closed) = match &mut self.wait {
            Wait::Idle => return Poll::Ready(Ok(Waited::Again)),
            Wait::Picked(driver, receive) => match ready!(receive.poll_next(driver, cx)) {
                // The kernel picked a buffer and wrote nothing.
                Next::Item(buffer) if buffer.is_empty() => return Poll::Ready(Ok(Waited::Again)),
                Next::Item(buffer) => {
                    self.may_have_more = buffer.len() == buffer_size(&buffer);
                    return Poll::Ready(Ok(Waited::Bytes(buffer)));
                }
                Next::End((end, _)) => {
                    let is_closed = driver.is_closed();
                    self.wait = Wait::Idle;
                    match end {
                        Ok(Some(0)) => return Poll::Ready(Ok(Waited::Eof)),
                        // The bytes were in the item.
                        Ok(_) => return Poll::Ready(Ok(Waited::Again)),
                        Err(error) => (error, is_closed),
                    }
                }
            },
            Wait::Pooled(driver, receive) => {
                let received = ready!(receive.poll(driver, cx));
                let is_closed = driver.is_closed();
                self.wait = Wait::Idle;
                match received {
                    Ok(Some(buffer)) => {
                        self.may_have_more = buffer.len() == buffer_size(&buffer);
                        return Poll::Ready(Ok(Waited::Bytes(buffer)));
                    }
                    Ok(None) => return Poll::Ready(Ok(Waited::Eof)),
                    Err(error) => (error, is_closed),
                }
            }
            Wait::Ready(wait) => {
                let readiness = ready!(Pin::new(&mut *wait).poll(cx));
                let is_closed = wait.driver().is_closed();
                self.wait = Wait::Idle;
                match readiness {
                    Ok(_) => {
                        self.may_have_more = true;
                        return Poll::Ready(Ok(Waited::Again));
                    }
                    Err(error) => (error, is_closed),
                }
            }
        };
        if is_out_of_buffers(&error) {
            self.lacks_buffer = true;
            self.may_have_more = true;
            return Poll::Ready(Ok(Waited::Again));
        }
        if is_closed && is_cancelled(&error) {
            // The runtime of the wait has ended. The next wait is in the current one.
            return Poll::Ready(Ok(Waited::Again));
        }
        Poll::Ready(Err(error))
    }
}

fn buffer_size(buffer: &PooledBuffer) -> usize {
    compio_io::buf::IoBuf::buf_capacity(buffer)
}

impl Drop for SliceRecv {
    fn drop(&mut self) {
        if let Some(left) = self.left.take() {
            self.fd.unread_or_new().put_back(&left[self.taken..]);
        }
        let orphan_added = |driver| self.fd.unread_or_new().orphan_added(driver);
        match mem::replace(&mut self.wait, Wait::Idle) {
            Wait::Idle | Wait::Ready(_) => {}
            // Counted before it is abandoned, which may complete it at once.
            Wait::Picked(driver, receive) => {
                orphan_added(&driver);
                receive.abandon(&driver);
            }
            Wait::Pooled(driver, receive) => {
                orphan_added(&driver);
                receive.abandon(&driver);
            }
        }
    }
}

impl fmt::Debug for SliceRecv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SliceRecv")
            .field("fd", &self.fd)
            .field("is_waiting", &!matches!(self.wait, Wait::Idle))
            .field(
                "left",
                &self.left.as_ref().map(|left| left.len() - self.taken),
            )
            .finish_non_exhaustive()
    }
}

/// The borrowed destination of a receive.
trait Room {
    fn len(&self) -> usize;

    /// recv(2) without a wait.
    fn recv(&mut self, socket: SocketRef<'_>) -> io::Result<usize>;

    /// Copies as many bytes as there is room for, and returns their number.
    fn fill(&mut self, bytes: &[u8]) -> usize;
}

impl Room for &mut [MaybeUninit<u8>] {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn recv(&mut self, socket: SocketRef<'_>) -> io::Result<usize> {
        socket.try_recv(self)
    }

    fn fill(&mut self, bytes: &[u8]) -> usize {
        let len = bytes.len().min((**self).len());
        self[..len].write_copy_of_slice(&bytes[..len]);
        len
    }
}

impl Room for &mut [IoSliceMut<'_>] {
    fn len(&self) -> usize {
        self.iter()
            .fold(0, |sum, room| sum.saturating_add(room.len()))
    }

    fn recv(&mut self, socket: SocketRef<'_>) -> io::Result<usize> {
        socket.try_recv_vectored(self)
    }

    fn fill(&mut self, bytes: &[u8]) -> usize {
        let mut filled = 0;
        for room in self.iter_mut() {
            let rest = &bytes[filled..];
            let len = rest.len().min(room.len());
            room[..len].copy_from_slice(&rest[..len]);
            filled += len;
        }
        filled
    }
}

/// The sending direction of a stream socket, for polls with borrowed slices.
///
/// The socket was [prepared](SocketRef::prepare_for_attempts). The bytes of a send that is ready are the
/// kernel's.
///
/// # Cancellation
///
/// A poll that is pending has sent nothing. It copies nothing: the next one may send other bytes.
pub struct SliceSend {
    fd: SharedFd,
    wait: Option<Submit<PollOnce>>,
    /// Whether the last send was short: the next one has to wait.
    is_full: bool,
}

impl SliceSend {
    /// The sending direction of this socket.
    pub fn new(fd: SharedFd) -> Self {
        Self {
            fd,
            wait: None,
            is_full: false,
        }
    }

    /// Sends a prefix of a slice, and returns its length: 0 only if it is empty.
    ///
    /// Only the waker of the last poll is woken. `submit` begins a wait in the current runtime. `count` gets the results of
    /// plain calls, as in [`SliceRecv::poll_recv`].
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        submit: impl Fn(PollOnce) -> Submit<PollOnce>,
        count: impl Fn(OpKind, &io::Result<usize>),
    ) -> Poll<io::Result<usize>> {
        let attempt = |socket: SocketRef<'_>| socket.try_send(bytes);
        self.poll(cx, bytes.len(), attempt, submit, count)
    }

    /// As [`poll_send`](Self::poll_send), of several slices, one after the other.
    pub fn poll_send_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        submit: impl Fn(PollOnce) -> Submit<PollOnce>,
        count: impl Fn(OpKind, &io::Result<usize>),
    ) -> Poll<io::Result<usize>> {
        let len = slices
            .iter()
            .fold(0, |sum: usize, slice| sum.saturating_add(slice.len()));
        let attempt = |socket: SocketRef<'_>| socket.try_send_vectored(slices);
        self.poll(cx, len, attempt, submit, count)
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        len: usize,
        attempt: impl Fn(SocketRef<'_>) -> io::Result<usize>,
        submit: impl Fn(PollOnce) -> Submit<PollOnce>,
        count: impl Fn(OpKind, &io::Result<usize>),
    ) -> Poll<io::Result<usize>> {
        if len == 0 {
            return Poll::Ready(Ok(0));
        }
        loop {
            if let Some(wait) = &mut self.wait {
                let readiness = ready!(Pin::new(&mut *wait).poll(cx));
                let is_closed = wait.driver().is_closed();
                self.wait = None;
                match readiness {
                    Ok(_) => self.is_full = false,
                    // The runtime of the wait has ended. The next wait is in the current one.
                    Err(error) if is_closed && is_cancelled(&error) => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            if !self.is_full {
                if !has_budget_remaining() {
                    ready!(poll_proceed(cx));
                }
                let sent = attempt(SocketRef::new(self.fd.as_fd()));
                if !would_block(&sent) {
                    count(OpKind::Send, &sent);
                    self.is_full = matches!(sent, Ok(sent) if sent < len);
                    // There was a unit left.
                    let _ = poll_proceed(cx);
                    return Poll::Ready(sent);
                }
                self.is_full = true;
            }
            let wait = PollOnce::new(self.fd.clone(), Readiness::WRITABLE);
            self.wait = Some(submit(wait));
        }
    }
}

impl fmt::Debug for SliceSend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SliceSend")
            .field("fd", &self.fd)
            .field("is_waiting", &self.wait.is_some())
            .finish_non_exhaustive()
    }
}

fn would_block(result: &io::Result<usize>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}
