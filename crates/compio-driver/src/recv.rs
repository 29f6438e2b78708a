//! Receiving in such a mode that nothing is lost with the future that waited for it.
//!
//! A future is dropped when something else was quicker, and by then the kernel may have put bytes
//! into its buffer: they are nowhere else any more. They go to whoever receives next from the same
//! [`SharedFd`], beside which they lie until then:
//!
//! ```text
//!                     +-- unread? --> taken: Ready
//!  Receive, not begun +-- in doubt? ---> waits until they are there, or are none
//!                     +-- else --------> Submit --> Ready
//!                                          | dropped: in doubt until the kernel has answered
//!                                          v
//!                                       Arrived, dropped: unread
//! ```
//!
//! A receive of a descriptor where this has never happened does one thing more than others: it looks
//! whether there is a place for unread.

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
    request::{Item, Request, is_cancelled},
    submit::Submit,
    sys::{self, AsFd, AsRawFd, RawFd},
    wait_list::{Waiter, Waiters},
};

/// Receives that lose nothing: what one of them has received whose future was dropped is what the
/// next one of the same [`SharedFd`] receives. As long as that is in doubt, the next one waits.
///
/// Bytes of a stream come in order, as many at a time as there is room for. A datagram comes as a
/// whole, with its sender and its ancillary data, as far as there was room for them in what was
/// dropped. So does an error that the system reports once, such as a connection that was reset.
/// A receive that was begun before does not hear of them, only one that is begun afterwards.
impl Driver {
    /// Receives from a socket into a buffer, from its start over its whole capacity.
    pub fn receive<'a, B: IoBufMut>(
        &self,
        fd: &'a SharedFd,
        buffer: B,
    ) -> impl Future<Output = BufResult<usize, B>> + Unpin + use<'a, B> {
        Receive::new(self, fd, |fd| Recv::new(fd, buffer, 0), RecvMode::Consume)
    }

    /// The same without taking: the next receive gets it once more.
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

    /// Receives a datagram and its sender's address. One that was received by
    /// [`receive`](Self::receive) on a socket without a peer, and is left over, has none: it is left
    /// for that.
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

    /// The same without taking.
    pub fn peek_from<'a, B: IoBufMut>(
        &self,
        fd: &'a SharedFd,
        buffer: B,
    ) -> impl Future<Output = BufResult<(usize, Option<SockAddr>), B>> + Unpin + use<'a, B> {
        let peek = |fd| RecvFrom::new(fd, buffer, sys::MSG_PEEK);
        Receive::new(self, fd, peek, RecvMode::Peek)
    }

    /// Receives into several buffers, one after the other, and says from whom.
    pub fn receive_vectored<'a, V: IoVectoredBufMut>(
        &self,
        fd: &'a SharedFd,
        buffers: V,
    ) -> impl Future<Output = BufResult<Received, (V, [u8; 0])>> + Unpin + use<'a, V> {
        let receive = |fd| RecvMsg::new(fd, buffers, [0; 0], 0);
        Receive::new(self, fd, receive, RecvMode::Consume)
    }

    /// Receives into several buffers, with ancillary data. If that was left over, it comes in what it
    /// was received into; what was received without is so here, too.
    pub fn receive_ancillary<'a, V: IoVectoredBufMut>(
        &self,
        fd: &'a SharedFd,
        buffers: V,
        ancillary: SocketAncillary,
    ) -> impl Future<Output = BufResult<Received, (V, SocketAncillary)>> + Unpin + use<'a, V> {
        let receive = |fd| RecvAncillary::new(fd, buffers, ancillary, 0);
        Receive::new(self, fd, receive, RecvMode::Consume)
    }

    /// Reads what has no positions, such as a pipe, into a buffer, from its start over its whole
    /// capacity.
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

    /// The same into several buffers, one after the other.
    pub fn read_vectored<'a, V: IoVectoredBufMut>(
        &self,
        fd: &'a SharedFd,
        buffers: V,
    ) -> impl Future<Output = BufResult<usize, V>> + Unpin + use<'a, V> {
        let read = |fd| ReadVectoredAt::at_cursor(fd, buffers);
        Receive::new(self, fd, read, RecvMode::Consume)
    }

    /// Waits until the kernel has answered the operations of dropped futures, so that
    /// [`SharedFd::try_unwrap`] finds no other owner than the handles of the descriptor. Returns
    /// whether arrivals are kept: the next receive takes them at once.
    ///
    /// A cancelled send is answered within a few turns of the driver. An operation that is no receive
    /// and takes more turns than that is not waited for.
    pub fn settle<'a>(&self, fd: &'a SharedFd) -> impl Future<Output = bool> + use<'a> {
        /// A cancelled operation on a socket or pipe takes one or two.
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

/// Whether what is received is taken.
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
    /// Only while others are in doubt.
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

    /// Asks the kernel to give it up, as [`Submit::cancel`].
    pub(crate) fn cancel(&self) {
        self.submit.cancel();
    }

    /// What others have left, or what the operation says that is not to be begun. Ready with nothing
    /// if it is.
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
                // SAFETY: an error; the kernel has not been asked.
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
            // Before it is abandoned, which may bring its answer at once.
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

/// Waiting for something that others bring about, such as not to be in doubt any longer, or for a token
/// of the scopes around to be cancelled.
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
        // The code of the waker's maker: it may have turned the driver.
        if unread.has_pending_orphans() && driver.refusal().is_none() {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    /// The task is woken with these waiters, and by the tokens. Whether it has come to that already is to
    /// be asked for afterwards.
    pub(crate) fn listen(&mut self, driver: &Inner, cx: &mut Context<'_>, waiters: &Waiters) {
        waiters.list(&mut self.waiter, cx.waker());
        self.cancels = driver.cancels();
        for cancel in &mut self.cancels {
            let _ = Pin::new(cancel).poll(cx);
        }
    }
}

/// What came for receives that were dropped, of one descriptor.
#[derive(Default)]
pub(crate) struct Unread {
    left: RefCell<VecDeque<UnreadItem>>,
    /// How many were dropped of which the kernel has not said what came of them.
    pending_orphans: Cell<usize>,
    /// The drivers of those.
    drivers: RefCell<Vec<Weak<Inner>>>,
    /// Whether nobody wants what comes of them.
    is_forgetting: Cell<bool>,
    waiters: Waiters,
}

/// What one of them has left.
pub(crate) enum UnreadItem {
    UnreadData(Box<UnreadData>),
    Error(io::Error),
}

/// What came, taken out of the buffer that it came into.
pub(crate) struct UnreadData {
    bytes: Vec<u8>,
    /// How many of them have been handed out. Of a message, none.
    taken: usize,
    /// Whether it is the whole of something, and is handed out or cut as such.
    is_message: bool,
    /// Nothing is known of it if it was not asked for; and the sender may have no address.
    sender: Option<Option<SockAddr>>,
    ancillary: SocketAncillary,
    flags: i32,
}

impl Unread {
    /// Whether nothing can be said of what comes next: the kernel still has a receive that was
    /// dropped.
    pub(crate) fn has_pending_orphans(&self) -> bool {
        if self.pending_orphans.get() == 0 {
            return false;
        }
        // One that was shut down has leaked what it still had to say.
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

    /// Has other drivers than this one say what they know. Nobody may turn them: the task that waits
    /// keeps the thread from that, or another runtime does.
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

    /// Whether there is something.
    pub(crate) fn has_some(&self) -> bool {
        !self.left.borrow().is_empty()
    }

    /// What is left, and what is in doubt, is for nobody.
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

    /// A receive of this driver is about to be dropped. Its [`Arrived`] will be.
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

    /// It is known what has come of it.
    fn orphan_done(&self) {
        self.pending_orphans
            .set(self.pending_orphans.get().saturating_sub(1));
        if self.pending_orphans.get() == 0 {
            self.is_forgetting.set(false);
            self.drivers.borrow_mut().clear();
        }
        if let Some(panic) = self.waiters.wake() {
            // The panic hook has reported it, and a destructor is to panic nowhere.
            discard(panic);
        }
    }

    /// The next that an `O` can be given.
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

    /// Gives an operation that was not begun what others have left.
    fn deliver<O: Receives>(&self, left: UnreadItem, operation: O, mode: RecvMode) -> O::Output {
        let mut arrival = match left {
            // SAFETY: an error; the kernel has not been asked.
            UnreadItem::Error(error) => return unsafe { operation.finish(Err(error)) },
            UnreadItem::UnreadData(arrival) => arrival,
        };
        let nothing = io::Error::from_raw_os_error(sys::ECANCELED);
        // SAFETY: as above.
        let mut output = unsafe { operation.finish(Err(nothing)) };
        // The code of the buffer: nothing is borrowed.
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

    /// The next bytes of a stream, in a buffer like the pool's; none at its end.
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

/// The descriptor of an operation inside of a [`Guarded`], which holds it.
pub(crate) struct LentFd(RawFd);

impl AsRawFd for LentFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

// SAFETY: made by `Guarded::new` alone, for an operation that lies beside the descriptor's owner and
// is dropped, or consumed, before that.
unsafe impl OwnsFd for LentFd {}

/// An operation whose output leaves something if it is dropped.
pub(crate) trait KeepsUnread: Owned {
    /// KeepsUnread what was received, if anything was that the kernel will not say again.
    fn leave(output: &mut Self::Output, place: &UnreadSink<'_>);
}

/// An operation that can be answered by what others have left.
pub(crate) trait Receives: KeepsUnread {
    /// Whether its output says who has sent a message.
    const HAS_SENDER: bool = false;

    /// Puts it into the output of an operation that has received nothing. Returns how many bytes there
    /// was room for.
    fn fill(output: &mut Self::Output, arrival: &mut UnreadData) -> usize;
}

/// Where something is left.
pub(crate) struct UnreadSink<'a> {
    unread: &'a Unread,
    fd: &'a SharedFd,
}

impl UnreadSink<'_> {
    /// Bytes of which there was room for some.
    fn put(&self, bytes: Vec<u8>, about: MsgMeta) {
        let fd = self.fd.as_fd();
        let socket = sys::as_sock_ref(&fd);
        let kind = socket.as_ref().and_then(|socket| socket.r#type().ok());
        let is_message = kind.is_some_and(|kind| kind != Type::STREAM);
        if kind.is_some() && !is_message && bytes.is_empty() {
            // The end of a connection is said to everybody who asks.
            return;
        }
        let peer = || socket.and_then(|socket| socket.peer_addr().ok()).map(Some);
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

    /// An error. Those that are the moment's or the call's would not be true of the next one.
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
        // Windows has one kind for what has timed out and what was given up.
        if said_once.contains(&error.kind()) && !is_cancelled(&error) {
            self.unread.put(UnreadItem::Error(error));
        }
    }
}

/// What was received beside the bytes.
#[derive(Default)]
struct MsgMeta {
    sender: Option<Option<SockAddr>>,
    ancillary: SocketAncillary,
    flags: i32,
}

/// What came into one buffer.
fn copy_out(buffer: &impl IoBufMut, len: usize) -> Option<Vec<u8>> {
    (buffer.buf_capacity() > 0).then(|| buffer.as_init()[..len].to_vec())
}

/// What came into several.
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

/// The result, and in its place one that says nothing.
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

/// What came into several buffers, and all that is known of it.
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
        // The bytes of a last answer have come with an item.
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

/// An operation that leaves what it has received.
pub(crate) struct Guarded<O> {
    // It goes before the descriptor, which it does not own.
    operation: O,
    fd: SharedFd,
    mode: RecvMode,
}

/// A receive of little goes where others do.
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

// SAFETY: the request is that of the operation inside, which does not move in here.
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
        // The code of the buffer: if it panics, whoever waits has to be told all the same.
        // SAFETY: passed on from this function.
        arrived.output = Some(unsafe { operation.finish(answer) });
        arrived
    }
}

// SAFETY: it owns the descriptor of the operation inside.
unsafe impl<O: KeepsUnread> Owned for Guarded<O> {}

// SAFETY: as that of the operation inside.
unsafe impl<O: KeepsUnread + Multishot> Multishot for Guarded<O> {
    type Item = O::Item;

    unsafe fn push_partial(this: *mut Self, item: Item) -> bool {
        // SAFETY: by this function's contract, which is the same for the part.
        unsafe { O::push_partial(&raw mut (*this).operation, item) }
    }

    unsafe fn next(this: *mut Self) -> Option<O::Item> {
        // SAFETY: as in `note`.
        unsafe { O::next(&raw mut (*this).operation) }
    }
}

/// What came out of one. If it is dropped, somebody else shall have it.
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
        /// Whatever the buffer's code does.
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
