//! Accepting connections without losing any when a future is dropped.
//!
//! By the time a future is dropped, for instance by a `select`, the kernel may have accepted a connection
//! for it. The next accept returns this connection. The same holds for the remaining connections of a
//! dropped `AcceptStream`.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    future::{Future, poll_fn},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use compio_io::panics::{discard, wake_all};
use socket2::SockAddr;

use crate::{
    driver::{Core, Driver},
    fd::{LooseFd, SharedFd},
    op::{Accept, PollOnce, Readiness, multishot::AcceptMulti},
    operation::Operation,
    orphan::{Keeper, Lossless, OrphanWait, PendingOrphans},
    os_calls::socket::SocketRef,
    submit::Submit,
    sys::{self, AsFd, OwnedFd},
    wait_list::{Waiter, Waiters},
};

/// Accepts from one listening socket. Clones are handles of the same acceptor.
#[derive(Clone, Default)]
pub struct Acceptor(Rc<AcceptQueue>);

/// Connections that were accepted for dropped futures, and the tasks that wait for them.
#[derive(Default)]
pub(crate) struct AcceptQueue {
    connections: RefCell<VecDeque<Connection>>,
    /// The dropped accepts that the kernel has not completed yet.
    pending_orphans: PendingOrphans,
    /// Whether a task occupies `first`, which needs no allocation. Usually no other task waits.
    has_first: Cell<bool>,
    first: RefCell<Option<Waker>>,
    /// All other tasks.
    waiters: Waiters,
}

/// A connection, and its peer's address if the accept has requested it.
type Connection = (LooseFd, Option<SockAddr>);

impl Acceptor {
    pub(crate) fn queue(&self) -> Rc<AcceptQueue> {
        Rc::clone(&self.0)
    }

    /// An acceptor without connections.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a connection of `fd`, or waits for one. Each call must pass the same socket.
    pub fn accept(&self, driver: &Driver, fd: &SharedFd) -> AcceptOne {
        AcceptOne::new(driver.share(), Rc::clone(&self.0), fd.clone())
    }

    /// Whether it keeps connections: then the next accept returns one at once.
    pub fn has_kept(&self) -> bool {
        !self.0.connections.borrow().is_empty()
    }

    /// Waits until the kernel has completed each accept whose future was dropped.
    pub fn settle<'a>(&'a self, driver: &Driver) -> impl Future<Output = ()> + use<'a> {
        let driver = driver.share();
        let mut orphan_wait = OrphanWait::default();
        poll_fn(move |cx| {
            let is_settled = || !self.0.pending_orphans.has_some() || driver.refusal().is_some();
            if is_settled() {
                return Poll::Ready(());
            }
            orphan_wait.listen(&driver, cx, &self.0.waiters);
            self.0.pending_orphans.pump_others(&driver, cx.waker());
            // The clone of the waker runs user code, which may have turned the driver.
            if is_settled() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acceptor")
    }
}

/// The future of [`Acceptor::accept`].
///
/// # Cancellation
///
/// No connection is lost. If the kernel accepts one for a dropped future, the acceptor returns it next,
/// also to a task that waits already.
#[must_use = "futures do nothing unless awaited"]
pub struct AcceptOne {
    state: State,
    place: Place,
}

/// The states hold the listener for the next attempt.
enum State {
    Accepting(Submit<LosslessAccept<Accept>>, SharedFd),
    /// Waits for readiness before the next attempt.
    Waiting(Submit<PollOnce>, SharedFd),
    Done,
}

impl AcceptOne {
    pub(crate) fn new(driver: Rc<Core>, kept: Rc<AcceptQueue>, fd: SharedFd) -> Self {
        Self {
            state: State::accepting(driver, &kept, fd),
            place: Place::new(kept),
        }
    }

    /// A connection, and its peer's address if it is known.
    pub(crate) fn poll_connection(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Connection>> {
        if let State::Accepting(accept, _) = &self.state
            && accept.is_idle()
        {
            self.place.kept.pump_others(accept.driver(), cx.waker());
        }
        if let Some(connection) = self.place.kept.take() {
            return Poll::Ready(Ok(connection));
        }
        if let Poll::Ready(accepted) = self.state.poll(cx, &self.place.kept) {
            return Poll::Ready(accepted);
        }
        self.place.list(cx.waker());
        // The clone of the waker runs user code, which may have dropped another future.
        match self.place.kept.take() {
            Some(connection) => Poll::Ready(Ok(connection)),
            None => Poll::Pending,
        }
    }
}

impl Future for AcceptOne {
    type Output = io::Result<(OwnedFd, SockAddr)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let accepted = ready!(self.poll_connection(cx));
        Poll::Ready(accepted.and_then(|(fd, address)| match address {
            Some(address) => Ok((fd.into_owned(), address)),
            None => peer_of(fd),
        }))
    }
}

/// Queries a connection's peer address. A connection that has been reset has none (ENOTCONN):
/// accept(2) returns ECONNABORTED for such a connection.
fn peer_of(fd: LooseFd) -> io::Result<(OwnedFd, SockAddr)> {
    let fd = fd.into_owned();
    let address = SocketRef::new(fd.as_fd()).peer_addr();
    match address {
        Ok(address) => Ok((fd, address)),
        Err(_) => {
            drop(LooseFd::from(fd));
            Err(io::ErrorKind::ConnectionAborted.into())
        }
    }
}

impl State {
    fn accepting(driver: Rc<Core>, kept: &Rc<AcceptQueue>, fd: SharedFd) -> Self {
        let accept = LosslessAccept::new(Accept::new(fd.clone()), Rc::clone(kept));
        Self::Accepting(Submit::new(driver, accept), fd)
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        kept: &Rc<AcceptQueue>,
    ) -> Poll<io::Result<Connection>> {
        loop {
            match self {
                Self::Accepting(accept, fd) => {
                    let accepted = ready!(Pin::new(&mut *accept).poll(cx));
                    let code = accepted.as_ref().err().and_then(io::Error::raw_os_error);
                    if code != Some(sys::EAGAIN) {
                        *self = Self::Done;
                        return Poll::Ready(accepted.map(with_address));
                    }
                    // Linux 5.11 to 5.18 try the accept of a non-blocking listener once
                    // (REQ_F_NOWAIT in io_accept), later kernels poll the listener themselves.
                    let wait = PollOnce::new(fd.clone(), Readiness::READABLE);
                    let wait = Submit::new(Rc::clone(accept.driver()), wait);
                    *self = Self::Waiting(wait, fd.clone());
                }
                Self::Waiting(wait, fd) => {
                    if let Err(error) = ready!(Pin::new(&mut *wait).poll(cx)) {
                        return Poll::Ready(Err(error));
                    }
                    *self = Self::accepting(Rc::clone(wait.driver()), kept, fd.clone());
                }
                Self::Done => panic!("polled after completion"),
            }
        }
    }
}

impl Drop for AcceptOne {
    fn drop(&mut self) {
        if let State::Accepting(accept, _) = &self.state
            && accept.is_pending()
        {
            // Before it is abandoned, which may complete it at once. `keep` calls `orphan_done`.
            self.place.kept.orphan_added(accept.driver());
        }
    }
}

impl fmt::Debug for AcceptOne {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcceptOne").finish_non_exhaustive()
    }
}

/// A task's registration for the connections of dropped futures.
pub(crate) struct Place {
    pub(crate) kept: Rc<AcceptQueue>,
    waits: Waits,
}

enum Waits {
    Not,
    First,
    Listed(Waiter),
}

impl Place {
    pub(crate) fn new(kept: Rc<AcceptQueue>) -> Self {
        Self {
            kept,
            waits: Waits::Not,
        }
    }

    /// Registers the task's waker.
    pub(crate) fn list(&mut self, waker: &Waker) {
        let Self { kept, waits } = self;
        if matches!(waits, Waits::Not) {
            *waits = if kept.has_first.replace(true) {
                Waits::Listed(Waiter::default())
            } else {
                Waits::First
            };
        }
        if let Waits::Listed(waiter) = waits {
            return kept.waiters.list(waiter, waker);
        }
        let first = kept.first.borrow();
        let is_known = first.as_ref().is_some_and(|known| known.will_wake(waker));
        drop(first);
        if !is_known {
            // Cloned and dropped with nothing borrowed: both run user code of the waker.
            let before = kept.first.replace(Some(waker.clone()));
            drop(before);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if matches!(self.waits, Waits::First) {
            let waker = self.kept.first.take();
            self.kept.has_first.set(false);
            // With nothing borrowed: the drop runs user code of the waker.
            drop(waker);
        }
    }
}

impl AcceptQueue {
    /// Called before an accept begins. If no loop turns another driver, its dropped accept would take the next
    /// connection.
    pub(crate) fn pump_others(&self, driver: &Rc<Core>, waker: &Waker) {
        if self.pending_orphans.has_some() {
            self.pending_orphans.pump_others(driver, waker);
        }
    }

    pub(crate) fn take(&self) -> Option<Connection> {
        self.connections.borrow_mut().pop_front()
    }

    /// Counts a dropped accept in flight. [`orphan_done`](Self::orphan_done) follows.
    pub(crate) fn orphan_added(&self, driver: &Rc<Core>) {
        self.pending_orphans.add(driver);
    }

    /// Keeps the connections of a dropped accept that has completed, and wakes all waiting tasks.
    pub(crate) fn orphan_done(&self, connections: impl IntoIterator<Item = Connection>) {
        self.connections.borrow_mut().extend(connections);
        self.pending_orphans.remove();
        let first = self.first.take();
        // The panic hook has reported it, and a destructor must not panic.
        [wake_all(first.into_iter()), self.waiters.wake()]
            .into_iter()
            .flatten()
            .for_each(discard);
    }
}

/// An accept whose connections go to the queue if its future is dropped.
pub(crate) type LosslessAccept<O> = Lossless<O, Rc<AcceptQueue>>;

impl Keeper<Accept> for Rc<AcceptQueue> {
    unsafe fn keep(self, accept: Accept, answer: io::Result<usize>) {
        // SAFETY: passed on from this function.
        let accepted = unsafe { accept.finish(answer) };
        self.orphan_done(accepted.map(with_address));
    }
}

impl Keeper<AcceptMulti<SharedFd>> for Rc<AcceptQueue> {
    unsafe fn keep(self, mut accept: AcceptMulti<SharedFd>, answer: io::Result<usize>) {
        let untaken = accept.take_all();
        // SAFETY: passed on from this function.
        let last = unsafe { accept.finish(answer) };
        let all = untaken.into_iter().chain(last.ok().flatten());
        self.orphan_done(all.map(|fd| (fd.into(), None)));
    }
}

fn with_address((fd, address): (OwnedFd, SockAddr)) -> Connection {
    (fd.into(), Some(address))
}
