//! The driver: one backend, the arena of its operations, and their wakers.
//!
//! All user code (wakers, destructors, [`Operation::finish`]) runs here, while neither the backend nor the
//! arena is borrowed.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    future::poll_fn,
    io, iter, mem,
    panic::{self, AssertUnwindSafe},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use compio_io::buf::IoBuf;
use compio_io::panics::{discard, wake_all};

use crate::{
    arena::{Abandoned, Arena, OnComplete, to_result},
    backend::{Backend, BackendKind},
    buffers::BufferPool,
    cancel::{CancelScope, CancelToken, Cancelled},
    fd::SharedFd,
    key::Key,
    notify::Notifier,
    operation::{Operation, Owned},
    per_process::Process,
    request::{Answer, Capabilities, NOT_READY, Report, Request},
    spin::{Spin, SpinPolicy},
    stream::{AcceptStream, RecvStream, SendZeroCopyFuture},
    submit::Submit,
    sys::{self, AsRawFd, BufferRing, RawFd, Resubmit, Submitted},
    thread_bound::StaysOnItsThread,
    thread_pool::{Job, Pool, RemoteCompletions},
};

/// Submits operations to the kernel and reaps their completions.
///
/// A driver belongs to the thread that made it. It needs no executor: see [`Poller`]. Dropping it
/// cancels all operations in flight and waits for their final completions, at most for
/// [`DriverBuilder::shutdown_timeout`].
///
/// A child of `fork` must not use its parent's drivers. Dropping one in the child does nothing.
pub struct Driver {
    inner: StaysOnItsThread<Rc<Inner>>,
}

/// The settings of a new [`Driver`].
#[derive(Debug, Clone)]
pub struct DriverBuilder {
    backend: Option<BackendKind>,
    entries: u32,
    spin: SpinPolicy,
    pool: Option<Pool>,
    shutdown_timeout: Duration,
}

/// The low-level API: operations stay with their caller, and a number identifies each.
///
/// ```
/// use compio::driver::{Driver, Poller, op::Nop};
///
/// fn main() -> std::io::Result<()> {
///     let driver = Driver::new()?;
///     let mut op = Nop::new();
///     // SAFETY: `op` stays in place until its entry arrives.
///     unsafe { driver.push(&mut op, 7)? };
///     let entry = driver.poll_one(None)?;
///     assert_eq!(entry.user_data(), 7);
///     assert_eq!(entry.into_result()?, 0);
///     Ok(())
/// }
/// ```
pub trait Poller {
    /// Registers a descriptor with the driver. Otherwise its first operation does so, on systems that need
    /// it; an explicit call reports an error early.
    ///
    /// # Platform differences
    ///
    /// On Windows, operations on a raw handle that is used more than once are faster if it is attached: the
    /// driver then assumes that the value names the same object until it is attached again.
    ///
    /// # Errors
    ///
    /// The OS error if the registration fails. Only Windows registers descriptors.
    fn attach(&self, fd: RawFd) -> io::Result<()>;

    /// Begins an operation that stays in place. When it completes, [`poll`](Self::poll) returns an
    /// [`Entry`] with `user_data`.
    ///
    /// # Errors
    ///
    /// An error of kind [`Other`](io::ErrorKind::Other) if the driver has been shut down. The operation
    /// has not begun, and no entry follows. Errors of the operation itself, also the lack of a thread for
    /// blocking work, are in its entry.
    ///
    /// # Safety
    ///
    /// Until the entry arrives, the caller neither moves, drops nor accesses the operation, its
    /// descriptors stay open, and the driver is not leaked. Dropping the driver waits for the
    /// operation. If that wait exceeds the shutdown timeout, the operation must be leaked.
    ///
    /// # Dropping an operation
    ///
    /// After its entry has arrived, a pushed operation may be dropped. Its drop does not close an fd that the
    /// kernel has closed ([`Close`](crate::op::Close)). Nor does it close a descriptor that the completion
    /// returns ([`Accept`](crate::op::Accept), [`Open`](crate::op::Open), [`Socket`](crate::op::Socket),
    /// [`RecvAncillary`](crate::op::RecvAncillary)): such a descriptor leaks.
    /// [`finish`](Operation::finish) with the entry's result gives it an owner.
    unsafe fn push<O: Operation>(&self, op: &mut O, user_data: usize) -> io::Result<()>;

    /// Requests the cancellation of all operations that were pushed with this number. Their entries
    /// still arrive, with the error `ECANCELED` or with the result of an earlier completion. Does
    /// nothing if there are no such operations.
    fn cancel(&self, user_data: usize);

    /// Submits the pushed operations and waits until one completes, at most for `timeout` (`None`: no
    /// limit; zero: no wait). Appends all available entries, and returns their number.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut) if no entry arrived in time.
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if `timeout` is `None` and nothing is in flight.
    /// The OS error if waiting fails.
    fn poll(
        &self,
        timeout: Option<Duration>,
        entries: &mut impl Extend<Entry>,
    ) -> io::Result<usize>;

    /// As [`poll`](Self::poll), for one entry. Other available entries stay for the next call.
    ///
    /// # Errors
    ///
    /// As for [`poll`](Self::poll).
    fn poll_one(&self, timeout: Option<Duration>) -> io::Result<Entry>;
}

/// The completion of a pushed operation.
#[derive(Debug)]
pub struct Entry {
    user_data: usize,
    answer: Answer,
}

impl Entry {
    /// The number that the operation was pushed with.
    pub fn user_data(&self) -> usize {
        self.user_data
    }

    /// The operation's result.
    ///
    /// # Errors
    ///
    /// The OS error of the operation, for instance `ECANCELED` if it was cancelled.
    pub fn into_result(self) -> io::Result<usize> {
        to_result(self.answer)
    }
}

impl DriverBuilder {
    /// The defaults: 256 submission entries, adaptive spinning, the process's thread pool, and a
    /// shutdown timeout of 5 seconds.
    pub fn new() -> Self {
        Self {
            backend: None,
            entries: 256,
            spin: SpinPolicy::default(),
            pool: None,
            shutdown_timeout: Duration::from_secs(5),
        }
    }

    /// Forces a backend. The default is the environment variable `COMPIO_BACKEND` (`io-uring`, `iocp`
    /// or `poll`, see [`BackendKind`]). Without both, it is the best backend that the kernel allows.
    pub fn backend(mut self, kind: BackendKind) -> Self {
        self.backend = Some(kind);
        self
    }

    /// How many operations one system call can submit; more take several calls. The kernel rounds up
    /// to a power of two and clamps.
    ///
    /// # Platform differences
    ///
    /// Newer Linux kernels count the memory of a ring as locked (`ulimit -l`) unless the process may
    /// lock unlimited memory: some 60 kilobytes for 256 entries, for each driver of a user. The
    /// kernel frees the memory of a closed ring asynchronously. If the limit is exceeded,
    /// [`build`](Self::build) therefore retries for half a second at most.
    pub fn entries(mut self, entries: u32) -> Self {
        self.entries = entries.max(1);
        self
    }

    /// Whether the thread spins before it sleeps.
    pub fn spin(mut self, policy: SpinPolicy) -> Self {
        self.spin = policy;
        self
    }

    /// The thread pool for blocking work, instead of the pool that all drivers share.
    pub fn pool(mut self, pool: Pool) -> Self {
        self.pool = Some(pool);
        self
    }

    /// How long the driver's drop waits for cancelled operations to complete. After that their memory
    /// is leaked, never freed.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Makes the driver, for this thread.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported) or [`PermissionDenied`](io::ErrorKind::PermissionDenied)
    /// if the kernel lacks or refuses a forced backend. [`InvalidInput`](io::ErrorKind::InvalidInput) if
    /// `COMPIO_BACKEND` names no backend. The OS error if descriptors or memory are exhausted: its
    /// message names the limit.
    pub fn build(self) -> io::Result<Driver> {
        let wanted = match self.backend {
            Some(kind) => Some(kind),
            None => BackendKind::from_env()?,
        };
        let (backend, event, why) = sys::choose(wanted, self.entries, Spin::new(self.spin))?;
        let notifier = Arc::new(Notifier::new(event));
        let inner = Inner {
            arena: Arena::new(),
            backend: RefCell::new(backend),
            why,
            desk: Arc::new(RemoteCompletions::new(Arc::clone(&notifier))),
            notifier,
            pool: self.pool.unwrap_or_else(Pool::global),
            entries: RefCell::default(),
            deferred: Cell::default(),
            completions: Cell::default(),
            closed: Cell::new(false),
            shut_down_at: Cell::new(None),
            is_unattended: Cell::new(false),
            is_announced: Cell::new(false),
            defers_cancels: Cell::new(false),
            scopes: RefCell::default(),
            is_fast_path: Cell::new(true),
            shutdown_timeout: self.shutdown_timeout,
            leaves_pool: Cell::new(false),
            process: Process::current(),
        };
        Ok(Driver {
            inner: StaysOnItsThread::new(Rc::new(inner)),
        })
    }
}

impl Default for DriverBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl Driver {
    /// A driver with the defaults of [`DriverBuilder`].
    ///
    /// # Errors
    ///
    /// As [`DriverBuilder::build`].
    pub fn new() -> io::Result<Self> {
        DriverBuilder::new().build()
    }

    /// A driver whose submission queue has room for this many entries: see [`DriverBuilder::entries`].
    ///
    /// # Errors
    ///
    /// As [`DriverBuilder::build`].
    pub fn with_entries(entries: u32) -> io::Result<Self> {
        DriverBuilder::new().entries(entries).build()
    }

    /// Which backend runs, and why.
    pub fn backend(&self) -> Backend {
        Backend {
            kind: self.inner.backend.borrow().kind(),
            why: self.inner.why.clone(),
        }
    }

    /// The future of an operation, for this thread. The operation begins at the first poll.
    pub fn submit<O: Owned>(&self, operation: O) -> Submit<O> {
        Submit::new(Rc::clone(&self.inner), operation)
    }

    /// Whether the driver has been shut down: no new operation begins.
    pub fn is_shut_down(&self) -> bool {
        self.inner.is_closed()
    }

    /// The connections of a listening socket, one after the other. One multishot request serves all, if
    /// the kernel supports that.
    pub fn accept_stream(&self, fd: SharedFd) -> AcceptStream {
        AcceptStream::new(self.share(), fd, Rc::default())
    }

    /// The bytes of a stream socket, in buffers of a pool of the same driver. One multishot request serves
    /// all, if the kernel supports that. `flags` are the system's `MSG_` flags, of which `MSG_DONTWAIT`,
    /// `MSG_TRUNC` and `MSG_WAITALL` have no effect.
    ///
    /// # Panics
    ///
    /// If the pool was made for another driver.
    pub fn recv_stream(&self, fd: SharedFd, pool: &BufferPool, flags: i32) -> RecvStream {
        assert!(
            Rc::ptr_eq(&self.inner, pool.driver()),
            "the buffer pool belongs to another driver: create one for this driver"
        );
        RecvStream::new(fd, pool.clone(), flags)
    }

    /// Sends the initialised part of a buffer without copying it, if the kernel supports that. The
    /// kernel uses the buffer longer than the send takes, so the result is returned first and the
    /// buffer later. `flags` are the system's `MSG_` flags.
    ///
    /// It is worthwhile for large buffers only, and never on loopback.
    pub fn send_zero_copy<B: IoBuf>(
        &self,
        fd: SharedFd,
        buffer: B,
        flags: i32,
    ) -> SendZeroCopyFuture<B> {
        SendZeroCopyFuture::new(self.share(), fd, buffer, flags)
    }

    /// One turn: submits pending requests, waits for completions, and wakes the waiting tasks. Sleeps at
    /// most for `timeout` (`None`: no limit; zero: no sleep) if no completion is ready. May return
    /// early and without any completion.
    ///
    /// # Errors
    ///
    /// The OS error if waiting fails.
    pub fn turn(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.turn(timeout)
    }

    /// A waker that ends the sleep of [`turn`](Self::turn), from any thread and at any time. It makes a
    /// system call only if the driver's thread sleeps. [`Poller::poll`] wakes, too, but continues to
    /// wait for an entry.
    pub fn waker(&self) -> Waker {
        self.inner.notifier.waker()
    }

    /// Announces the sleep of an outer loop that waits for the driver's descriptor. Submits pending
    /// requests; from now on a wake from another thread also makes the descriptor readable. Returns
    /// false if [`turn`](Self::turn) already has work to do.
    ///
    /// Until the next [`turn`](Self::turn) ends the sleep, this thread makes the descriptor readable, too,
    /// if it begins, cancels or drops operations.
    pub fn prepare_to_sleep(&self) -> bool {
        let inner = &self.inner;
        // Ends an earlier announced sleep.
        inner.notifier.unpark();
        let may_sleep = {
            let mut backend = inner.backend.borrow_mut();
            backend.prepare_to_sleep(&inner.notifier)
        };
        inner.is_announced.set(may_sleep);
        inner.renew_plain();
        may_sleep
    }

    /// Ends the sleep that [`prepare_to_sleep`](Self::prepare_to_sleep) announced. The caller checks
    /// every source of notifications except the driver's remote completions.
    #[doc(hidden)]
    pub fn end_sleep(&self) {
        let inner = &self.inner;
        if inner.is_announced.get() {
            inner.end_sleep();
        }
        if inner.notifier.take() && inner.desk.maybe_nonempty() {
            inner.notifier.notify();
        }
    }

    /// Sets whether a loop is going to turn the driver. Without one, beginning an operation or waiting
    /// for one panics.
    #[doc(hidden)]
    pub fn set_attended(&self, is_attended: bool) {
        self.inner.is_unattended.set(!is_attended);
        self.inner.renew_plain();
    }

    /// Ends the sleep of an outer loop, if one was announced.
    #[doc(hidden)]
    pub fn wake_outer(&self) {
        self.inner.wake_outer();
    }

    /// The next wake of an announced sleep wakes this task, too.
    #[doc(hidden)]
    pub fn set_outer_waker(&self, waker: Option<Waker>) {
        drop(self.inner.notifier.set_outer(waker));
    }

    /// Begins a shutdown: called before the tasks of a driver are dropped one by one.
    /// [`shut_down`](Self::shut_down) follows, and cancels their orphans all at once. The timeout
    /// counts from this call.
    #[doc(hidden)]
    pub fn begin_shut_down(&self) {
        self.inner.begin_shut_down();
    }

    /// Ends all operations, as dropping the driver does: cancels them and waits for their final
    /// completions, at most for the shutdown timeout. New operations are refused.
    pub fn shut_down(&self) {
        self.inner.shut_down();
    }

    /// From now on, a shutdown does not wait for threads of the pool, and leaks their jobs. Used at the
    /// end of the process, which also ends these threads.
    #[doc(hidden)]
    pub fn leave_pool(&self) {
        self.inner.leaves_pool.set(true);
    }

    /// How many calls of `io_uring_enter`, or waits for readiness, this driver has made. For tests
    /// and measurements of the operations per call.
    #[doc(hidden)]
    pub fn enters(&self) -> u64 {
        self.inner.backend.borrow().enters()
    }

    /// Until the scope is dropped, operations that are polled for the first time belong to `token`, too.
    /// A forgotten scope (`mem::forget`) never ends.
    pub fn scope(&self, token: &CancelToken) -> CancelScope<'_> {
        CancelScope::enter(self, token)
    }

    /// Waits until a token of the active scopes is cancelled, for waits that are not operations. The output
    /// is the error of a cancelled operation, `ECANCELED`.
    #[doc(hidden)]
    pub fn scope_cancelled(&self) -> impl Future<Output = io::Error> + use<> {
        let mut cancels = self.inner.cancels();
        poll_fn(move |cx| {
            let mut cancels = cancels.iter_mut();
            if cancels.any(|cancel| Pin::new(cancel).poll(cx).is_ready()) {
                Poll::Ready(io::Error::from_raw_os_error(sys::ECANCELED))
            } else {
                Poll::Pending
            }
        })
    }

    pub(crate) fn inner(&self) -> &Rc<Inner> {
        &self.inner
    }

    pub(crate) fn share(&self) -> Rc<Inner> {
        Rc::clone(&self.inner)
    }

    /// Whether [`turn`](Self::turn) could only sleep: no operation is in flight, and the
    /// [waker](Self::waker) has not been used. Makes no system call.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.in_flight() == 0 && !self.inner.notifier.is_notified()
    }

    /// For a loop that pauses: submits the cancels of orphaned operations and reaps the completions that
    /// are ready. Otherwise the orphans would hold their descriptors and their received data until the
    /// next turn.
    #[doc(hidden)]
    pub fn settle_orphans(&self) {
        if self.inner.arena.orphans() > 0 {
            self.inner.pump_quietly();
        }
    }

    /// How many operations have not completed yet.
    pub fn in_flight(&self) -> usize {
        self.inner.arena.in_flight_count()
    }
}

impl Poller for Driver {
    fn attach(&self, fd: RawFd) -> io::Result<()> {
        self.inner.backend.borrow_mut().attach(fd)
    }

    unsafe fn push<O: Operation>(&self, op: &mut O, user_data: usize) -> io::Result<()> {
        // Before the request, which may take a descriptor out of the operation.
        if self.inner.closed.get() {
            return Err(closed());
        }
        let request = op.request();
        // User code of a buffer may have shut the driver down.
        if self.inner.closed.get() {
            return Err(closed());
        }
        let key = self.inner.arena.insert_external(request, user_data);
        // SAFETY: the operation stays in place, by this function's contract.
        let launched = unsafe { self.inner.launch(key, &request) };
        if let Some(answer) = launched {
            self.inner.complete(key, answer);
        }
        Ok(())
    }

    fn cancel(&self, user_data: usize) {
        self.inner
            .cancel_all(self.inner.arena.keys_of_caller(user_data));
    }

    fn poll(
        &self,
        timeout: Option<Duration>,
        entries: &mut impl Extend<Entry>,
    ) -> io::Result<usize> {
        let first = self.poll_one(timeout)?;
        // One by one: the queue keeps its memory, and no entry is lost if `extend` panics.
        let rest = iter::from_fn(|| self.inner.entries.borrow_mut().pop_front());
        let mut count = 0;
        entries.extend(iter::once(first).chain(rest).inspect(|_| count += 1));
        Ok(count)
    }

    fn poll_one(&self, timeout: Option<Duration>) -> io::Result<Entry> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut left = timeout;
        loop {
            if let Some(entry) = self.inner.entries.borrow_mut().pop_front() {
                return Ok(entry);
            }
            if self.inner.arena.in_flight_count() == 0 && timeout.is_none() {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "nothing is in flight: push an operation first, or pass a timeout",
                ));
            }
            self.inner.turn(left)?;
            let Some(deadline) = deadline else { continue };
            left = Some(deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                let entry = self.inner.entries.borrow_mut().pop_front();
                return entry.ok_or_else(|| io::ErrorKind::TimedOut.into());
            }
        }
    }
}

impl AsRawFd for Driver {
    /// For an outer loop: once [`prepare_to_sleep`](Driver::prepare_to_sleep) has returned true,
    /// this becomes readable when [`turn`](Driver::turn) has something to do.
    fn as_raw_fd(&self) -> RawFd {
        self.inner.backend.borrow().as_raw_fd()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.inner.process.is_current() {
            self.inner.shut_down();
        } else {
            // In a child of `fork`: the state belongs to the parent.
            mem::forget(self.share());
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("backend", &self.backend())
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

/// How many operations a shutdown cancels before it reaps completions and checks the clock.
const CANCELS_PER_TURN: usize = 256;

/// The state that the driver and the futures of its operations share.
pub(crate) struct Inner {
    pub(crate) arena: Arena,
    backend: RefCell<sys::Backend>,
    why: String,
    desk: Arc<RemoteCompletions>,
    notifier: Arc<Notifier>,
    pool: Pool,
    /// Completed operations of [`Poller`]'s callers, not returned yet.
    entries: RefCell<VecDeque<Entry>>,
    /// Empty between turns; kept for its memory.
    deferred: Cell<Option<Box<Deferred>>>,
    /// Likewise.
    completions: Cell<Vec<(Key, Answer)>>,
    closed: Cell<bool>,
    /// The start of the shutdown.
    shut_down_at: Cell<Option<Instant>>,
    /// The runtime's loop, which turns the driver, runs elsewhere or not at all.
    is_unattended: Cell<bool>,
    /// An outer loop may sleep on the driver's descriptor.
    is_announced: Cell<bool>,
    /// The shutdown has begun: it cancels the orphans, unless a new operation does so first.
    defers_cancels: Cell<bool>,
    /// Stack of active cancel scopes, outermost first. `None` marks a scope that was left out of order;
    /// the last element is always `Some`.
    scopes: RefCell<Vec<Option<CancelToken>>>,
    /// New operations need no further checks: see [`renew_plain`](Self::renew_plain).
    is_fast_path: Cell<bool>,
    shutdown_timeout: Duration,
    /// Whether the shutdown does not wait for the thread pool.
    leaves_pool: Cell<bool>,
    /// The process that made the driver.
    process: Process,
}

impl Inner {
    /// The optional capabilities of the backend.
    pub(crate) fn extras(&self) -> Capabilities {
        self.backend.borrow().extras()
    }

    /// Registers a buffer ring, from which the kernel picks buffers, if it supports that.
    pub(crate) fn register_buffers(&self, count: u16) -> io::Result<Option<Box<dyn BufferRing>>> {
        self.backend.borrow_mut().register_buffers(count)
    }

    pub(crate) fn unregister_buffers(&self, buffer_ring: Box<dyn BufferRing>) {
        self.backend
            .borrow_mut()
            .unregister_buffers(buffer_ring.group());
    }

    /// Returns the scope's index in the stack.
    pub(crate) fn enter_scope(&self, token: CancelToken) -> usize {
        let mut scopes = self.scopes.borrow_mut();
        scopes.push(Some(token));
        self.is_fast_path.set(false);
        scopes.len() - 1
    }

    pub(crate) fn leave_scope(&self, place: usize) -> Option<CancelToken> {
        let mut scopes = self.scopes.borrow_mut();
        let left = scopes[place].take();
        while scopes.pop_if(|scope| scope.is_none()).is_some() {}
        drop(scopes);
        self.renew_plain();
        left
    }

    fn renew_plain(&self) {
        self.is_fast_path.set(
            self.scopes.borrow().is_empty()
                && !self.closed.get()
                && !self.defers_cancels.get()
                && !self.is_announced.get()
                && !self.is_unattended.get(),
        );
    }

    /// Panics if no loop is going to turn the driver: the wait for an operation would never end.
    #[inline]
    pub(crate) fn check_attended(&self) {
        if self.is_unattended.get() {
            unattended();
        }
    }

    #[cold]
    fn end_sleep(&self) {
        self.notifier.unpark();
        self.is_announced.set(false);
        self.renew_plain();
    }

    fn wake_outer(&self) {
        if self.is_announced.get() {
            self.notifier.notify();
        }
    }

    /// Whether the driver has been shut down, or the shutdown is in progress.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// The error of an operation that must not begin.
    #[inline]
    pub(crate) fn refusal(&self) -> Option<io::Error> {
        if self.is_fast_path.get() {
            return None;
        }
        self.refusal_slow()
    }

    #[cold]
    fn refusal_slow(&self) -> Option<io::Error> {
        if self.closed.get() {
            return Some(closed());
        }
        self.wake_outer();
        self.check_attended();
        if self.defers_cancels.get() {
            // A destructor begins an operation, and may wait for an orphan.
            self.cancel_all(self.arena.keys_of_orphans());
        }
        self.is_cancelled()
            .then(|| io::Error::from_raw_os_error(sys::ECANCELED))
    }

    /// Whether a token of the active scopes has been cancelled.
    #[inline]
    fn is_cancelled(&self) -> bool {
        let scopes = self.scopes.borrow();
        scopes.iter().flatten().any(CancelToken::is_cancelled)
    }

    /// The cancellation futures of the active scopes.
    pub(crate) fn cancels(&self) -> Vec<Cancelled> {
        let scopes = self.scopes.borrow();
        scopes
            .iter()
            .flatten()
            .map(CancelToken::cancelled)
            .collect()
    }

    /// As [`launch`](Self::launch), for an operation that belongs to the active scopes.
    ///
    /// # Safety
    ///
    /// As for `launch`.
    #[inline]
    pub(crate) unsafe fn begin(self: &Rc<Self>, key: Key, request: &Request) -> Option<Answer> {
        if !self.is_fast_path.get() {
            // User code of a buffer may have cancelled a token.
            if self.is_cancelled() {
                return Some(Err(sys::ECANCELED));
            }
            for token in self.scopes.borrow().iter().flatten() {
                token.add(self, key);
            }
        }
        // SAFETY: passed on from this function.
        unsafe { self.launch(key, request) }
    }

    /// Passes an inserted operation's request to the backend. Returns a result that is ready at once; the
    /// operation is not completed by it yet.
    ///
    /// # Safety
    ///
    /// The memory that the request points to stays valid until the operation has completed.
    #[inline]
    pub(crate) unsafe fn launch(&self, key: Key, request: &Request) -> Option<Answer> {
        // User code of a buffer may have shut the driver down.
        if self.closed.get() {
            return Some(Err(sys::ECANCELED));
        }
        let scratch = self.arena.op_state(key);
        // SAFETY: passed on from this function; the scratch is this operation's.
        let launched = unsafe { self.backend.borrow_mut().launch(key, request, scratch) };
        match launched {
            Submitted::InFlight => None,
            Submitted::Ready(answer) => Some(answer),
            Submitted::ThreadPool(request) => self.dispatch(key, request, false),
        }
    }

    fn dispatch(&self, key: Key, request: Request, is_repeated: bool) -> Option<Answer> {
        self.arena.mark_in_thread_pool(key);
        let job = Job {
            key,
            request,
            desk: Arc::clone(&self.desk),
            is_repeated,
        };
        // An error if no thread can be started now.
        let error = self.pool.dispatch(job).err()?;
        Some(Err(error.raw_os_error().unwrap_or(sys::EAGAIN)))
    }

    /// Requests the cancellation of an operation that is in the backend or in the thread pool.
    pub(crate) fn cancel(&self, key: Key) {
        self.wake_outer();
        self.arena.mark_cancel_requested(key);
        if !self.arena.is_in_thread_pool(key) {
            let scratch = self.arena.op_state(key);
            // SAFETY: the scratch of this operation, which is in flight.
            unsafe { self.backend.borrow_mut().cancel(key, scratch) };
        } else if self.pool.withdraw(key, &self.desk) {
            self.desk.put(key, Err(sys::ECANCELED));
        }
    }

    pub(crate) fn turn(&self, timeout: Option<Duration>) -> io::Result<()> {
        // The outer loop that slept for this driver (see `prepare_to_sleep`) has woken.
        if self.is_announced.get() {
            self.end_sleep();
        }
        // The notifying thread may have pushed work that only the caller can see: no sleep.
        let timeout = if self.notifier.take() {
            Some(Duration::ZERO)
        } else {
            timeout
        };
        let mut deferred = self.deferred.take().unwrap_or_default();
        let waited = self
            .backend
            .borrow_mut()
            .wait(timeout, &self.notifier, &mut |key, report| {
                self.on_report(key, report, &mut deferred)
            });
        self.finish_turn(deferred);
        waited
    }

    /// Runs the deferred actions after the backend's reports.
    #[inline]
    fn finish_turn(&self, mut deferred: Box<Deferred>) {
        self.collect(&mut deferred);
        if deferred.is_empty() {
            self.deferred.set(Some(deferred));
            return;
        }
        for key in deferred.not_found.drain(..) {
            // Only now: the completion may have followed the report that no operation was found.
            if self.arena.is_cancellable(key) {
                self.cancel(key);
            }
        }
        self.settle(deferred);
    }

    /// Submits pending requests and reaps the ready completions, for a caller outside of this driver's
    /// loop. The loop still receives every notification, and its sleep stays announced.
    pub(crate) fn pump(&self) {
        let mut deferred = self.deferred.take().unwrap_or_default();
        let waited = self.backend.borrow_mut().wait(
            Some(Duration::ZERO),
            &self.notifier,
            &mut |key, report| self.on_report(key, report, &mut deferred),
        );
        // The loop of this driver meets the same error.
        drop(waited);
        if self.is_announced.get() {
            // The wait may have reset the event of a notification.
            self.notifier.signal_again();
        }
        self.finish_turn(deferred);
    }

    /// As [`pump`](Self::pump), for callers that must not panic. The panic hook has reported the panic of
    /// a waker.
    pub(crate) fn pump_quietly(&self) {
        if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| self.pump())) {
            discard(panic);
        }
    }

    /// As [`pump_quietly`](Self::pump_quietly), for a task of another driver on the same thread that waits
    /// for data of this driver's orphans. The task is woken when it should try again.
    #[cold]
    pub(crate) fn pump_for(&self, waker: &Waker) {
        // Before the pump: a later remote completion wakes the task.
        self.desk.add_guest(waker.clone());
        self.pump_quietly();
        if self.arena.has_orphans_in_kernel() {
            // They complete soon, since all were cancelled. An io-wq worker has to notice the cancel first.
            waker.wake_by_ref();
        }
    }

    /// Takes the remote completions of other threads.
    fn collect(&self, deferred: &mut Deferred) {
        if !self.desk.maybe_nonempty() {
            return;
        }
        let mut completions = self.completions.take();
        self.desk.take(&mut completions);
        for (key, answer) in completions.drain(..) {
            let report = if answer == Err(NOT_READY) {
                self.arena.unmark_in_thread_pool(key);
                Report::Ready
            } else {
                Report::Final(answer)
            };
            self.on_report(key, report, deferred);
        }
        self.completions.set(completions);
    }

    #[inline]
    fn on_report(&self, key: Key, report: Report, deferred: &mut Deferred) {
        let on_complete = match report {
            Report::Item(item) => {
                let (on_complete, is_enough) = self.arena.on_partial(key, item);
                if is_enough {
                    deferred.enough.push(key);
                }
                on_complete
            }
            Report::Final(answer) => self.arena.complete(key, answer),
            Report::CanceledByKernel | Report::Ready if self.arena.is_cancel_requested(key) => {
                self.arena.complete(key, Err(sys::ECANCELED))
            }
            Report::CanceledByKernel => {
                deferred.cancelled_by_kernel.push(key);
                return;
            }
            Report::WouldBlock if self.arena.is_cancel_requested(key) => {
                self.arena.complete(key, Err(sys::ECANCELED))
            }
            Report::WouldBlock => {
                deferred.would_block.push(key);
                return;
            }
            Report::Ready => {
                deferred.ready.push(key);
                return;
            }
            Report::NotFound => {
                deferred.not_found.push(key);
                return;
            }
        };
        match on_complete {
            OnComplete::Nothing => {}
            OnComplete::Wake(waker) => deferred.wakers.push(waker),
            OnComplete::Report(user_data, answer) => {
                let entry = Entry { user_data, answer };
                self.entries.borrow_mut().push_back(entry);
            }
            OnComplete::ReleaseOrphan(key) => deferred.orphans.push(key),
        }
    }

    /// Completes an operation whose result was ready at its launch.
    pub(crate) fn complete(&self, key: Key, answer: Answer) {
        let mut deferred = self.deferred.take().unwrap_or_default();
        self.on_report(key, Report::Final(answer), &mut deferred);
        self.settle(deferred);
    }

    /// Resubmits, cancels, wakes tasks and releases orphans. After the panic of a waker the others are
    /// still woken, and the panic resumes at the end. The panic of an orphan's destructor has been
    /// reported by the panic hook and is discarded.
    fn settle(&self, mut deferred: Box<Deferred>) {
        // Ready results complete before the wakes, so that the panic of a waker does not lose their wakes.
        while let Some(key) = deferred.cancelled_by_kernel.pop() {
            if let Some(answer) = self.resubmit(key, sys::again) {
                self.on_report(key, Report::Final(answer), &mut deferred);
            }
        }
        // In the order in which they became ready.
        deferred.ready.reverse();
        while let Some(key) = deferred.ready.pop() {
            if let Some(answer) = self.resubmit(key, |_| Resubmit::Kernel) {
                self.on_report(key, Report::Final(answer), &mut deferred);
            }
        }
        let mut would_block = mem::take(&mut deferred.would_block);
        for key in would_block.drain(..) {
            // Likewise.
            if let Some(answer) = self.launch_to_wait(key) {
                self.on_report(key, Report::Final(answer), &mut deferred);
            }
        }
        deferred.would_block = would_block;
        for key in deferred.enough.drain(..) {
            if self.arena.is_pending(key) {
                self.cancel(key);
            }
        }
        let panicked = wake_all(deferred.wakers.drain(..));
        for key in deferred.orphans.drain(..) {
            self.release_orphan(key);
        }
        self.deferred.set(Some(deferred));
        if let Some(panic) = panicked {
            panic::resume_unwind(panic);
        }
    }

    /// Launches a request again that the kernel has cancelled of its own accord, or whose descriptor has
    /// become ready. Returns a result that is ready at once, as [`launch`](Self::launch).
    fn resubmit(&self, key: Key, again: fn(&Request) -> Resubmit) -> Option<Answer> {
        let Some(request) = self.rebuild_request(key) else {
            return Some(Err(sys::ECANCELED));
        };
        let answer = match again(&request) {
            Resubmit::Pool(request) => self.dispatch(key, request, true),
            // SAFETY: the operation is where it was when it was launched for the first time.
            Resubmit::Kernel => unsafe { self.launch(key, &request) },
            Resubmit::Not => Some(Err(sys::ECANCELED)),
        };
        // The new SQE is not submitted before the next turn.
        self.wake_outer();
        answer
    }

    /// Launches an operation again that the kernel has completed with EAGAIN. The backend waits for a send
    /// that may wait, and answers EAGAIN for all other requests. Returns a result that is ready at once, as
    /// [`launch`](Self::launch).
    fn launch_to_wait(&self, key: Key) -> Option<Answer> {
        let Some(request) = self.rebuild_request(key) else {
            // Cancelled, or its code has panicked: the result stays EAGAIN.
            return Some(Err(sys::EAGAIN));
        };
        // SAFETY: the operation is where it was when it was launched for the first time.
        let launched = unsafe { self.backend.borrow_mut().launch_to_wait(key, &request) };
        // As in `resubmit`.
        self.wake_outer();
        match launched {
            Submitted::InFlight => None,
            Submitted::Ready(answer) => Some(answer),
            Submitted::ThreadPool(request) => self.dispatch(key, request, false),
        }
    }

    /// The request of an operation that is launched again; `None` if the operation has been cancelled or
    /// its code has panicked.
    fn rebuild_request(&self, key: Key) -> Option<Request> {
        let asked = panic::catch_unwind(AssertUnwindSafe(|| self.arena.rebuild_request(key)));
        let request = asked.map_err(discard).ok()?;
        // Its code may have cancelled it, or shut the driver down.
        let is_wanted = !self.arena.is_cancel_requested(key) && !self.closed.get();
        is_wanted.then_some(request)
    }

    fn release_orphan(&self, key: Key) {
        let buried = panic::catch_unwind(AssertUnwindSafe(|| self.arena.release_orphan(key)));
        buried.unwrap_or_else(discard);
    }

    /// Orphans an operation whose future was dropped: cancels it, or releases it if it has completed.
    pub(crate) fn abandon(&self, key: Key) {
        match self.arena.abandon(key) {
            Abandoned::Cancel(owner) => {
                if !self.defers_cancels.get() {
                    self.cancel(key);
                }
                drop(owner);
            }
            Abandoned::ReleaseOrphan => self.release_orphan(key),
        }
    }

    /// Cancels these operations, given the oldest first.
    ///
    /// It cancels from the newest to the oldest: the kernel searches lists that have the newest entry in
    /// front (`io_poll_find`, 16 lists for a completion queue of 512 entries). In the opposite order each
    /// cancel passes all other entries: 100,000 take half a minute on Linux 6.18.
    /// `IORING_ASYNC_CANCEL_ANY` is no better, since cancelled entries stay in the lists until it has gone
    /// through all of them.
    pub(crate) fn cancel_all(&self, mut keys: Vec<Key>) {
        self.cancel_some(&mut keys, usize::MAX);
    }

    /// The same for the newest `count` keys, which are removed from the list.
    fn cancel_some(&self, keys: &mut Vec<Key>, count: usize) {
        let rest = keys.len().saturating_sub(count);
        for key in keys.drain(rest..).rev() {
            // Operations may have completed in between, or user code may have run.
            if self.arena.is_in_flight(key) {
                self.cancel(key);
            }
        }
    }

    /// Starts the clock of the shutdown. From now on orphans are not cancelled one by one, but with all
    /// other operations.
    pub(crate) fn begin_shut_down(&self) {
        if self.shut_down_at.get().is_none() {
            self.shut_down_at.set(Some(Instant::now()));
        }
        self.defers_cancels.set(true);
        self.renew_plain();
    }

    /// Cancels everything and reaps to the last completion, or to the deadline, which counts from the
    /// first call. The clock is checked between batches.
    fn shut_down(&self) {
        self.closed.set(true);
        self.begin_shut_down();
        let began = self.shut_down_at.get().unwrap_or_else(Instant::now);
        let mut keys = self.arena.keys_to_cancel();
        while self.arena.in_flight_count() > 0 {
            self.cancel_some(&mut keys, CANCELS_PER_TURN);
            let leaves_rest = self.leaves_pool.get() && keys.is_empty();
            if leaves_rest && !self.arena.has_kernel_operations() {
                break;
            }
            let left = self.shutdown_timeout.saturating_sub(began.elapsed());
            let timeout = if keys.is_empty() {
                left
            } else {
                Duration::ZERO
            };
            let turned = panic::catch_unwind(AssertUnwindSafe(|| self.turn(Some(timeout))));
            match turned {
                Ok(Ok(())) if !left.is_zero() => {}
                Ok(_) => break,
                Err(panic) => discard(panic),
            }
        }
    }
}

/// The actions that follow completions, with nothing borrowed.
#[derive(Default)]
struct Deferred {
    wakers: Vec<Waker>,
    orphans: Vec<Key>,
    /// Operations that the kernel has cancelled without a request.
    cancelled_by_kernel: Vec<Key>,
    /// Requests that the kernel has completed with EAGAIN.
    would_block: Vec<Key>,
    /// Operations whose descriptor is ready, to be launched again.
    ready: Vec<Key>,
    /// Targets of cancel requests that were not found.
    not_found: Vec<Key>,
    /// Multishot operations that have enough items, to be cancelled.
    enough: Vec<Key>,
}

impl Deferred {
    fn is_empty(&self) -> bool {
        let Self {
            wakers,
            orphans,
            cancelled_by_kernel,
            would_block,
            ready,
            not_found,
            enough,
        } = self;
        wakers.is_empty()
            && orphans.is_empty()
            && cancelled_by_kernel.is_empty()
            && would_block.is_empty()
            && ready.is_empty()
            && not_found.is_empty()
            && enough.is_empty()
    }
}

/// A wait that can never end is a bug of the program, like a lock that one thread takes twice.
#[cold]
#[track_caller]
fn unattended() -> ! {
    panic!(
        "the runtime of this operation is not running on this thread: await it in a task or the \
         `block_on` of the runtime that polls it first, or drive that runtime by `Runtime::poll_with`"
    )
}

pub(crate) fn closed() -> io::Error {
    io::Error::other("the runtime of this operation has been shut down")
}
