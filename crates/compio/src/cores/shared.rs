//! The state that a dispatcher shares with its workers, and the protocol of their end.
//!
//! # When all work is done
//!
//! A worker may send work to another worker, so none of them may end while one has tasks. One count of
//! *tokens* decides. A token is held by each dispatched task, from before it is sent until its future is
//! gone; and by each worker, except while it drains and has neither tasks nor jobs.
//!
//! ```text
//! Running --shutdown--> Draining --no token left, or the deadline--> ended
//!    |                                                                 ^
//!    +--------------------------- Cancelling --------------------------+
//! ```
//!
//! A worker takes its token again before it runs a job. The job holds a token itself, so the count was not
//! zero. Once it is zero, it stays zero: no code is left that could send work, and other threads get no
//! token.

use std::{
    mem,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{
            AtomicU8, AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed, Release},
        },
    },
    task::Waker,
    time::Instant,
};

use compio_io::panics::{discard, wake_all};

use crate::runtime::Handle;

/// The bit of a load that marks an ended worker: no other load is greater.
pub(super) const ENDED: usize = 1 << (usize::BITS - 1);

pub(super) struct Shared {
    pub(super) slots: Box<[Slot]>,
    tokens: AtomicUsize,
    phase: AtomicU8,
    report: Mutex<Report>,
}

/// The state of one worker, on cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Slot {
    /// The number of dispatched tasks that have not ended, and the bit [`ENDED`].
    pub(super) load: AtomicUsize,
    /// Set before any task is dispatched.
    pub(super) entry: OnceLock<Entry>,
}

/// The way into a worker from other threads.
pub(super) struct Entry {
    pub(super) runtime: Handle,
    /// Ends the park of the worker.
    pub(super) unpark: Waker,
}

/// Orders the ends of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Phase {
    Running,
    Draining,
    Cancelling,
}

/// The ends of workers, for the threads that wait for them.
#[derive(Default)]
struct Report {
    deadline: Option<Instant>,
    ended: usize,
    cancelled_tasks: usize,
    /// The first panic of a worker's thread.
    failure: Option<String>,
    waiters: Vec<Waker>,
}

/// The result of all workers.
pub(super) struct Ends {
    pub(super) cancelled_tasks: usize,
    pub(super) failure: Option<String>,
}

impl Shared {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            slots: (0..workers).map(|_| Slot::default()).collect(),
            tokens: AtomicUsize::new(workers),
            phase: AtomicU8::new(Phase::Running as u8),
            report: Mutex::default(),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        // Acquire: pairs with the store in `advance`: the deadline is set.
        match self.phase.load(Acquire) {
            0 => Phase::Running,
            1 => Phase::Draining,
            _ => Phase::Cancelling,
        }
    }

    /// Begins a later phase, and wakes all workers. The earliest deadline counts.
    pub(super) fn advance(&self, phase: Phase, deadline: Option<Instant>) {
        let mut report = self.lock();
        report.deadline = match (report.deadline, deadline) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        drop(report);
        // AcqRel: pairs with the load in `phase`.
        self.phase.fetch_max(phase as u8, AcqRel);
        self.unpark_all();
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.lock().deadline
    }

    fn unpark_all(&self) {
        for slot in &self.slots {
            if let Some(entry) = slot.entry.get() {
                entry.unpark.wake_by_ref();
            }
        }
    }

    /// Takes a token for a task. `false` if all work is done.
    pub(super) fn try_take_token(&self) -> bool {
        let more = |tokens: usize| (tokens > 0).then_some(tokens + 1);
        // Relaxed: the queue of jobs orders the task itself.
        self.tokens.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// Takes a worker's token again. The count is not zero: a job holds a token.
    pub(super) fn take_token(&self) {
        // Relaxed: as above.
        self.tokens.fetch_add(1, Relaxed);
    }

    /// Returns a token. With the last of them, all workers end.
    pub(super) fn return_token(&self) {
        // Release: pairs with the load in `has_tokens`, so the end of a worker comes after all work.
        if self.tokens.fetch_sub(1, Release) == 1 {
            self.unpark_all();
        }
    }

    pub(super) fn has_tokens(&self) -> bool {
        // Acquire: pairs with `return_token`.
        self.tokens.load(Acquire) > 0
    }

    /// Records the end of a worker's thread.
    pub(super) fn record_end(&self, index: usize, cancelled_tasks: usize, failure: Option<String>) {
        // Relaxed: a hint for the choice of a worker.
        self.slots[index].load.fetch_add(ENDED, Relaxed);
        let mut report = self.lock();
        report.ended += 1;
        report.cancelled_tasks += cancelled_tasks;
        if report.failure.is_none() {
            report.failure = failure;
        }
        let waiters = mem::take(&mut report.waiters);
        drop(report);
        if let Some(panic) = wake_all(waiters.into_iter()) {
            // The panic hook has reported it. The thread must end.
            discard(panic);
        }
    }

    /// The ends of `workers` workers, or `None`: then the waker is woken at the next end.
    pub(super) fn ends(&self, workers: usize, waker: Waker) -> Option<Ends> {
        let mut report = self.lock();
        if report.ended < workers {
            report.waiters.push(waker);
            return None;
        }
        let ends = Ends {
            cancelled_tasks: report.cancelled_tasks,
            failure: report.failure.clone(),
        };
        drop(report);
        Some(ends)
    }

    fn lock(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
