//! The counters of an executor, and the records of its tasks.
//!
//! The home thread writes the counters, and any thread reads them. Records are read from the headers of the
//! tasks on the home thread: nothing is polled.

use std::{
    collections::BTreeMap,
    fmt,
    panic::Location,
    ptr::{self, null_mut},
    sync::{
        Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicPtr, AtomicU64, Ordering},
    },
};

use compio_io::counter::Counter;

use crate::{
    meta::{TaskId, TaskMeta},
    scheduler::Scheduler,
    sync::Arc as SchedulerArc,
};

/// The counters, in the scheduler: the home thread writes them, and any thread reads them.
// On cache lines of its own: reads by other threads leave the queues in the cache of the home thread. (Two lines of
// 64 bytes: some processors prefetch in pairs.)
#[repr(align(128))]
pub(crate) struct TaskCounters {
    /// The number of the task that runs; 0 outside of tasks.
    current: AtomicU64,
    location: AtomicPtr<Location<'static>>,
    /// Polls after which the task has left the ready queue.
    pub(crate) last_polls: Counter,
    /// Polls after which the task has returned to the ready queue at once.
    pub(crate) repeated_polls: Counter,
    /// Entries of tasks into the ready queue, without those after a poll.
    pub(crate) readied: Counter,
    /// Tasks that have left the ready queue without a poll.
    pub(crate) unpolled: Counter,
    pub(crate) spawned: Counter,
    pub(crate) finished: Counter,
    pub(crate) panicked: Counter,
    pub(crate) remote_wakes: Counter,
    /// The names of tasks, for other threads. Entries of ended tasks stay until there are many.
    pub(crate) names: Mutex<BTreeMap<TaskId, Weak<str>>>,
}

/// The task that has run before a nested one: its number, or 0, and the place of its spawn.
pub(crate) struct Outer {
    number: u64,
    location: *mut Location<'static>,
}

impl TaskCounters {
    pub(crate) fn new() -> Self {
        Self {
            current: AtomicU64::new(0),
            location: AtomicPtr::new(null_mut()),
            last_polls: Counter::new(),
            repeated_polls: Counter::new(),
            readied: Counter::new(),
            unpolled: Counter::new(),
            spawned: Counter::new(),
            finished: Counter::new(),
            panicked: Counter::new(),
            remote_wakes: Counter::new(),
            names: Mutex::default(),
        }
    }

    /// No user code runs under the lock.
    pub(crate) fn names(&self) -> MutexGuard<'_, BTreeMap<TaskId, Weak<str>>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the task that runs.
    #[inline]
    pub(crate) fn begin(&self, id: TaskId, location: &'static Location<'static>) {
        // Relaxed: the constant that it points to is never written.
        self.location
            .store(ptr::from_ref(location).cast_mut(), Ordering::Relaxed);
        self.set_current(id.number());
    }

    /// The number of the task that runs, or 0.
    #[inline]
    pub(crate) fn current(&self) -> u64 {
        // Relaxed: as in `set_current`.
        self.current.load(Ordering::Relaxed)
    }

    #[inline]
    fn set_current(&self, number: u64) {
        // Relaxed: it orders no other access.
        self.current.store(number, Ordering::Relaxed);
    }

    /// The task that runs, for [`restore`](Self::restore) after another one has run inside of it.
    #[inline]
    pub(crate) fn save(&self) -> Outer {
        Outer {
            number: self.current(),
            // Relaxed: this thread has written it.
            location: self.location.load(Ordering::Relaxed),
        }
    }

    /// Sets the task that runs again.
    #[inline]
    pub(crate) fn restore(&self, outer: &Outer) {
        // Relaxed: as in `begin`.
        self.location.store(outer.location, Ordering::Relaxed);
        self.set_current(outer.number);
    }

    /// Tasks that have not ended.
    #[inline]
    pub(crate) fn alive(&self) -> u64 {
        let finished = self.finished.get();
        // Relaxed loads: another thread may see an end before its spawn.
        self.spawned.get().saturating_sub(finished)
    }
}

/// The counters of an [`Executor`](crate::Executor), for all threads. It does not keep the tasks alive.
///
/// Each value is correct by itself. Several of them may be of different moments.
#[derive(Clone)]
pub struct TaskMetrics {
    scheduler: SchedulerArc<Scheduler>,
}

// SAFETY: it reaches only the counters, which are atomics. Its drop may free the scheduler on any thread: see `Scheduler`.
unsafe impl Send for TaskMetrics {}
// SAFETY: as above.
unsafe impl Sync for TaskMetrics {}

impl TaskMetrics {
    pub(crate) fn new(scheduler: &SchedulerArc<Scheduler>) -> Self {
        Self {
            scheduler: scheduler.clone(),
        }
    }

    fn counters(&self) -> &TaskCounters {
        &self.scheduler.counters
    }

    /// The number of the task that runs, or 0: for a driver that tags operations with it.
    pub fn current_cell(&self) -> &AtomicU64 {
        &self.counters().current
    }

    /// Tasks that have not ended. Tasks that another thread spawns and ends during the call may count.
    pub fn alive(&self) -> u64 {
        self.counters().alive()
    }

    /// Tasks that have been spawned. A task that another thread has sent counts once the home thread has seen it.
    pub fn spawned(&self) -> u64 {
        self.counters().spawned.get()
    }

    /// Tasks that have ended: by completion, panic or abort.
    pub fn finished(&self) -> u64 {
        self.counters().finished.get()
    }

    /// Tasks that have ended by a panic.
    pub fn panicked(&self) -> u64 {
        self.counters().panicked.get()
    }

    /// Polls of tasks that have returned.
    pub fn polls(&self) -> u64 {
        let counters = self.counters();
        let repeated = counters.repeated_polls.get();
        counters.last_polls.get().wrapping_add(repeated)
    }

    /// Tasks in the ready queue, with the one that runs.
    pub fn ready(&self) -> u64 {
        let counters = self.counters();
        // The other order could count more ends than entries.
        let left = counters.last_polls.get() + counters.unpolled.get();
        counters.readied.get().saturating_sub(left)
    }

    /// Wakes of tasks by other threads, without those of tasks that had been woken already.
    pub fn remote_wakes(&self) -> u64 {
        self.counters().remote_wakes.get()
    }

    /// The task that runs. A thread that reads it while another task begins may get the place of that task's spawn.
    pub fn current(&self) -> Option<TaskMeta> {
        let id = TaskId::from_number(self.counters().current())?;
        // Relaxed: as in `TaskCounters::begin`.
        let location = self.counters().location.load(Ordering::Relaxed);
        // SAFETY: it is null, or comes from a reference without end.
        let location = unsafe { location.as_ref() }?;
        let name = self.counters().names().get(&id).and_then(Weak::upgrade);
        Some(TaskMeta::from_parts(id, location, name))
    }

    /// The number of the task that runs.
    pub fn current_id(&self) -> Option<TaskId> {
        TaskId::from_number(self.counters().current())
    }
}

impl fmt::Debug for TaskMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskMetrics")
            .field("alive", &self.alive())
            .field("finished", &self.finished())
            .finish_non_exhaustive()
    }
}

/// The state of a task at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// It is polled at this moment.
    Running,
    /// It has been woken, and waits for its turn.
    Ready,
    /// It waits for a wake.
    Waiting,
}

/// The record of a task at one moment. Times are those of [`Executor::set_now`](crate::Executor::set_now).
#[derive(Clone, Debug)]
pub struct TaskRecord {
    /// Its identity.
    pub meta: TaskMeta,
    /// Its state.
    pub state: TaskState,
    /// The number of its polls.
    pub polls: u64,
    /// The time of its spawn.
    pub spawned_at: u64,
    /// The time of its last poll, or of its spawn. `None` for a task that is ready.
    pub polled_at: Option<u64>,
}
