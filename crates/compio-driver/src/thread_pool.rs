//! The thread pool, for calls that no kernel runs asynchronously.
//!
//! A pool grows up to its limit while there is work and no idle thread, and queues further work. It shrinks
//! when threads have been idle for a while. Dispatching work never blocks. One pool can
//! serve many drivers; by default, one pool serves all drivers of a process.
//!
//! # Wakes
//!
//! A wake of a thread costs more than a short job. So there is no wake for each job: a thread that takes a
//! job wakes the next one, if jobs are left and no thread is *coming*, which means that it has been woken or
//! started and has not looked at the queue yet. One thread then executes many short jobs in a row. A job that
//! blocks holds up no other: the next thread is coming before the job begins. As many threads may be coming
//! as there are CPUs.

use std::{
    collections::VecDeque,
    io, mem,
    sync::{
        Arc, PoisonError,
        atomic::Ordering::{AcqRel, Relaxed, Release},
    },
    task::Waker,
    time::{Duration, Instant},
};

use compio_io::panics::{discard, wake_all};

use crate::{
    key::Key,
    metrics::PoolStats,
    notify::Notifier,
    os_calls::clock,
    per_process::PerProcess,
    request::{RawResult, Request},
    sync::{AtomicBool, Condvar, Mutex, MutexGuard, start_thread},
    sys,
};

/// How long an idle thread waits for work before it ends.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The default limit of threads.
const THREADS_MAX: usize = 256;

/// The limit of threads for name resolution.
const RESOLVER_THREADS_MAX: usize = 32;

/// A pool of threads for blocking work. Clones are handles of the same pool.
///
/// Its queue has no limit of its own: its jobs are operations in flight, each of which its caller has
/// begun and can cancel.
///
/// A child of `fork` has none of its parent's threads. There, a pool starts again, with no threads and
/// an empty queue.
#[derive(Debug, Clone)]
pub struct ThreadPool(Arc<Handle>);

/// The state that all clones of a pool share.
#[derive(Debug)]
struct Handle {
    threads_max: usize,
    here: PerProcess<Arc<Shared>>,
}

/// The state of a pool's threads in one process.
#[derive(Debug)]
struct Shared {
    threads_max: usize,
    /// How many threads may be coming.
    coming_max: usize,
    state: Mutex<State>,
    work_came: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Jobs, and the times of their arrival.
    queue: VecDeque<(Job, Instant)>,
    threads: usize,
    /// Waiting threads without a wake on its way.
    idle: usize,
    /// Wakes on their way to waiting threads. The next thread that ends its wait takes one, also if another
    /// thread was woken: so no wake is lost.
    woken: usize,
    /// Threads that have been started, and have not looked at the queue yet.
    starting: usize,
    /// Threads that report a result. They look at the queue next.
    reporting: usize,
    /// Jobs that threads have begun.
    begun: u64,
    /// The sum of their times in the queue.
    waited: Duration,
}

impl State {
    /// How many threads will look at the queue soon.
    fn coming(&self) -> usize {
        self.woken + self.starting + self.reporting
    }
}

/// One request, and the destination of its completion.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) key: Key,
    pub(crate) request: Request,
    pub(crate) remote: Arc<RemoteCompletions>,
    /// The kernel has dropped the request, or has executed it already.
    pub(crate) is_repeated: bool,
}

impl Job {
    /// # Safety
    ///
    /// The job is run once, and its request is valid until this returns.
    unsafe fn execute(&self) -> RawResult {
        // SAFETY: passed on from this function.
        unsafe {
            if self.is_repeated {
                sys::repeat(&self.request)
            } else {
                sys::call_in_thread(&self.request)
            }
        }
    }
}

// SAFETY: the request points to memory of an operation in flight: it stays valid until the job's
// result has completed the operation. Any thread may make a system call, and a `Request::Blocking` allows
// its use there (`Operation`, third rule).
unsafe impl Send for Job {}

impl ThreadPool {
    /// A pool of at most `threads_max` threads, which start when they are needed, end after 10 seconds without
    /// work, and are named `compio-blocking`.
    ///
    /// # Panics
    ///
    /// If `threads_max` is zero.
    #[track_caller]
    pub fn new(threads_max: usize) -> Self {
        assert!(threads_max > 0, "a pool needs at least one thread");
        Self::with_limit(threads_max)
    }

    fn with_limit(threads_max: usize) -> Self {
        Self(Arc::new(Handle {
            threads_max,
            here: PerProcess::new(),
        }))
    }

    fn shared(&self) -> &Arc<Shared> {
        self.0.here.get_or_make(|| {
            Arc::new(Shared {
                threads_max: self.0.threads_max,
                coming_max: cpus(),
                state: Mutex::default(),
                work_came: Condvar::new(),
            })
        })
    }

    /// The pool that drivers of this process share by default. It has at most 256 threads.
    pub fn global() -> Self {
        static GLOBAL: PerProcess<ThreadPool> = PerProcess::new();
        GLOBAL.get_or_make(|| Self::new(THREADS_MAX)).clone()
    }

    /// Whether both are clones of one pool.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The pool for [`Threads::Resolver`](crate::request::Threads::Resolver).
    pub(crate) fn resolver() -> Self {
        static RESOLVER: PerProcess<ThreadPool> = PerProcess::new();
        RESOLVER
            .get_or_make(|| Self::new(RESOLVER_THREADS_MAX))
            .clone()
    }

    /// Queues the job. Fails only if there is no thread and none can be started: then the job does not
    /// run.
    pub(crate) fn dispatch(&self, job: Job) -> io::Result<()> {
        let shared = self.shared();
        let now = clock::now();
        let mut state = shared.lock();
        state.queue.push_back((job, now));
        match shared.call_thread(&mut state) {
            Ok(wake) => {
                drop(state);
                shared.wake_if(wake);
            }
            // The existing threads will run it.
            Err(_) if state.threads > 0 => {}
            Err(error) => {
                state.queue.pop_back();
                return Err(error);
            }
        }
        Ok(())
    }

    /// The threads and the queue at this moment. Takes the lock of the pool.
    pub fn stats(&self) -> PoolStats {
        let state = self.shared().lock();
        PoolStats {
            threads: state.threads,
            idle: state.idle,
            queued: state.queue.len(),
            begun: state.begun,
            waited: state.waited,
        }
    }

    /// The jobs of a driver that no thread has begun.
    pub(crate) fn queued(&self, remote: &Arc<RemoteCompletions>) -> Vec<Key> {
        let state = self.shared().lock();
        let of_driver = state
            .queue
            .iter()
            .filter(|(job, _)| Arc::ptr_eq(&job.remote, remote));
        of_driver.map(|(job, _)| job.key).collect()
    }

    /// Removes a job that no thread has begun. It will not run.
    pub(crate) fn remove_queued(&self, key: Key, remote: &Arc<RemoteCompletions>) -> bool {
        let mut state = self.shared().lock();
        let is_wanted =
            |(job, _): &(Job, Instant)| job.key == key && Arc::ptr_eq(&job.remote, remote);
        // From both ends: a caller that cancels many jobs starts with the oldest or the newest.
        let place = (0..state.queue.len().div_ceil(2)).find_map(|front| {
            let places = [front, state.queue.len() - 1 - front];
            places
                .into_iter()
                .find(|place| is_wanted(&state.queue[*place]))
        });
        place.is_some_and(|place| state.queue.remove(place).is_some())
    }

    #[cfg(all(test, loom))]
    pub(crate) fn threads(&self) -> usize {
        self.shared().lock().threads
    }

    /// Ends the idle threads: a model is over when all threads have ended.
    #[cfg(all(test, loom))]
    pub(crate) fn expire(&self) {
        let shared = self.shared();
        shared.work_came.expire(shared.lock());
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No user code runs under the lock: a poisoned lock protects a consistent state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls a thread for the queue, unless enough threads are coming: starts one, or returns that the caller
    /// must wake one. Fails if a thread is missing and cannot be started.
    fn call_thread(self: &Arc<Self>, state: &mut State) -> io::Result<bool> {
        if state.coming() >= state.queue.len().min(self.coming_max) {
            return Ok(false);
        }
        if state.idle > 0 {
            state.idle -= 1;
            state.woken += 1;
            return Ok(true);
        }
        if state.threads < self.threads_max {
            let shared = Arc::clone(self);
            start_thread("compio-blocking", move || shared.run())?;
            state.threads += 1;
            state.starting += 1;
        }
        Ok(false)
    }

    /// Without the lock, which the woken thread takes first.
    fn wake_if(&self, wake: bool) {
        if wake {
            self.work_came.notify_one();
        }
    }

    /// The loop of one thread.
    fn run(self: &Arc<Self>) {
        let mut state = self.lock();
        state.starting -= 1;
        loop {
            if let Some((job, arrived)) = state.queue.pop_front() {
                state.begun += 1;
                state.waited += clock::now().saturating_duration_since(arrived);
                // Without a new thread, the existing ones will run the rest.
                let wake = self.call_thread(&mut state).unwrap_or(false);
                drop(state);
                self.wake_if(wake);
                // SAFETY: each job is run once, on one thread; its memory is valid, see `Job`.
                let answer = unsafe { job.execute() };
                // Already coming: a task that dispatches its next job on this completion needs no further
                // thread.
                self.lock().reporting += 1;
                job.remote.put(job.key, answer);
                drop(job);
                state = self.lock();
                state.reporting -= 1;
                continue;
            }
            state.idle += 1;
            let (guard, waited) = self
                .work_came
                .wait_timeout(state, KEEP_ALIVE)
                .unwrap_or_else(PoisonError::into_inner);
            state = guard;
            if state.woken > 0 {
                state.woken -= 1;
            } else {
                state.idle -= 1;
            }
            if waited.timed_out() && state.queue.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}

/// The number of CPUs that the process may use.
fn cpus() -> usize {
    if cfg!(loom) {
        return 1;
    }
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Completions that other threads have pushed for one driver.
#[derive(Debug)]
pub(crate) struct RemoteCompletions {
    completions: Mutex<LaidDown>,
    filled: AtomicBool,
    notifier: Arc<Notifier>,
}

#[derive(Debug, Default)]
struct LaidDown {
    answers: Vec<(Key, RawResult)>,
    /// Tasks of other drivers that wait for a completion of this one.
    guests: Vec<Waker>,
}

impl RemoteCompletions {
    pub(crate) fn new(notifier: Arc<Notifier>) -> Self {
        Self {
            completions: Mutex::default(),
            filled: AtomicBool::new(false),
            notifier,
        }
    }

    pub(crate) fn put(&self, key: Key, answer: RawResult) {
        let guests = {
            let mut completions = self.lock();
            completions.answers.push((key, answer));
            mem::take(&mut completions.guests)
        };
        // Release: pairs with the swap in `take`.
        self.filled.store(true, Release);
        self.notifier.notify();
        if let Some(panic) = wake_all(guests.into_iter()) {
            // The panic hook has reported it. A pool thread must continue.
            discard(panic);
        }
    }

    /// Wakes a task of another driver at the next completion.
    pub(crate) fn add_guest(&self, waker: Waker) {
        let mut completions = self.lock();
        let is_known = completions
            .guests
            .iter()
            .any(|guest| guest.will_wake(&waker));
        // The waker is dropped outside of the lock: its drop runs user code (Waker vtable).
        let spare = if is_known {
            Some(waker)
        } else {
            completions.guests.push(waker);
            None
        };
        drop(completions);
        drop(spare);
    }

    /// Whether [`take`](Self::take) may find completions. Only a hint.
    pub(crate) fn maybe_nonempty(&self) -> bool {
        // Relaxed: a driver that misses the store checks again, since `put` notifies it afterwards.
        self.filled.load(Relaxed)
    }

    /// Swaps the completions with the empty `into`.
    pub(crate) fn take(&self, into: &mut Vec<(Key, RawResult)>) {
        debug_assert!(into.is_empty());
        // AcqRel: pairs with the store in `put`.
        if self.maybe_nonempty() && self.filled.swap(false, AcqRel) {
            mem::swap(&mut self.lock().answers, into);
        }
    }

    fn lock(&self) -> MutexGuard<'_, LaidDown> {
        self.completions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, not(loom)))]
#[allow(dead_code, reason = "the kernel in memory is not on every system")]
mod manual;
#[cfg(all(test, not(loom)))]
mod tests;
