//! Counters of runtimes, for any thread and at any time.
//!
//! They are always on. The loop's thread writes them without atomic additions, and a reader never stops the loop. Each value
//! is correct by itself; several values together may be of different moments.
//!
//! Names are Tokio's where both have the same counter. [`dump`](crate::dump) shows the tasks themselves.
//!
//! [`text`] exports the counters of the process for Prometheus. With the feature `metrics`, `Publisher` exports them to the
//! recorders of the crate of this name.
//!
//! ```
//! use compio::{metrics::OpKind, op::Nop, runtime};
//!
//! let runtime = runtime::Runtime::new().unwrap();
//! let metrics = runtime.metrics();
//! runtime.block_on(async {
//!     runtime::submit(Nop::new()).await.unwrap();
//! });
//! assert_eq!(metrics.operations(OpKind::Nop).completed, 1);
//! assert_eq!(metrics.num_alive_tasks(), 0);
//! ```

mod connections;
mod families;
#[cfg(feature = "histograms")]
mod histogram;
#[cfg(feature = "metrics")]
mod publisher;
#[cfg(feature = "histograms")]
pub(crate) mod recording;
mod text_format;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use compio_driver::{
    Driver, DriverMetrics, PerProcess, ThreadPool,
    os_calls::{clock, cpu::ThreadProbe},
};
use compio_executor::{Executor, Spawner, TaskMetrics};
use compio_io::counter::Counter;

pub use compio_driver::{BufferPoolStats, OpKind, OpStats, PoolStats};

pub use self::connections::{ConnectionGuard, ConnectionStats, count_connection};
#[cfg(feature = "metrics")]
pub use self::publisher::Publisher;
#[cfg(feature = "histograms")]
pub(crate) use self::recording::Recorder;
pub use self::text_format::{TextFormat, text};
#[cfg(feature = "histograms")]
pub use self::{
    histogram::Histogram,
    recording::{Recording, record_histograms},
};

use self::connections::Connections;
use crate::{
    dump::Requests,
    task::{Id, Meta},
};

/// The counters of a [`Runtime`](crate::runtime::Runtime). Clones are handles of the same counters, which stay readable after
/// the drop of the runtime.
#[derive(Clone)]
pub struct RuntimeMetrics {
    shared: Arc<Shared>,
}

struct Shared {
    number: u64,
    thread: Thread,
    epoch: Instant,
    /// The time of the loop, in milliseconds since `epoch`.
    now: AtomicU64,
    timers: Counter,
    connections: Connections,
    #[cfg(feature = "histograms")]
    histograms: recording::Histograms,
    spawner: Spawner,
    tasks: TaskMetrics,
    driver: Arc<DriverMetrics>,
    pool: ThreadPool,
    probe: ThreadProbe,
    /// The requests for dumps of the runtime.
    requests: Requests,
}

impl RuntimeMetrics {
    pub(crate) fn new(executor: &Executor, driver: &Driver, epoch: Instant) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            shared: Arc::new(Shared {
                // Relaxed: only the number itself must be unique.
                number: NEXT.fetch_add(1, Ordering::Relaxed),
                thread: thread::current(),
                epoch,
                now: AtomicU64::new(0),
                timers: Counter::new(),
                connections: Connections::default(),
                #[cfg(feature = "histograms")]
                histograms: recording::Histograms::new(),
                spawner: executor.spawner(),
                tasks: executor.metrics(),
                driver: Arc::clone(driver.metrics()),
                pool: driver.pool().clone(),
                probe: ThreadProbe::current(),
                requests: Requests::default(),
            }),
        }
    }

    pub(crate) fn is_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Calls a closure on the thread of the loop: see [`Spawner::call`].
    pub(crate) fn spawner(&self) -> &Spawner {
        &self.shared.spawner
    }

    pub(crate) fn requests(&self) -> &Requests {
        &self.shared.requests
    }

    /// The time of the loop, in milliseconds.
    #[inline]
    pub(crate) fn set_now(&self, millis: u64) {
        // Relaxed: it orders no other access.
        self.shared.now.store(millis, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn set_timers(&self, count: usize) {
        self.shared.timers.set(count as u64);
    }

    /// The number of this runtime: 1 for the first one of the process.
    pub fn runtime_number(&self) -> u64 {
        self.shared.number
    }

    /// The thread of the runtime.
    pub fn thread(&self) -> &Thread {
        &self.shared.thread
    }

    /// Tasks that have not ended.
    pub fn num_alive_tasks(&self) -> usize {
        self.shared.tasks.alive() as usize
    }

    /// Tasks that are ready to run, with the one that runs: the length of the loop's queue.
    pub fn local_queue_depth(&self) -> usize {
        self.shared.tasks.ready() as usize
    }

    /// Tasks that other threads have sent and that the loop has not seen. Takes the lock of their queue for a moment.
    pub fn remote_queue_depth(&self) -> usize {
        self.shared.spawner.queue_len()
    }

    /// Tasks that have been spawned. A task that another thread has sent counts once the loop has seen it.
    pub fn spawned_tasks_count(&self) -> u64 {
        self.shared.tasks.spawned()
    }

    /// Tasks that have ended: by completion, panic or abort.
    pub fn finished_tasks_count(&self) -> u64 {
        self.shared.tasks.finished()
    }

    /// Tasks that have ended by a panic.
    pub fn panicked_tasks_count(&self) -> u64 {
        self.shared.tasks.panicked()
    }

    /// Polls of tasks that have returned.
    pub fn poll_count(&self) -> u64 {
        self.shared.tasks.polls()
    }

    /// Wakes of tasks by other threads.
    pub fn remote_schedule_count(&self) -> u64 {
        self.shared.tasks.remote_wakes()
    }

    /// The task that the loop runs.
    pub fn current_task(&self) -> Option<Meta> {
        self.shared.tasks.current()
    }

    /// The number of the task that the loop runs. Costs less than [`current_task`](Self::current_task).
    pub fn current_task_id(&self) -> Option<Id> {
        self.shared.tasks.current_id()
    }

    /// The CPU time of the loop's thread since its start. On Linux only, and `None` after the end of the thread.
    pub fn cpu_time(&self) -> Option<Duration> {
        Some(self.probe().cpu_time()?.ran)
    }

    pub(crate) fn probe(&self) -> ThreadProbe {
        self.shared.probe
    }

    /// Operations in flight of all kinds.
    pub fn num_operations(&self) -> u64 {
        let kinds = OpKind::ALL.iter();
        kinds.map(|kind| self.operations(*kind).in_flight).sum()
    }

    /// Operations that have completed, of all kinds. Divided by [`enter_count`](Self::enter_count), it is the number of
    /// completions for each system call.
    pub fn completed_operations_count(&self) -> u64 {
        let kinds = OpKind::ALL.iter();
        kinds.map(|kind| self.operations(*kind).completed).sum()
    }

    /// Turns of the loop. Each submits, looks for completions, and expires timers.
    pub fn turn_count(&self) -> u64 {
        self.shared.driver.turns()
    }

    /// Turns that were allowed to wait.
    pub fn park_count(&self) -> u64 {
        self.shared.driver.parks()
    }

    /// Calls that submit to the kernel or wait for it: `io_uring_enter`, `epoll_wait` and their relatives.
    pub fn enter_count(&self) -> u64 {
        self.shared.driver.enters()
    }

    /// Waits that have begun with a spin.
    pub fn spin_count(&self) -> u64 {
        self.shared.driver.spins()
    }

    /// Waits that a completion has ended during the spin.
    pub fn spin_hit_count(&self) -> u64 {
        self.shared.driver.spin_hits()
    }

    /// Timers that are set, at the last turn of the loop.
    pub fn num_timers(&self) -> usize {
        self.shared.timers.get() as usize
    }

    /// The time since the loop has last read the clock: at its last turn that was allowed to wait, or at one of its last
    /// sixteen turns. It grows while a loop waits, and while a task does not return from its poll.
    pub fn time_since_turn(&self) -> Duration {
        let shared = &self.shared;
        // Relaxed: as in `set_now`.
        let moment = Duration::from_millis(shared.now.load(Ordering::Relaxed));
        self.age(moment, clock::now())
    }

    /// The time between a moment of the loop and `now`. Zero if the moment is later.
    pub(crate) fn age(&self, moment: Duration, now: Instant) -> Duration {
        let since = now.saturating_duration_since(self.shared.epoch);
        since.saturating_sub(moment)
    }

    /// The operations of a kind. Operations of the loop itself count, such as those of pools of buffers.
    pub fn operations(&self, kind: OpKind) -> OpStats {
        self.shared.driver.operations(kind)
    }

    /// The pools of receive buffers of this runtime, the oldest first. Takes their lock for a moment.
    ///
    /// [`PollStream`](crate::net::PollStream) and `recv_stream` receive into buffers of a pool.
    pub fn buffer_pools(&self) -> Vec<BufferPoolStats> {
        self.shared.driver.buffer_pools()
    }

    /// The thread pool for blocking work, which other runtimes may share. Takes its lock for a moment.
    pub fn blocking_pool(&self) -> PoolStats {
        self.shared.pool.stats()
    }
}

impl fmt::Debug for RuntimeMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeMetrics")
            .field("runtime", &self.runtime_number())
            .field("tasks", &self.shared.tasks)
            .finish_non_exhaustive()
    }
}

/// The counters of all runtimes of this process, the oldest first.
pub fn all() -> Vec<RuntimeMetrics> {
    registry().values().cloned().collect()
}

/// A pool for blocking work.
pub(crate) struct NamedPool {
    /// The oldest runtime that uses it. `None` for the global pool.
    pub(crate) owner: Option<u64>,
    /// `global`, or the number of the owner.
    pub(crate) name: String,
    pub(crate) stats: PoolStats,
}

/// The pools of these runtimes, which are in their order. A pool that several of them share counts once.
pub(crate) fn pools(runtimes: &[RuntimeMetrics]) -> Vec<NamedPool> {
    let mut seen: Vec<&ThreadPool> = Vec::new();
    let mut pools = Vec::new();
    for runtime in runtimes {
        let pool = &runtime.shared.pool;
        if seen.iter().any(|other| other.ptr_eq(pool)) {
            continue;
        }
        seen.push(pool);
        let is_global = pool.ptr_eq(&ThreadPool::global());
        let owner = (!is_global).then(|| runtime.runtime_number());
        pools.push(NamedPool {
            owner,
            name: owner.map_or("global".to_owned(), |number| number.to_string()),
            stats: pool.stats(),
        });
    }
    pools
}

/// All runtimes of this process that have not been dropped, by number.
fn registry() -> MutexGuard<'static, BTreeMap<u64, RuntimeMetrics>> {
    static REGISTRY: PerProcess<Mutex<BTreeMap<u64, RuntimeMetrics>>> = PerProcess::new();
    let registry = REGISTRY.get_or_make(Mutex::default);
    registry.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The entry of a runtime in the list of all runtimes, until it is removed or dropped.
pub(crate) struct Registered {
    number: u64,
}

impl Registered {
    pub(crate) fn new(metrics: RuntimeMetrics) -> Self {
        let number = metrics.runtime_number();
        registry().insert(number, metrics);
        Self { number }
    }

    /// Removes the entry. Again, it does nothing.
    pub(crate) fn remove(&self) {
        // A child of `fork` has a registry of its own.
        let entry = registry().remove(&self.number);
        // Outside of the lock: it may hold the last handles.
        drop(entry);
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.remove();
    }
}
