//! The driver: one backend, the arena of its operations, and their wakers.
//!
//! `core.rs` has the state and submits operations, `turn.rs` waits, `completions.rs` completes, `shutdown.rs`
//! ends. The methods that make futures are beside these futures: `submit.rs`, `recv.rs`, `accept.rs`,
//! `stream/`, `cancel.rs`.
//!
//! All user code (wakers, destructors, [`Operation::finish`](crate::Operation::finish)) runs here, while neither the backend nor the
//! arena is borrowed.

mod builder;
mod completions;
mod core;
mod deferred;
mod entry;
mod poller;
mod scopes;
mod shutdown;
mod turn;

use std::{
    any::Any,
    collections::HashSet,
    fmt, io, mem,
    rc::Rc,
    sync::{Arc, atomic::AtomicU64},
    task::Waker,
    time::Duration,
};

pub(crate) use self::core::{Core, TokenState};
pub use self::{builder::DriverBuilder, entry::Entry, poller::Poller};
use crate::{
    backend::Backend,
    metrics::{DriverMetrics, OpKind, OpRecord},
    sys::{AsRawFd, Backend as _, RawFd},
    thread_bound::StaysOnItsThread,
    thread_pool::ThreadPool,
};

/// Submits operations to the kernel and reaps their completions.
///
/// A driver belongs to the thread that made it. It needs no executor: see [`Poller`]. Dropping it
/// cancels all operations in flight and waits for their final completions, at most for
/// [`DriverBuilder::shutdown_timeout`].
///
/// A child of `fork` must not use its parent's drivers. Dropping one in the child does nothing.
pub struct Driver {
    inner: StaysOnItsThread<Rc<Core>>,
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

    /// Whether it belongs to a simulated host.
    #[cfg(feature = "sim")]
    #[doc(hidden)]
    pub fn is_simulated(&self) -> bool {
        self.inner.backend.borrow().kind() == crate::backend::BackendKind::Simulated
    }

    /// Whether its [waker](Self::waker) has been used since the last turn.
    #[cfg(feature = "sim")]
    #[doc(hidden)]
    pub fn is_notified(&self) -> bool {
        self.inner.notifier.is_notified()
    }

    /// Whether the driver has been shut down: no new operation begins.
    pub fn is_shut_down(&self) -> bool {
        self.inner.is_closed()
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
            backend.prepare_to_park(&inner.notifier)
        };
        inner.is_announced.set(may_sleep);
        inner.update_fast_path();
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
        if inner.notifier.take() && inner.remote.maybe_nonempty() {
            inner.notifier.notify();
        }
    }

    /// Sets whether a loop is going to turn the driver. Without one, beginning an operation or waiting
    /// for one panics.
    #[doc(hidden)]
    pub fn set_attended(&self, is_attended: bool) {
        self.inner.is_unattended.set(!is_attended);
        self.inner.update_fast_path();
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

    pub(crate) fn inner(&self) -> &Rc<Core> {
        &self.inner
    }

    pub(crate) fn share(&self) -> Rc<Core> {
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

    /// The counters, for all threads.
    pub fn metrics(&self) -> &Arc<DriverMetrics> {
        &self.inner.arena.metrics
    }

    /// Sets the time of operations that begin from now on, in any unit: see [`OpRecord::begun_at`]. It never decreases.
    #[inline]
    pub fn set_now(&self, now: u64) {
        self.inner.arena.set_now(now);
    }

    /// Sets whether the latencies of operations are recorded. They are not at first.
    pub fn set_recording(&self, on: bool) {
        self.inner.arena.latencies.set_recording(on);
    }

    /// Passes the recorded latencies of operations up to the last [`set_now`](Self::set_now), in its unit. A loop that records
    /// calls both after each turn.
    ///
    /// A latency is the time between the last `set_now` before the begin of the operation and the first one after the turn of
    /// its completion. A longer one than `u32::MAX` is passed as `u32::MAX`. Operations that complete at their begins are not
    /// passed.
    pub fn take_latencies(&self, mut take: impl FnMut(OpKind, u32)) {
        let latencies = &self.inner.arena.latencies;
        let mut measured = latencies.take();
        for (kind, latency) in measured.drain(..) {
            take(kind, latency);
        }
        latencies.give_back(measured);
    }

    /// Sets the source of the tags of operations: an operation gets the lower half of the number when it begins, and again
    /// when it gets another waiter. The driver gives it no meaning. The tag is 0 without a source.
    pub fn set_tag_source<T: Any>(&self, owner: T, tag: fn(&T) -> &AtomicU64) {
        self.inner.arena.stamps.set_tag(owner, tag);
    }

    /// The records of all operations in flight, the oldest first.
    pub fn records(&self) -> Vec<OpRecord> {
        let inner = &self.inner;
        let mut queued: HashSet<_> = inner.pool.queued(&inner.remote).into_iter().collect();
        queued.extend(ThreadPool::resolver().queued(&inner.remote));
        let is_splicing = |key| inner.backend.borrow().is_splicing(key);
        inner.arena.records(&queued, is_splicing)
    }

    /// The thread pool.
    pub fn pool(&self) -> &ThreadPool {
        &self.inner.pool
    }

    /// How many operations have not completed yet.
    pub fn in_flight(&self) -> usize {
        self.inner.arena.in_flight_count()
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
