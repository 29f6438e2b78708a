//! Receives that lose no data when their future is dropped.
//!
//! When a future is dropped, the kernel may already have put bytes into its buffer, and no other copy of
//! them exists. They are stored beside the [`SharedFd`] as unread data, for its next receive:
//!
//! ```text
//!                     +-- unread data? ----> Ready
//!  Receive, not begun +-- pending orphan? -> waits until the orphan has completed
//!                     +-- else ------------> Submit --> Ready
//!                                              | dropped: a pending orphan until its completion
//!                                              v
//!                                           Arrived, dropped: unread data
//! ```
//!
//! On a descriptor without orphaned receives, the extra cost of a receive is one check for unread data.

use std::{
    borrow::Borrow,
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    future::{Future, poll_fn},
    io, mem,
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker, ready},
};

use compio_io::buf::{BufResult, IoBufMut, IoVectoredBufMut};
use compio_io::panics::discard;
use socket2::{SockAddr, Type};

use crate::{
    ancillary::SocketAncillary,
    arena::SMALL,
    buffers::{BufferPool, PooledBuffer},
    cancel::Cancelled,
    driver::{Driver, Inner},
    fd::{OwnsFd, SharedFd},
    op::{
        Nop, ReadAt, ReadVectoredAt, Received, Recv, RecvAncillary, RecvFrom, RecvMsg,
        multishot::{RecvMulti, RecvPooled},
    },
    operation::{Multishot, Operation, Owned},
    os_calls::socket::SocketRef,
    request::{Item, Request, is_cancelled},
    submit::Submit,
    sys::{self, AsFd, AsRawFd, RawFd},
    wait_list::{Waiter, Waiters},
};

/// Receives that lose nothing: if the future of a receive is dropped, the next receive from the same
/// [`SharedFd`] returns its data. The next receive waits until the orphaned one has completed.
///
/// Bytes of a stream are returned in order, as many at a time as there is room for. A datagram is returned
/// whole, with its sender and its ancillary data, as far as the dropped receive had room for them. An error
/// that the system reports once, such as a connection reset, is returned as well. Only receives that begin
/// afterwards see this data; a receive that is already pending does not.
impl Driver {
    /// Receives from a socket into a buffer, from its start over its whole capacity.
    pub fn receive<'a, B: IoBufMut>(
        &self,
        fd: &'a SharedFd,
        buffer: B,
    ) -> impl Future<Output = BufResult<usize, B>> + Unpin + use<'a, B> {
        Receive::new(self, fd, |fd| Recv::new(fd, buffer, 0), RecvMode::Consume)
    }

    /// As [`receive`](Self::receive), but leaves the data: the next receive returns it again.
    pub fn peek<'a, B: IoBufMut>(
        &self,
        fd: &'a SharedFd,
        buffer: B,
    ) -> impl Future<Output = BufResult<usize, B>> + Unpin + use<'a, B> {
        Receive::new(
            self,
            fd,
            |fd| Recv::new(fd, buffer, sys::MSG_PEEK),
            RecvMode::Peek,
        )
    }

    /// Receives a datagram and its sender's address. Skips an unread datagram of a dropped
    /// [`receive`](Self::receive) on a socket without a peer: its sender is unknown. The next `receive`
    /// returns it.
    pub fn receive_from<'a, B: IoBufMut>(
        &self,
        fd: &'a SharedFd,
        buffer: B,
    ) -> impl Future<Output = BufResult<(usize, Option<SockAddr>), B>> + Unpin + use<'a, B> {
        Receive::new(
            self,
            fd,
            |fd| RecvFrom::new(fd, buffer, 0),
            RecvMode::Consume,
        )
    }

    /// As [`receive_from`](Self::receive_from), but leaves the datagram.
    pub fn peek_from<'a, B: IoBufMut>(
        &self,
        fd: &'a SharedFd,
        buffer: B,
    ) -> impl Future<Output = BufResult<(usize, Option<SockAddr>), B>> + Unpin + use<'a, B> {
        let peek = |fd| RecvFrom::new(fd, buffer, sys::MSG_PEEK);
        Receive::new(self, fd, peek, RecvMode::Peek)
    }

    /// Receives into several buffers, one after the other. Returns the sender's address as well.
    pub fn receive_vectored<'a, V: IoVectoredBufMut>(
        &self,
        fd: &'a SharedFd,
        buffers: V,
    ) -> impl Future<Output = BufResult<Received, (V, [u8; 0])>> + Unpin + use<'a, V> {
        let receive = |fd| RecvMsg::new(fd, buffers, [0; 0], 0);
        Receive::new(self, fd, receive, RecvMode::Consume)
    }

    /// Receives into several buffers, with ancillary data. Unread ancillary data is returned in the buffer
    /// of the dropped receive. Unread data of a receive without ancillary data has none here either.
    pub fn receive_ancillary<'a, V: IoVectoredBufMut>(
        &self,
        fd: &'a SharedFd,
        buffers: V,
        ancillary: SocketAncillary,
    ) -> impl Future<Output = BufResult<Received, (V, SocketAncillary)>> + Unpin + use<'a, V> {
        let receive = |fd| RecvAncillary::new(fd, buffers, ancillary, 0);
        Receive::new(self, fd, receive, RecvMode::Consume)
    }

    /// Reads from a descriptor without positions, such as a pipe, into a buffer, from its start over its
    /// whole capacity.
    pub fn read<'a, B: IoBufMut>(
        &self,
        fd: &'a SharedFd,
        buffer: B,
    ) -> impl Future<Output = BufResult<usize, B>> + Unpin + use<'a, B> {
        Receive::new(
            self,
            fd,
            |fd| ReadAt::at_cursor(fd, buffer),
            RecvMode::Consume,
        )
    }

    /// As [`read`](Self::read), into several buffers, one after the other.
    pub fn read_vectored<'a, V: IoVectoredBufMut>(
        &self,
        fd: &'a SharedFd,
        buffers: V,
    ) -> impl Future<Output = BufResult<usize, V>> + Unpin + use<'a, V> {
        let read = |fd| ReadVectoredAt::at_cursor(fd, buffers);
        Receive::new(self, fd, read, RecvMode::Consume)
    }

    /// Waits until the operations of dropped futures have completed, so that
    /// [`SharedFd::try_unwrap`] finds no other owner than the handles of the descriptor. Returns
    /// whether there is unread data: the next receive returns it at once.
    ///
    /// A cancelled send completes within a few turns of the driver. `settle` waits no longer than that for
    /// operations other than receives.
    pub fn settle<'a>(&self, fd: &'a SharedFd) -> impl Future<Output = bool> + use<'a> {
        /// A cancelled operation on a socket or pipe takes one or two turns.
        const TURNS_MAX: usize = 64;
        let driver = self.share();
        async move {
            if let Some(unread) = fd.unread() {
                let mut orphan_wait = OrphanWait::default();
                poll_fn(|cx| {
                    if !unread.has_pending_orphans() || driver.refusal().is_some() {
                        return Poll::Ready(());
                    }
                    orphan_wait.poll(&driver, unread, cx)
                })
                .await;
            }
            for _ in 0..TURNS_MAX {
                if !fd.is_shared() || Submit::new(Rc::clone(&driver), Nop::new()).await.is_err() {
                    break;
                }
            }
            fd.unread().is_some_and(Unread::has_some)
        }
    }
}

/// Whether a receive consumes its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecvMode {
    Consume,
    Peek,
}

/// A receive by an `O` as a future. `F` is the descriptor, or a reference to it.
pub(crate) struct Receive<F: Borrow<SharedFd>, O: Receives> {
    submit: Submit<Guarded<O>>,
    fd: F,
    mode: RecvMode,
    /// Present only while there are pending orphans.
    orphan_wait: Option<Box<OrphanWait>>,
}

impl<F: Borrow<SharedFd>, O: Receives> Receive<F, O> {
    pub(crate) fn new(
        driver: &Driver,
        fd: F,
        operation: impl FnOnce(LentFd) -> O,
        mode: RecvMode,
    ) -> Self {
        Self::by(driver.share(), fd, operation, mode)
    }

    pub(crate) fn by(
        driver: Rc<Inner>,
        fd: F,
        operation: impl FnOnce(LentFd) -> O,
        mode: RecvMode,
    ) -> Self {
        let operation = Guarded::new(fd.borrow().clone(), operation, mode);
        Self {
            submit: Submit::new(driver, operation),
            fd,
            mode,
            orphan_wait: None,
        }
    }

    /// Requests its cancellation, as [`Submit::cancel`].
    pub(crate) fn cancel(&self) {
        self.submit.cancel();
    }

    /// The output made of unread data, or of the error if the driver refuses new operations. `None` if
    /// the operation has to begin.
    #[cold]
    fn poll_leftovers(&mut self, cx: &mut Context<'_>) -> Poll<Option<O::Output>> {
        let driver = self.submit.driver();
        if let Some(unread) = self.fd.borrow().unread()
            && unread.has_pending_orphans()
            && driver.refusal().is_none()
        {
            let orphan_wait = self.orphan_wait.get_or_insert_default();
            ready!(orphan_wait.poll(driver, unread, cx));
        }
        self.orphan_wait = None;
        let refusal = self.submit.driver().refusal();
        let unread = self.fd.borrow().unread();
        Poll::Ready(match (refusal, unread) {
            (Some(error), _) => {
                let guarded = self.submit.take_unstarted();
                // SAFETY: an error; the operation was never submitted.
                guarded.map(|guarded| unsafe { guarded.operation.finish(Err(error)) })
            }
            (None, Some(unread)) => unread.next_for::<O>().and_then(|left| {
                let guarded = self.submit.take_unstarted()?;
                Some(unread.deliver(left, guarded.operation, self.mode))
            }),
            (None, None) => None,
        })
    }
}

/// The operation is moved to its cell before it is used in place: nothing in here is pinned.
impl<F: Borrow<SharedFd>, O: Receives> Unpin for Receive<F, O> {}

impl<F: Borrow<SharedFd>, O: Receives> Future for Receive<F, O> {
    type Output = O::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<O::Output> {
        let this = &mut *self;
        if this.fd.borrow().unread().is_some()
            && this.submit.is_idle()
            && let Some(output) = ready!(this.poll_leftovers(cx))
        {
            return Poll::Ready(output);
        }
        Pin::new(&mut this.submit).poll(cx).map(Arrived::into_inner)
    }
}

impl<F: Borrow<SharedFd>, O: Receives> Drop for Receive<F, O> {
    fn drop(&mut self) {
        if self.submit.is_pending() && self.mode == RecvMode::Consume {
            // Before it is abandoned, which may complete it at once.
            let unread = self.fd.borrow().leftovers_or_new();
            unread.orphan_added(self.submit.driver());
        }
    }
}

impl<F: Borrow<SharedFd>, O: Receives> fmt::Debug for Receive<F, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receive").field(&self.submit).finish()
    }
}

/// A wait for the pending orphans of a descriptor or for another event of this thread. It also ends if a
/// token of the active cancel scopes is cancelled.
#[derive(Default)]
pub(crate) struct OrphanWait {
    waiter: Waiter,
    cancels: Vec<Cancelled>,
}

impl OrphanWait {
    pub(crate) fn poll(
        &mut self,
        driver: &Rc<Inner>,
        unread: &Unread,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        self.listen(driver, cx, &unread.waiters);
        unread.ask_others(driver, cx.waker());
        // User code of a waker has run: it may have turned the driver.
        if unread.has_pending_orphans() && driver.refusal().is_none() {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    /// Registers the task with these waiters and with the tokens. The caller checks its condition
    /// afterwards.
    pub(crate) fn listen(&mut self, driver: &Inner, cx: &mut Context<'_>, waiters: &Waiters) {
        waiters.list(&mut self.waiter, cx.waker());
        self.cancels = driver.cancels();
        for cancel in &mut self.cancels {
            let _ = Pin::new(cancel).poll(cx);
        }
    }
}

/// The data of one descriptor's dropped receives.
#[derive(Default)]
pub(crate) struct Unread {
    left: RefCell<VecDeque<UnreadItem>>,
    /// The number of dropped receives that have not completed.
    pending_orphans: Cell<usize>,
    /// The drivers of the pending orphans.
    drivers: RefCell<Vec<Weak<Inner>>>,
    /// Whether the data of the pending orphans is discarded.
    is_forgetting: Cell<bool>,
    waiters: Waiters,
}

/// The result of one dropped receive.
pub(crate) enum UnreadItem {
    UnreadData(Box<UnreadData>),
    Error(io::Error),
}

/// Received data, copied out of the dropped receive's buffer.
pub(crate) struct UnreadData {
    bytes: Vec<u8>,
    /// The number of bytes already returned; 0 for a message.
    taken: usize,
    /// Whether it is one message, which is returned whole or truncated.
    is_message: bool,
    /// The outer `None`: the receive did not request it. The inner `None`: the sender has no address.
    sender: Option<Option<SockAddr>>,
    ancillary: SocketAncillary,
    flags: i32,
}

impl Unread {
    /// Whether the next data is unknown, because the kernel still has a dropped receive.
    pub(crate) fn has_pending_orphans(&self) -> bool {
        if self.pending_orphans.get() == 0 {
            return false;
        }
        // A driver that was shut down has leaked the operations that had not completed.
        let mut drivers = self.drivers.borrow_mut();
        drivers.retain(|driver| {
            let driver = driver.upgrade();
            driver.is_some_and(|driver| !driver.is_closed() && driver.arena.orphans() > 0)
        });
        if drivers.is_empty() {
            self.pending_orphans.set(0);
            self.is_forgetting.set(false);
        }
        self.pending_orphans.get() > 0
    }

    /// Reaps completions of the other drivers. It may be that no loop turns them: the waiting task, or
    /// another runtime, occupies the thread.
    fn ask_others(&self, driver: &Rc<Inner>, waker: &Waker) {
        let others: Vec<_> = {
            let drivers = self.drivers.borrow();
            let others = drivers.iter().filter_map(Weak::upgrade);
            others.filter(|other| !Rc::ptr_eq(other, driver)).collect()
        };
        // With nothing borrowed: wakers and destructors run.
        for other in others {
            other.pump_for(waker);
        }
    }

    /// Whether there is unread data or an error.
    pub(crate) fn has_some(&self) -> bool {
        !self.left.borrow().is_empty()
    }

    /// Discards the unread data, and the data of the pending orphans when they complete.
    pub(crate) fn forget(&self) {
        self.is_forgetting.set(self.pending_orphans.get() > 0);
        // Descriptors are closed with nothing borrowed.
        drop(self.left.take());
    }

    fn put(&self, left: UnreadItem) {
        if !self.is_forgetting.get() {
            self.left.borrow_mut().push_back(left);
        }
    }

    /// A receive of this driver is about to be dropped. Its [`Arrived`] will be dropped when it completes.
    pub(crate) fn orphan_added(&self, driver: &Rc<Inner>) {
        self.pending_orphans.set(self.pending_orphans.get() + 1);
        let mut drivers = self.drivers.borrow_mut();
        if !drivers
            .iter()
            .any(|known| known.as_ptr() == Rc::as_ptr(driver))
        {
            drivers.push(Rc::downgrade(driver));
        }
    }

    /// An orphan has completed, and its data has been stored.
    fn orphan_done(&self) {
        self.pending_orphans
            .set(self.pending_orphans.get().saturating_sub(1));
        if self.pending_orphans.get() == 0 {
            self.is_forgetting.set(false);
            self.drivers.borrow_mut().clear();
        }
        if let Some(panic) = self.waiters.wake() {
            // The panic hook has reported it, and a destructor must not panic.
            discard(panic);
        }
    }

    /// The next item that an `O` can return.
    fn next_for<O: Receives>(&self) -> Option<UnreadItem> {
        let mut left = self.left.borrow_mut();
        let suits = |left: &UnreadItem| match left {
            UnreadItem::UnreadData(arrival) => {
                !O::HAS_SENDER || !arrival.is_message || arrival.sender.is_some()
            }
            UnreadItem::Error(_) => true,
        };
        let place = left.iter().position(suits)?;
        left.remove(place)
    }

    /// Makes the output of an operation that has not begun from an unread item.
    fn deliver<O: Receives>(&self, left: UnreadItem, operation: O, mode: RecvMode) -> O::Output {
        let mut arrival = match left {
            // SAFETY: an error; the operation was never submitted.
            UnreadItem::Error(error) => return unsafe { operation.finish(Err(error)) },
            UnreadItem::UnreadData(arrival) => arrival,
        };
        let nothing = io::Error::from_raw_os_error(sys::ECANCELED);
        // SAFETY: as above.
        let mut output = unsafe { operation.finish(Err(nothing)) };
        // User code of the buffer: nothing is borrowed.
        let given = O::fill(&mut output, &mut arrival);
        let is_over = match mode {
            RecvMode::Peek => false,
            RecvMode::Consume if arrival.is_message => true,
            RecvMode::Consume => {
                arrival.taken += given;
                arrival.taken == arrival.bytes.len()
            }
        };
        if !is_over {
            self.left
                .borrow_mut()
                .push_front(UnreadItem::UnreadData(arrival));
        }
        output
    }

    /// The next bytes of a stream, in a detached buffer of the pool's type; `Ok(None)` at EOF.
    pub(crate) fn next_pooled(
        &self,
        pool: &BufferPool,
    ) -> Option<io::Result<Option<PooledBuffer>>> {
        let mut left = self.left.borrow_mut();
        match left.pop_front()? {
            UnreadItem::Error(error) => Some(Err(error)),
            UnreadItem::UnreadData(arrival) if arrival.rest().is_empty() => Some(Ok(None)),
            UnreadItem::UnreadData(mut arrival) => {
                let buffer = pool.beside(arrival.rest());
                arrival.taken += buffer.len();
                if !arrival.is_message && !arrival.rest().is_empty() {
                    left.push_front(UnreadItem::UnreadData(arrival));
                }
                Some(Ok(Some(buffer)))
            }
        }
    }
}

impl UnreadData {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }
}

impl fmt::Debug for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unread")
            .field("count", &self.left.borrow().len())
            .field("pending_orphans", &self.pending_orphans)
            .finish_non_exhaustive()
    }
}

/// The descriptor of an operation inside a [`Guarded`], which keeps it open.
pub(crate) struct LentFd(RawFd);

impl AsRawFd for LentFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

// SAFETY: only `Guarded::new` makes it, for an operation that is stored beside the descriptor's owner and
// is dropped, or consumed, before that owner.
unsafe impl OwnsFd for LentFd {}

/// An operation whose dropped output leaves unread data.
pub(crate) trait KeepsUnread: Owned {
    /// Stores the received data or error, unless the kernel would report it again.
    fn leave(output: &mut Self::Output, place: &UnreadSink<'_>);
}

/// An operation that unread data can complete.
pub(crate) trait Receives: KeepsUnread {
    /// Whether its output contains the sender of a message.
    const HAS_SENDER: bool = false;

    /// Copies unread data into the output of an operation that has received nothing. Returns the number of
    /// bytes copied.
    fn fill(output: &mut Self::Output, arrival: &mut UnreadData) -> usize;
}

/// The destination of unread data.
pub(crate) struct UnreadSink<'a> {
    unread: &'a Unread,
    fd: &'a SharedFd,
}

impl UnreadSink<'_> {
    /// Stores bytes of a receive that had room for some.
    fn put(&self, bytes: Vec<u8>, about: MsgMeta) {
        let socket = SocketRef::new(self.fd.as_fd());
        let kind = socket.r#type().ok();
        let is_message = kind.is_some_and(|kind| kind != Type::STREAM);
        if kind.is_some() && !is_message && bytes.is_empty() {
            // The kernel reports EOF to every receive.
            return;
        }
        let peer = || socket.peer_addr().ok().map(Some);
        let arrival = UnreadData {
            bytes,
            taken: 0,
            is_message,
            sender: about.sender.or_else(|| is_message.then(peer).flatten()),
            ancillary: about.ancillary,
            flags: about.flags,
        };
        self.unread.put(UnreadItem::UnreadData(Box::new(arrival)));
    }

    /// Stores an error for the next receive if the system reports it once. Other errors concern the
    /// moment or the arguments of one call, and are dropped.
    fn put_error(&self, error: io::Error) {
        let said_once = [
            io::ErrorKind::BrokenPipe,
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::HostUnreachable,
            io::ErrorKind::NetworkDown,
            io::ErrorKind::NetworkUnreachable,
            io::ErrorKind::TimedOut,
        ];
        // On Windows, a timeout and a cancellation have the same error kind.
        if said_once.contains(&error.kind()) && !is_cancelled(&error) {
            self.unread.put(UnreadItem::Error(error));
        }
    }
}

/// The metadata of received bytes.
#[derive(Default)]
struct MsgMeta {
    sender: Option<Option<SockAddr>>,
    ancillary: SocketAncillary,
    flags: i32,
}

/// Copies the received bytes out of one buffer.
fn copy_out(buffer: &impl IoBufMut, len: usize) -> Option<Vec<u8>> {
    (buffer.buf_capacity() > 0).then(|| buffer.as_init()[..len].to_vec())
}

/// Copies the received bytes out of several buffers.
fn copy_out_vectored(buffers: &mut impl IoVectoredBufMut, len: usize) -> Option<Vec<u8>> {
    if buffers.total_capacity() == 0 {
        return None;
    }
    let mut bytes = Vec::with_capacity(len);
    for slice in buffers.slices() {
        let left = len - bytes.len();
        bytes.extend_from_slice(&slice[..slice.len().min(left)]);
    }
    Some(bytes)
}

/// Takes the result, and leaves a default value. Stores an error as unread.
fn take<T: Default>(result: &mut io::Result<T>, place: &UnreadSink<'_>) -> Option<T> {
    match mem::replace(result, Ok(T::default())) {
        Ok(value) => Some(value),
        Err(error) => {
            place.put_error(error);
            None
        }
    }
}

impl<B: IoBufMut> KeepsUnread for Recv<B, LentFd> {
    fn leave((result, buffer): &mut Self::Output, place: &UnreadSink<'_>) {
        if let Some(bytes) = take(result, place).and_then(|len| copy_out(buffer, len)) {
            place.put(bytes, MsgMeta::default());
        }
    }
}

impl<B: IoBufMut> Receives for Recv<B, LentFd> {
    fn fill((result, buffer): &mut Self::Output, arrival: &mut UnreadData) -> usize {
        let len = buffer.init_from(arrival.rest());
        *result = Ok(len);
        len
    }
}

impl<B: IoBufMut> KeepsUnread for ReadAt<B, LentFd> {
    fn leave(output: &mut Self::Output, place: &UnreadSink<'_>) {
        Recv::leave(output, place);
    }
}

impl<B: IoBufMut> Receives for ReadAt<B, LentFd> {
    fn fill(output: &mut Self::Output, arrival: &mut UnreadData) -> usize {
        Recv::fill(output, arrival)
    }
}

impl<V: IoVectoredBufMut> KeepsUnread for ReadVectoredAt<V, LentFd> {
    fn leave((result, buffers): &mut Self::Output, place: &UnreadSink<'_>) {
        if let Some(bytes) = take(result, place).and_then(|len| copy_out_vectored(buffers, len)) {
            place.put(bytes, MsgMeta::default());
        }
    }
}

impl<V: IoVectoredBufMut> Receives for ReadVectoredAt<V, LentFd> {
    fn fill((result, buffers): &mut Self::Output, arrival: &mut UnreadData) -> usize {
        let len = buffers.init_from(arrival.rest());
        *result = Ok(len);
        len
    }
}

impl<B: IoBufMut> KeepsUnread for RecvFrom<B, LentFd> {
    fn leave((result, buffer): &mut Self::Output, place: &UnreadSink<'_>) {
        let Some((len, sender)) = take(result, place) else {
            return;
        };
        if let Some(bytes) = copy_out(buffer, len) {
            let sender = Some(sender);
            place.put(
                bytes,
                MsgMeta {
                    sender,
                    ..MsgMeta::default()
                },
            );
        }
    }
}

impl<B: IoBufMut> Receives for RecvFrom<B, LentFd> {
    const HAS_SENDER: bool = true;

    fn fill((result, buffer): &mut Self::Output, arrival: &mut UnreadData) -> usize {
        let len = buffer.init_from(arrival.rest());
        *result = Ok((len, arrival.sender.clone().flatten()));
        len
    }
}

/// Stores a message that was received into several buffers, with its metadata.
fn leave_message<V: IoVectoredBufMut>(
    result: &mut io::Result<Received>,
    buffers: &mut V,
    ancillary: SocketAncillary,
    place: &UnreadSink<'_>,
) {
    let Some(received) = take(result, place) else {
        return;
    };
    if let Some(bytes) = copy_out_vectored(buffers, received.len) {
        let about = MsgMeta {
            sender: Some(received.address),
            ancillary,
            flags: received.flags,
        };
        place.put(bytes, about);
    }
}

fn fill_message<V: IoVectoredBufMut>(buffers: &mut V, arrival: &UnreadData) -> Received {
    let len = buffers.init_from(arrival.rest());
    let is_cut = arrival.is_message && len < arrival.bytes.len();
    Received {
        len,
        control_len: 0,
        address: arrival.sender.clone().flatten(),
        flags: arrival.flags | if is_cut { sys::MSG_TRUNC } else { 0 },
    }
}

impl<V: IoVectoredBufMut> KeepsUnread for RecvMsg<V, [u8; 0], LentFd> {
    fn leave((result, (buffers, _)): &mut Self::Output, place: &UnreadSink<'_>) {
        leave_message(result, buffers, SocketAncillary::new(), place);
    }
}

impl<V: IoVectoredBufMut> Receives for RecvMsg<V, [u8; 0], LentFd> {
    const HAS_SENDER: bool = true;

    fn fill((result, (buffers, _)): &mut Self::Output, arrival: &mut UnreadData) -> usize {
        let received = fill_message(buffers, arrival);
        let len = received.len;
        *result = Ok(received);
        len
    }
}

impl<V: IoVectoredBufMut> KeepsUnread for RecvAncillary<V, LentFd> {
    fn leave((result, (buffers, ancillary)): &mut Self::Output, place: &UnreadSink<'_>) {
        leave_message(result, buffers, mem::take(ancillary), place);
    }
}

impl<V: IoVectoredBufMut> Receives for RecvAncillary<V, LentFd> {
    const HAS_SENDER: bool = true;

    fn fill((result, (buffers, ancillary)): &mut Self::Output, arrival: &mut UnreadData) -> usize {
        let mut received = fill_message(buffers, arrival);
        if !arrival.ancillary.is_empty() || arrival.ancillary.truncated() {
            *ancillary = mem::take(&mut arrival.ancillary);
        }
        received.control_len = ancillary.len();
        let len = received.len;
        *result = Ok(received);
        len
    }
}

impl KeepsUnread for RecvMulti<LentFd> {
    fn leave((result, received): &mut Self::Output, place: &UnreadSink<'_>) {
        while let Some(buffer) = received.pop() {
            if !buffer.is_empty() {
                place.put(buffer.to_vec(), MsgMeta::default());
            }
        }
        // The bytes of the final completion have arrived with an item.
        take(result, place);
    }
}

impl KeepsUnread for RecvPooled<LentFd> {
    fn leave(output: &mut Self::Output, place: &UnreadSink<'_>) {
        if let Some(buffer) = take(output, place).flatten() {
            place.put(buffer.to_vec(), MsgMeta::default());
        }
    }
}

/// An operation that stores its received data as unread if its output is dropped.
pub(crate) struct Guarded<O> {
    // Dropped before the descriptor, which it does not own.
    operation: O,
    fd: SharedFd,
    mode: RecvMode,
}

/// A receive into a `Vec` fits a small cell of the arena.
const _: () = assert!(size_of::<Guarded<Recv<Vec<u8>, LentFd>>>() <= SMALL);

impl<O> Guarded<O> {
    pub(crate) fn new(fd: SharedFd, operation: impl FnOnce(LentFd) -> O, mode: RecvMode) -> Self {
        Self {
            operation: operation(LentFd(fd.as_raw_fd())),
            fd,
            mode,
        }
    }
}

// SAFETY: the request comes from the inner operation, which does not move in here.
unsafe impl<O: KeepsUnread> Operation for Guarded<O> {
    type Output = Arrived<O>;

    fn request(&mut self) -> Request {
        self.operation.request()
    }

    #[inline]
    unsafe fn finish(self, answer: io::Result<usize>) -> Arrived<O> {
        let Self {
            operation,
            fd,
            mode,
        } = self;
        let mut arrived = Arrived {
            output: None,
            fd,
            is_taken: mode == RecvMode::Peek,
        };
        // User code of the buffer: if it panics, the drop of `arrived` still wakes the waiting tasks.
        // SAFETY: passed on from this function.
        arrived.output = Some(unsafe { operation.finish(answer) });
        arrived
    }
}

// SAFETY: it owns the descriptor of the inner operation.
unsafe impl<O: KeepsUnread> Owned for Guarded<O> {}

// SAFETY: both functions call those of the inner operation.
unsafe impl<O: KeepsUnread + Multishot> Multishot for Guarded<O> {
    type Item = O::Item;

    unsafe fn push_partial(this: *mut Self, item: Item) -> bool {
        // SAFETY: by this function's contract, which is the same for the inner operation.
        unsafe { O::push_partial(&raw mut (*this).operation, item) }
    }

    unsafe fn next(this: *mut Self) -> Option<O::Item> {
        // SAFETY: as in `push_partial`.
        unsafe { O::next(&raw mut (*this).operation) }
    }
}

/// The output of a guarded operation. Dropping it stores the data for the next receive.
pub(crate) struct Arrived<O: KeepsUnread> {
    output: Option<O::Output>,
    fd: SharedFd,
    is_taken: bool,
}

impl<O: KeepsUnread> Arrived<O> {
    #[inline]
    pub(crate) fn into_inner(mut self) -> O::Output {
        self.is_taken = true;
        self.output.take().expect("finished")
    }
}

impl<O: KeepsUnread> Drop for Arrived<O> {
    fn drop(&mut self) {
        if self.is_taken {
            return;
        }
        /// Counts the orphan as completed, even if user code of the buffer panics.
        struct Settle<'a>(&'a Unread);
        impl Drop for Settle<'_> {
            fn drop(&mut self) {
                self.0.orphan_done();
            }
        }
        let unread = self.fd.leftovers_or_new();
        let settle = Settle(unread);
        if let Some(output) = &mut self.output {
            let fd = &self.fd;
            O::leave(output, &UnreadSink { unread, fd });
        }
        // The buffer's destructor, which runs last, may receive.
        drop(settle);
    }
}
