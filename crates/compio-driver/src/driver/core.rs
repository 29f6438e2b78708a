//! The state of a driver, and the submission of its operations.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    rc::{Rc, Weak},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{deferred::Deferred, entry::Entry};
#[cfg(feature = "tracing")]
use crate::backend::BackendKind;
use crate::{
    arena::Arena,
    buffers::BufferPools,
    key::Key,
    notify::Notifier,
    per_process::Process,
    request::{BlockingCall, RawResult, Request, Threads},
    sys::{self, Backend as _, BufferRing, Capabilities, Submitted, SystemBackend},
    thread_pool::{Job, RemoteCompletions, ThreadPool},
    trace::OpTraces,
    wait_list::Waiters,
};

/// The state that the driver and the futures of its operations share.
pub(crate) struct Core {
    pub(crate) arena: Arena,
    pub(super) backend: RefCell<SystemBackend>,
    pub(super) why: String,
    pub(super) remote: Arc<RemoteCompletions>,
    pub(super) notifier: Arc<Notifier>,
    pub(super) pool: ThreadPool,
    pub(crate) buffer_pools: BufferPools,
    /// Completed operations of [`Poller`](super::Poller)'s callers, not returned yet.
    pub(super) entries: RefCell<VecDeque<Entry>>,
    /// Empty between turns; kept for its memory.
    pub(super) deferred: Cell<Option<Box<Deferred>>>,
    /// Likewise.
    pub(super) completions: Cell<Vec<(Key, RawResult)>>,
    /// Completed orphans, not released yet. Shared by nested turns: the code of one orphan may turn the driver
    /// until another one is released.
    pub(super) orphans: RefCell<VecDeque<Key>>,
    pub(super) closed: Cell<bool>,
    /// The start of the shutdown.
    pub(super) shut_down_at: Cell<Option<Instant>>,
    /// The runtime's loop, which turns the driver, runs elsewhere or not at all.
    pub(super) is_unattended: Cell<bool>,
    /// An outer loop may sleep on the driver's descriptor.
    pub(super) is_announced: Cell<bool>,
    /// The shutdown has begun: it cancels the orphans, unless a new operation does so first.
    pub(super) defers_cancels: Cell<bool>,
    /// Stack of active cancel scopes, outermost first. `None` marks a scope that was left out of order;
    /// the last element is always `Some`.
    pub(super) scopes: RefCell<Vec<Option<Rc<TokenState>>>>,
    /// New operations need no further checks: see [`update_fast_path`](Self::update_fast_path).
    pub(super) is_fast_path: Cell<bool>,
    pub(super) shutdown_timeout: Duration,
    /// Whether the shutdown does not wait for the thread pool.
    pub(super) leaves_pool: Cell<bool>,
    /// The process that made the driver.
    pub(super) process: Process,
    pub(crate) traces: OpTraces,
}

impl Core {
    /// The optional capabilities of the backend.
    pub(crate) fn capabilities(&self) -> Capabilities {
        self.backend.borrow().capabilities()
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

    /// The kind of the backend.
    #[cfg(feature = "tracing")]
    pub(crate) fn backend_kind(&self) -> BackendKind {
        self.backend.borrow().kind()
    }

    pub(super) fn update_fast_path(&self) {
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

    /// As [`submit`](Self::submit), for an operation that belongs to the active scopes.
    ///
    /// # Safety
    ///
    /// As for `submit`.
    #[inline]
    pub(crate) unsafe fn begin(self: &Rc<Self>, key: Key, request: &Request) -> Option<RawResult> {
        if !self.is_fast_path.get() {
            // User code of a buffer may have cancelled a token.
            if self.is_cancelled() {
                return Some(Err(sys::ECANCELED));
            }
            self.add_to_scopes(key);
        }
        // SAFETY: passed on from this function.
        unsafe { self.submit(key, request) }
    }

    /// Passes an inserted operation's request to the backend. Returns a result that is ready at once; the
    /// operation is not completed by it yet.
    ///
    /// # Safety
    ///
    /// The memory that the request points to stays valid until the operation has completed.
    #[inline]
    pub(crate) unsafe fn submit(&self, key: Key, request: &Request) -> Option<RawResult> {
        // User code of a buffer may have shut the driver down.
        if self.closed.get() {
            return Some(Err(sys::ECANCELED));
        }
        sys::in_simulation!(refuse_stray(self.backend.borrow().kind(), request));
        let op_state = self.arena.op_state(key);
        // SAFETY: passed on from this function; the op_state is this operation's.
        let submitted = unsafe { self.backend.borrow_mut().submit(key, request, op_state) };
        match submitted {
            Submitted::InFlight => None,
            Submitted::Ready(answer) => Some(answer),
            Submitted::ThreadPool(request) => self.dispatch(key, request, false),
        }
    }

    pub(super) fn dispatch(
        &self,
        key: Key,
        request: Request,
        is_repeated: bool,
    ) -> Option<RawResult> {
        self.arena.mark_in_thread_pool(key);
        let job = Job {
            key,
            request,
            remote: Arc::clone(&self.remote),
            is_repeated,
        };
        // An error if no thread can be started now.
        let resolves = Threads::Resolver;
        let dispatched = if matches!(request, Request::Blocking(BlockingCall { threads, .. }) if threads == resolves)
        {
            ThreadPool::resolver().dispatch(job)
        } else {
            self.pool.dispatch(job)
        };
        let error = dispatched.err()?;
        Some(Err(error.raw_os_error().unwrap_or(sys::EAGAIN)))
    }

    /// Removes a job that no thread has begun.
    fn remove_queued(&self, key: Key) -> bool {
        let is_in = |pool: &ThreadPool| pool.remove_queued(key, &self.remote);
        is_in(&self.pool) || is_in(&ThreadPool::resolver())
    }

    /// Requests the cancellation of an operation that is in the backend or in the thread pool.
    pub(crate) fn cancel(&self, key: Key) {
        self.wake_outer();
        self.arena.mark_cancel_requested(key);
        if !self.arena.is_in_thread_pool(key) {
            let op_state = self.arena.op_state(key);
            // SAFETY: the op_state of this operation, which is in flight.
            unsafe { self.backend.borrow_mut().cancel(key, op_state) };
        } else if self.remove_queued(key) {
            self.remote.put(key, Err(sys::ECANCELED));
        }
    }
}

/// The state of a cancel token.
#[derive(Default)]
pub(crate) struct TokenState {
    pub(super) is_cancelled: Cell<bool>,
    /// The operations that have begun. Completed ones are swept out from time to time.
    pub(super) operations: RefCell<Vec<(Weak<Core>, Key)>>,
    /// The tasks that wait for the cancel.
    pub(crate) waiters: Waiters,
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
