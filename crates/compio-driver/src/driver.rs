//! The driver: one backend, the arena of its arena, and whoever waits for them.
//!
//! Everything that runs code of a user (wakers, destructors, [`Operation::finish`]) runs here,
//! after the backend and the arena have been left.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    future::poll_fn,
    io, iter, mem,
    panic::{self, AssertUnwindSafe},
    pin::Pin,
    rc::Rc,
    str::FromStr,
    sync::Arc,
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use compio_io::buf::IoBuf;
use compio_io::panics::{discard, wake_all};

use crate::{
    arena::{Abandoned, Arena, Key, OnComplete, to_result},
    buffers::{BufferPool, BufferRing},
    cancel::{CancelScope, CancelToken, Cancelled},
    fd::SharedFd,
    notify::Notifier,
    operation::{Operation, Owned},
    per_process::Process,
    request::{Answer, Capabilities, NOT_READY, Report, Request},
    spin::{Spin, SpinPolicy},
    stream::{AcceptStream, RecvStream, SendZeroCopyFuture},
    submit::Submit,
    sys::{self, AsRawFd, RawFd, Resubmit, Submitted},
    thread_bound::StaysOnItsThread,
    thread_pool::{Job, Pool, RemoteCompletions},
};

/// Hands operations to the kernel and takes their answers.
///
/// A driver belongs to the thread that made it. It needs no executor: see [`Poller`]. Dropping it
/// cancels what is under way and waits for the kernel's last word about it, at most for
/// [`DriverBuilder::shutdown_timeout`].
///
/// A child that `fork` has made must not use its parent's drivers; one that is dropped there does
/// nothing.
pub struct Driver {
    inner: StaysOnItsThread<Rc<Inner>>,
}

/// How a [`Driver`] is made.
#[derive(Debug, Clone)]
pub struct DriverBuilder {
    backend: Option<BackendKind>,
    entries: u32,
    spin: SpinPolicy,
    pool: Option<Pool>,
    shutdown_timeout: Duration,
}

/// A kernel interface that this crate can drive.
///
/// A name becomes one by [`FromStr`]: `io-uring`, `iocp` or `poll`. Other spellings of io_uring are
/// `io_uring` and `uring`, and `epoll` means `poll`.
///
/// ```
/// use compio_driver::BackendKind;
///
/// assert_eq!("io_uring".parse::<BackendKind>().unwrap(), BackendKind::IoUring);
/// assert_eq!(BackendKind::IoUring.to_string(), "io-uring");
/// assert!("select".parse::<BackendKind>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BackendKind {
    /// Linux's io_uring.
    IoUring,
    /// Windows' completion ports.
    Iocp,
    /// Readiness (epoll, kqueue, event ports), and threads for what has none.
    Poll,
}

/// Which backend runs, and why.
#[derive(Debug, Clone)]
pub struct Backend {
    kind: BackendKind,
    why: String,
}

/// The low-level door: operations that stay with their caller, and a number that tells them apart.
///
/// ```
/// use compio_driver::{Driver, Poller, op::Nop};
///
/// # fn main() -> std::io::Result<()> {
/// let driver = Driver::new()?;
/// let mut op = Nop::new();
/// // SAFETY: `op` stays in place until its entry has come.
/// unsafe { driver.push(&mut op, 7)? };
/// let entry = driver.poll_one(None)?;
/// assert_eq!(entry.user_data(), 7);
/// assert_eq!(entry.into_result()?, 0);
/// # Ok(())
/// # }
/// ```
pub trait Poller {
    /// Makes a descriptor known to the driver. Descriptors are attached by their first operation
    /// where that is needed at all; doing it early makes an error appear early.
    ///
    /// # Platform differences
    ///
    /// On Windows a bare number that is used more than once is served faster if it has been attached:
    /// what it stands for is then taken to be the same until it is attached again.
    ///
    /// # Errors
    ///
    /// Whatever the system has against it.
    fn attach(&self, fd: RawFd) -> io::Result<()>;

    /// Begins an operation that stays where it is. When it is over, an [`Entry`] with `user_data`
    /// comes out of [`poll`](Self::poll).
    ///
    /// # Errors
    ///
    /// The driver has been shut down: nothing was begun, no entry will come. What the kernel has
    /// against the operation, or that there is no thread for blocking work, comes as its entry.
    ///
    /// # Safety
    ///
    /// Until the entry has come, the operation is neither moved nor dropped nor looked at, its
    /// descriptors stay open, and the driver is not leaked. Dropping the driver waits for the
    /// operation; where that fails after the shutdown timeout, the operation must be leaked.
    ///
    /// # Dropping an operation
    ///
    /// Once its entry has come, a pushed operation may be dropped. Its drop closes no number that the kernel
    /// has closed ([`Close`](crate::op::Close)). It does not close a descriptor that the answer has brought
    /// either ([`Accept`](crate::op::Accept), [`Open`](crate::op::Open), [`Socket`](crate::op::Socket),
    /// [`RecvAncillary`](crate::op::RecvAncillary)): that one leaks. [`finish`](Operation::finish) with the
    /// entry's result gives it an owner.
    unsafe fn push<O: Operation>(&self, op: &mut O, user_data: usize) -> io::Result<()>;

    /// Asks the kernel to give up the operations that were pushed with this number. Their entries
    /// still come: with the error `ECANCELED`, or with what happened first. Does nothing if there
    /// are none.
    fn cancel(&self, user_data: usize);

    /// Waits until something is over, at most for `timeout` (`None`: for ever; zero: not at all),
    /// appends all entries that are there, and returns their number. Also submits what was pushed.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut), if none came; or what the system has against waiting.
    fn poll(
        &self,
        timeout: Option<Duration>,
        entries: &mut impl Extend<Entry>,
    ) -> io::Result<usize>;

    /// As [`poll`](Self::poll), for one entry. Others that are there stay for the next call.
    ///
    /// # Errors
    ///
    /// As for [`poll`](Self::poll).
    fn poll_one(&self, timeout: Option<Duration>) -> io::Result<Entry>;
}

/// The end of a pushed operation.
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

    /// What came out.
    ///
    /// # Errors
    ///
    /// The operation's own, as the system gives it.
    pub fn into_result(self) -> io::Result<usize> {
        to_result(self.answer)
    }
}

impl DriverBuilder {
    /// The defaults: 256 submission entries, adaptive spinning, the process's pool, and 5 seconds
    /// for shutting down.
    pub fn new() -> Self {
        Self {
            backend: None,
            entries: 256,
            spin: SpinPolicy::default(),
            pool: None,
            shutdown_timeout: Duration::from_secs(5),
        }
    }

    /// Forces a backend. Without that, the environment variable `COMPIO_BACKEND` does (`io-uring`,
    /// `iocp` or `poll`, see [`BackendKind`]); and without that, it is the best one that the kernel
    /// allows.
    pub fn backend(mut self, kind: BackendKind) -> Self {
        self.backend = Some(kind);
        self
    }

    /// How many operations can be handed over at once; more are handed over in several calls. The
    /// kernel rounds up to a power of two and clamps.
    ///
    /// # Platform differences
    ///
    /// Newer kernels of Linux count the memory of a ring as locked (`ulimit -l`) unless the process may
    /// lock as much as it likes: some 60 kilobytes for 256 entries, for each driver of a user. The
    /// kernel frees the memory of a closed ring asynchronously. [`build`](Self::build) therefore
    /// repeats an attempt that finds too little, for half a second at most.
    pub fn entries(mut self, entries: u32) -> Self {
        self.entries = entries.max(1);
        self
    }

    /// Whether the thread looks for news before it sleeps.
    pub fn spin(mut self, policy: SpinPolicy) -> Self {
        self.spin = policy;
        self
    }

    /// The threads for blocking work, instead of those that all drivers share.
    pub fn pool(mut self, pool: Pool) -> Self {
        self.pool = Some(pool);
        self
    }

    /// How long the driver's drop waits for operations that are slow to give up. Past that their
    /// memory is leaked, never freed.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Makes the driver, for this thread.
    ///
    /// # Errors
    ///
    /// There are no descriptors or there is no memory left: the message names the limit. A backend
    /// is forced that the kernel lacks or refuses ([`Unsupported`](io::ErrorKind::Unsupported),
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied)); or `COMPIO_BACKEND` names none
    /// ([`InvalidInput`](io::ErrorKind::InvalidInput)).
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

    /// Which backend runs, and why.
    pub fn backend(&self) -> Backend {
        Backend {
            kind: self.inner.backend.borrow().kind(),
            why: self.inner.why.clone(),
        }
    }

    /// An operation to be awaited on this thread. Nothing happens before its first poll.
    pub fn submit<O: Owned>(&self, operation: O) -> Submit<O> {
        Submit::new(Rc::clone(&self.inner), operation)
    }

    /// Whether it has been shut down: no operation begins any more.
    pub fn is_shut_down(&self) -> bool {
        self.inner.is_closed()
    }

    /// The connections of a listening socket, one after the other, with one request for all where the
    /// kernel can do that.
    pub fn accept_stream(&self, fd: SharedFd) -> AcceptStream {
        AcceptStream::new(self.share(), fd, Rc::default())
    }

    /// The bytes of a stream socket, in buffers of a pool of the same driver, with one request for all
    /// where the kernel can do that. `flags` are the system's `MSG_` flags, of which `MSG_DONTWAIT`,
    /// `MSG_TRUNC` and `MSG_WAITALL` have no effect.
    ///
    /// # Panics
    ///
    /// If the pool was made for another driver.
    pub fn recv_stream(&self, fd: SharedFd, pool: &BufferPool, flags: i32) -> RecvStream {
        assert!(
            Rc::ptr_eq(&self.inner, pool.driver()),
            "the pool of buffers belongs to another driver"
        );
        RecvStream::new(fd, pool.clone(), flags)
    }

    /// Sends the initialised part of a buffer without copying it, where the kernel can do that. It
    /// has the buffer for longer than it takes to say how much was sent, so that result and buffer
    /// come one after the other. `flags` are the system's `MSG_` flags.
    ///
    /// It pays for large buffers only, and never on loopback.
    pub fn send_zero_copy<B: IoBuf>(
        &self,
        fd: SharedFd,
        buffer: B,
        flags: i32,
    ) -> SendZeroCopyFuture<B> {
        SendZeroCopyFuture::new(self.share(), fd, buffer, flags)
    }

    /// One turn: submits what is pending, sleeps at most for `timeout` (`None`: for ever; zero:
    /// not at all) if there is no news, and wakes whoever waits for what has come. May return
    /// early, and with nothing done.
    ///
    /// # Errors
    ///
    /// What the system has against waiting.
    pub fn turn(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.turn(timeout)
    }

    /// A waker that ends the sleep of [`turn`](Self::turn): from any thread, at any time, and with
    /// a system call only if the driver's thread sleeps. [`Poller::poll`] wakes, too, but goes on
    /// waiting for an entry.
    pub fn waker(&self) -> Waker {
        self.inner.notifier.waker()
    }

    /// Hands what is pending to the kernel and makes sure that from now on a wake from another
    /// thread, too, makes the driver's descriptor readable: for an outer loop that is about to wait
    /// for it. Returns false if [`turn`](Self::turn) has something to do already.
    ///
    /// So does all that this thread does with the driver until the sleep is over, by the next
    /// [`turn`](Self::turn): operations that are begun, cancelled or dropped.
    pub fn prepare_to_sleep(&self) -> bool {
        let inner = &self.inner;
        // The sleep announced before this one is over, if there was one.
        inner.notifier.unpark();
        let may_sleep = {
            let mut backend = inner.backend.borrow_mut();
            backend.prepare_to_sleep(&inner.notifier)
        };
        inner.is_announced.set(may_sleep);
        inner.renew_plain();
        may_sleep
    }

    /// The sleep that was announced by [`prepare_to_sleep`](Self::prepare_to_sleep) is over, and the
    /// caller looks at everything that a notification can be about, apart from the driver's own.
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

    /// Says whether somebody is going to turn the driver. Where nobody is, to begin an operation or to
    /// wait for one panics.
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

    /// To be called before the tasks of a driver are dropped one by one, where [`shut_down`](Self::shut_down)
    /// follows: what they abandon is cancelled there, all at once. The timeout counts from here.
    #[doc(hidden)]
    pub fn begin_shut_down(&self) {
        self.inner.begin_shut_down();
    }

    /// Ends all operations, as dropping the driver does: cancels them and waits for the kernel's
    /// last word, at most for the shutdown timeout. Later ones are refused.
    pub fn shut_down(&self) {
        self.inner.shut_down();
    }

    /// From now on, a shutdown does not wait for threads of the pool, and leaks their work: for the
    /// end of the process, which ends these threads, too.
    #[doc(hidden)]
    pub fn leave_pool(&self) {
        self.inner.leaves_pool.set(true);
    }

    /// How many calls of `io_uring_enter` this driver has made, or how often it has asked what is
    /// ready: for tests and measurements of how many operations go with one.
    #[doc(hidden)]
    pub fn enters(&self) -> u64 {
        self.inner.backend.borrow().enters()
    }

    /// From now on, and until the scope is dropped, operations that are polled for the first time are
    /// those of `token`, too. A scope that is forgotten is never left.
    pub fn scope(&self, token: &CancelToken) -> CancelScope<'_> {
        CancelScope::enter(self, token)
    }

    /// Waits until a token of the scopes around is cancelled. The output is the error of an operation that
    /// the token gives up: for waits that are no operations.
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

    /// Whether [`turn`](Self::turn) could do nothing but sleep: nothing is in flight, and nobody has
    /// used the [waker](Self::waker). Asks no kernel.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.in_flight() == 0 && !self.inner.notifier.is_notified()
    }

    /// For a loop that ends for now: hands the cancels of abandoned operations to the kernel and takes
    /// their answers, as far as they are there. Otherwise the operations would hold their descriptors, and
    /// what has come for them, until the next turn.
    #[doc(hidden)]
    pub fn settle_orphans(&self) {
        if self.inner.arena.orphans() > 0 {
            self.inner.pump_quietly();
        }
    }

    /// How many operations the kernel has not answered yet.
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
        // A buffer that was asked may have shut the driver down.
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
                    "waiting for ever with nothing in flight",
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
            // In a child, by `fork`: nothing in here is its own.
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

impl Backend {
    /// Which one.
    pub fn kind(&self) -> BackendKind {
        self.kind
    }

    /// Why this one, in words.
    pub fn why(&self) -> &str {
        &self.why
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.why)
    }
}

impl BackendKind {
    /// What `COMPIO_BACKEND` asks for, if it is set.
    fn from_env() -> io::Result<Option<Self>> {
        let Some(name) = std::env::var_os("COMPIO_BACKEND") else {
            return Ok(None);
        };
        if name.is_empty() {
            return Ok(None);
        }
        let kind = Self::named(&name.to_string_lossy()).ok_or_else(|| {
            let message = format!("COMPIO_BACKEND is {}: {}", name.display(), Self::choice());
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })?;
        Ok(Some(kind))
    }

    fn named(name: &str) -> Option<Self> {
        match name {
            "io-uring" | "io_uring" | "uring" => Some(Self::IoUring),
            "iocp" => Some(Self::Iocp),
            "poll" | "epoll" => Some(Self::Poll),
            _ => None,
        }
    }

    /// The names to choose from on this system.
    fn choice() -> String {
        let names: Vec<_> = sys::BACKENDS.iter().map(Self::to_string).collect();
        format!("it must be {}", names.join(" or "))
    }
}

impl FromStr for BackendKind {
    type Err = io::Error;

    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if no backend has this name. The message has the
    /// names of the backends of this system.
    fn from_str(name: &str) -> io::Result<Self> {
        Self::named(name).ok_or_else(|| {
            let message = format!("no backend is called {name:?}: {}", Self::choice());
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IoUring => "io-uring",
            Self::Iocp => "iocp",
            Self::Poll => "poll",
        })
    }
}

/// How many operations a shut-down cancels before it takes answers and looks at the clock.
const CANCELS_PER_TURN: usize = 256;

/// What the driver and the futures of its operations share.
pub(crate) struct Inner {
    pub(crate) arena: Arena,
    backend: RefCell<sys::Backend>,
    why: String,
    desk: Arc<RemoteCompletions>,
    notifier: Arc<Notifier>,
    pool: Pool,
    /// Ended operations of callers who have not come for them yet.
    entries: RefCell<VecDeque<Entry>>,
    /// Empty between turns; kept for its memory.
    deferred: Cell<Option<Box<Deferred>>>,
    /// Likewise.
    completions: Cell<Vec<(Key, Answer)>>,
    closed: Cell<bool>,
    /// When that began.
    shut_down_at: Cell<Option<Instant>>,
    /// The loop that turns it, if it is a runtime's, runs elsewhere or not at all.
    is_unattended: Cell<bool>,
    /// An outer loop may sleep on the driver's descriptor.
    is_announced: Cell<bool>,
    /// The shut-down has begun: it cancels what is abandoned, or the next operation does.
    defers_cancels: Cell<bool>,
    /// Whose operations are begun now, from the outside in; nobody's where a scope was left before
    /// those in it. The last is somebody's.
    scopes: RefCell<Vec<Option<CancelToken>>>,
    /// What begins needs no second look: see [`renew_plain`](Self::renew_plain).
    is_fast_path: Cell<bool>,
    shutdown_timeout: Duration,
    /// Whether the shutdown does not wait for the pool.
    leaves_pool: Cell<bool>,
    /// The process that made it.
    process: Process,
}

impl Inner {
    /// What the backend can do that not every one can.
    pub(crate) fn extras(&self) -> Capabilities {
        self.backend.borrow().extras()
    }

    /// A place for buffers from which the kernel chooses, if it can.
    pub(crate) fn register_buffers(&self, count: u16) -> io::Result<Option<Box<dyn BufferRing>>> {
        self.backend.borrow_mut().register_buffers(count)
    }

    pub(crate) fn unregister_buffers(&self, shelf: Box<dyn BufferRing>) {
        self.backend.borrow_mut().unregister_buffers(shelf.group());
    }

    /// Returns the scope's place.
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

    /// Panics if nobody is going to turn the driver, so that the wait for an operation would never end.
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

    /// Whether it has been shut down, or is about to be.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Why an operation is not to be begun, if there is a reason.
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
            // A destructor goes on working, and may wait for one that was abandoned.
            self.cancel_all(self.arena.keys_of_orphans());
        }
        self.is_cancelled()
            .then(|| io::Error::from_raw_os_error(sys::ECANCELED))
    }

    /// Whether a token of the scopes around has been cancelled.
    #[inline]
    fn is_cancelled(&self) -> bool {
        let scopes = self.scopes.borrow();
        scopes.iter().flatten().any(CancelToken::is_cancelled)
    }

    /// The cancels of the scopes around, to be waited for.
    pub(crate) fn cancels(&self) -> Vec<Cancelled> {
        let scopes = self.scopes.borrow();
        scopes
            .iter()
            .flatten()
            .map(CancelToken::cancelled)
            .collect()
    }

    /// As [`launch`](Self::launch), for a flight that belongs to the scopes around.
    ///
    /// # Safety
    ///
    /// As for `launch`.
    #[inline]
    pub(crate) unsafe fn begin(self: &Rc<Self>, key: Key, request: &Request) -> Option<Answer> {
        if !self.is_fast_path.get() {
            // A buffer that was asked where it lies may have cancelled a token.
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

    /// Hands a boarded operation's request over; an answer that is there at once is not landed.
    ///
    /// # Safety
    ///
    /// What the request points to stays valid until the flight has landed.
    #[inline]
    pub(crate) unsafe fn launch(&self, key: Key, request: &Request) -> Option<Answer> {
        // A buffer that was asked where it lies may have shut the driver down.
        if self.closed.get() {
            return Some(Err(sys::ECANCELED));
        }
        let scratch = self.arena.op_state(key);
        // SAFETY: passed on from this function; the scratch is this flight's.
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
        // No thread can be started, for now.
        let error = self.pool.dispatch(job).err()?;
        Some(Err(error.raw_os_error().unwrap_or(sys::EAGAIN)))
    }

    /// Asks for the end of a flight that may be in the backend's hands or in the pool's.
    pub(crate) fn cancel(&self, key: Key) {
        self.wake_outer();
        self.arena.mark_cancel_requested(key);
        if !self.arena.is_in_thread_pool(key) {
            let scratch = self.arena.op_state(key);
            // SAFETY: the scratch of this flight, which is in the air.
            unsafe { self.backend.borrow_mut().cancel(key, scratch) };
        } else if self.pool.withdraw(key, &self.desk) {
            self.desk.put(key, Err(sys::ECANCELED));
        }
    }

    pub(crate) fn turn(&self, timeout: Option<Duration>) -> io::Result<()> {
        // Whoever slept for us (see `prepare_to_sleep`) has woken.
        if self.is_announced.get() {
            self.end_sleep();
        }
        // Whoever notified may have pushed something that only the caller can see: no sleep.
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

    /// Does what is due after the backend's reports.
    #[inline]
    fn finish_turn(&self, mut deferred: Box<Deferred>) {
        self.collect(&mut deferred);
        if deferred.is_empty() {
            self.deferred.set(Some(deferred));
            return;
        }
        for key in deferred.not_found.drain(..) {
            // Only now: its answer may have come behind the news that it was not found.
            if self.arena.is_cancellable(key) {
                self.cancel(key);
            }
        }
        self.settle(deferred);
    }

    /// Hands over what is pending and takes the answers that are there, for somebody else than the loop
    /// of this driver: the loop still hears of every notification, and its sleep stays announced.
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
            // That may have reset the event of a notification.
            self.notifier.signal_again();
        }
        self.finish_turn(deferred);
    }

    /// As [`pump`](Self::pump), from where a panic of a waker must not come out: the panic hook has
    /// reported it.
    pub(crate) fn pump_quietly(&self) {
        if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| self.pump())) {
            discard(panic);
        }
    }

    /// For a task of another driver, on the same thread, that waits for something which this driver's
    /// abandoned operations hold back. The task is woken when it is worth to come again.
    #[cold]
    pub(crate) fn pump_for(&self, waker: &Waker) {
        // Before the look: what a thread lays down after that wakes the task.
        self.desk.add_guest(waker.clone());
        self.pump_quietly();
        if self.arena.has_orphans_in_kernel() {
            // Soon, for all were cancelled. A worker of the kernel has to hear of it first.
            waker.wake_by_ref();
        }
    }

    /// Takes what other threads have laid down.
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
                deferred.given_up.push(key);
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

    /// Lands a flight that was answered at its launch.
    pub(crate) fn complete(&self, key: Key, answer: Answer) {
        let mut deferred = self.deferred.take().unwrap_or_default();
        self.on_report(key, Report::Final(answer), &mut deferred);
        self.settle(deferred);
    }

    /// Cancels, wakes and buries. A waker that panics keeps no other from being woken; its panic goes on
    /// when all is done. A destructor that panics has been reported by the panic hook, and there
    /// is nobody whom it would concern.
    fn settle(&self, mut deferred: Box<Deferred>) {
        // Answers are landed with the others: a waker that panics is not to keep them from being woken.
        while let Some(key) = deferred.given_up.pop() {
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

    /// Does what the kernel has given up of its own accord, or what has become ready. An answer that is
    /// there at once is not landed.
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
        // The new entry is not handed over before the next turn.
        self.wake_outer();
        answer
    }

    /// Launches a flight again that the kernel has completed with EAGAIN. The backend waits for a send that
    /// may wait, and answers EAGAIN for all other requests. An answer that is there at once is not landed.
    fn launch_to_wait(&self, key: Key) -> Option<Answer> {
        let Some(request) = self.rebuild_request(key) else {
            // Not wanted any more, or its code has panicked: the answer stays.
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

    /// The request of a flight that is to be launched once more; none if that is not wanted any more.
    fn rebuild_request(&self, key: Key) -> Option<Request> {
        let asked = panic::catch_unwind(AssertUnwindSafe(|| self.arena.rebuild_request(key)));
        let request = asked.map_err(discard).ok()?;
        // Its code may have given it up, or shut the driver down.
        let is_wanted = !self.arena.is_cancel_requested(key) && !self.closed.get();
        is_wanted.then_some(request)
    }

    fn release_orphan(&self, key: Key) {
        let buried = panic::catch_unwind(AssertUnwindSafe(|| self.arena.release_orphan(key)));
        buried.unwrap_or_else(discard);
    }

    /// Nobody waits for the flight any more.
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

    /// Asks for the end of these arena, given the oldest first.
    ///
    /// From the newest to the oldest: the kernel looks an entry up in lists that have the newest in front
    /// (`io_poll_find`, 16 lists for a completion queue of 512 entries). The other way round, each cancel
    /// passes by all others: 100,000 take half a minute on Linux 6.18. `IORING_ASYNC_CANCEL_ANY` is no
    /// better, since what it has cancelled stays in the lists until it has gone through all of them.
    pub(crate) fn cancel_all(&self, mut keys: Vec<Key>) {
        self.cancel_some(&mut keys, usize::MAX);
    }

    /// The same of the newest `count` of them, which leave the list.
    fn cancel_some(&self, keys: &mut Vec<Key>, count: usize) {
        let rest = keys.len().saturating_sub(count);
        for key in keys.drain(rest..).rev() {
            // The answers of others may have come meanwhile, and run code.
            if self.arena.is_in_flight(key) {
                self.cancel(key);
            }
        }
    }

    /// From now on the clock of the shut-down runs, and what is abandoned is cancelled later, with all
    /// the rest.
    pub(crate) fn begin_shut_down(&self) {
        if self.shut_down_at.get().is_none() {
            self.shut_down_at.set(Some(Instant::now()));
        }
        self.defers_cancels.set(true);
        self.renew_plain();
    }

    /// Cancels everything and reaps to the last answer, or to the deadline, which counts from the first
    /// call. The clock is looked at between batches.
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

/// What remains to be done after landings, with nothing borrowed.
#[derive(Default)]
struct Deferred {
    wakers: Vec<Waker>,
    orphans: Vec<Key>,
    /// What was given up although nobody had asked for that.
    given_up: Vec<Key>,
    /// Requests that the kernel has completed with EAGAIN.
    would_block: Vec<Key>,
    /// What is to be launched once more.
    ready: Vec<Key>,
    /// What was to be cancelled and was not found.
    not_found: Vec<Key>,
    /// What has answered often enough.
    enough: Vec<Key>,
}

impl Deferred {
    fn is_empty(&self) -> bool {
        let Self {
            wakers,
            orphans,
            given_up,
            would_block,
            ready,
            not_found,
            enough,
        } = self;
        wakers.is_empty()
            && orphans.is_empty()
            && given_up.is_empty()
            && would_block.is_empty()
            && ready.is_empty()
            && not_found.is_empty()
            && enough.is_empty()
    }
}

/// What is waited for in vain is a mistake of the program, as a lock that is taken twice.
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
