//! A handle of all workers: it chooses one, and sends tasks.

use std::{
    cell::{Cell, RefCell},
    fmt,
    hash::{BuildHasher, RandomState},
    rc::Rc,
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
};

use super::{
    draining::Signal,
    shared::{ENDED, Shared},
};
#[cfg(feature = "net")]
use crate::task::Builder;
use crate::task::SendJoinHandle;

/// Up to this number of workers, the choice of the least loaded one compares all.
const COMPARED_MAX: usize = 16;

thread_local! {
    /// The dispatcher of which this thread is a worker, and its index.
    static MEMBER: RefCell<Option<Membership>> = const { RefCell::new(None) };
    /// The state of a small random generator, so that ties rotate without shared state. Never zero.
    static RANDOM: Cell<u64> = Cell::new(RandomState::new().hash_one(()) | 1);
}

/// The workers of a [`Dispatcher`](super::Dispatcher), for any thread. Clones are cheap, and do not keep the
/// workers running.
///
/// In a task of a worker, [`current`] returns them.
///
/// A task that is dispatched after the workers have ended is cancelled at once, and its handle reports that.
#[derive(Clone)]
pub struct Workers {
    pub(super) shared: Arc<Shared>,
}

/// The workers that include this thread. `None` on other threads.
pub fn current() -> Option<Workers> {
    MEMBER.with_borrow(|member| {
        let shared = member.as_ref()?.shared.upgrade()?;
        Some(Workers { shared })
    })
}

/// The index of the worker that this thread is: from 0 to the number of workers less one. `None` on other
/// threads.
pub fn worker_index() -> Option<usize> {
    with_member(|member| member.index)
}

/// The state of a thread as a worker.
pub(super) struct Membership {
    shared: Weak<Shared>,
    index: usize,
    pub(super) signal: Rc<Signal>,
}

/// `None` on a thread that is no worker.
pub(super) fn with_member<T>(code: impl FnOnce(&Membership) -> T) -> Option<T> {
    MEMBER.with_borrow(|member| member.as_ref().map(code))
}

/// While this lives, the thread is a worker.
pub(super) struct Member(Option<Membership>);

impl Member {
    pub(super) fn new(shared: &Arc<Shared>, index: usize) -> Self {
        Self(MEMBER.replace(Some(Membership {
            shared: Arc::downgrade(shared),
            index,
            signal: Rc::default(),
        })))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        MEMBER.set(self.0.take());
    }
}

impl Workers {
    /// The number of workers.
    #[expect(clippy::len_without_is_empty, reason = "there is at least one worker")]
    pub fn len(&self) -> usize {
        self.shared.slots.len()
    }

    /// The number of dispatched tasks of a worker that have not ended. Tasks that run on it by
    /// [`task::spawn`](crate::task::spawn) are not counted.
    ///
    /// # Panics
    ///
    /// If there is no such worker.
    #[track_caller]
    pub fn load(&self, worker: usize) -> usize {
        self.check(worker);
        self.load_of(worker) & !ENDED
    }

    /// Starts a task on the worker with the least [load](Self::load). `make` is sent there and makes the
    /// future, which need not be `Send`. A panic of `make` is a panic of the task.
    ///
    /// Up to 16 workers are compared, otherwise two random ones. It never waits: the queue of a worker has
    /// no limit.
    ///
    /// ```
    /// use std::rc::Rc;
    ///
    /// use compio::cores::Dispatcher;
    ///
    /// #[compio::main]
    /// async fn main() -> std::io::Result<()> {
    ///     let dispatcher = Dispatcher::builder().workers(2).build()?;
    ///     let answer = dispatcher.dispatch(|| async {
    ///         let value = Rc::new(42);
    ///         *value
    ///     });
    ///     assert_eq!(answer.await?, 42);
    ///     dispatcher.shutdown().await
    /// }
    /// ```
    #[track_caller]
    pub fn dispatch<M, F>(&self, make: M) -> SendJoinHandle<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        self.send(self.least_loaded(), make)
    }

    /// Starts a task on one worker, as [`dispatch`](Self::dispatch).
    ///
    /// # Panics
    ///
    /// If there is no such worker.
    #[track_caller]
    pub fn dispatch_to<M, F>(&self, worker: usize, make: M) -> SendJoinHandle<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        self.check(worker);
        self.send(worker, make)
    }

    /// Starts a task on each worker, as [`dispatch`](Self::dispatch). `make` gets the worker's index. The
    /// handles are in the order of the workers.
    #[track_caller]
    pub fn dispatch_to_each<M, F>(&self, make: M) -> Vec<SendJoinHandle<F::Output>>
    where
        M: FnOnce(usize) -> F + Clone + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let mut tasks = Vec::with_capacity(self.len());
        // No closure: it would hide the place of the call.
        for worker in 0..self.len() {
            let make = make.clone();
            tasks.push(self.send(worker, move || make(worker)));
        }
        tasks
    }

    #[track_caller]
    fn send<M, F>(&self, worker: usize, make: M) -> SendJoinHandle<F::Output>
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let dispatched = Dispatched::new(&self.shared, worker);
        let slot = &self.shared.slots[worker];
        let entry = slot.entry.get().expect("set before the first dispatch");
        entry.runtime.spawn_with(move || {
            let future = make();
            async move {
                let output = future.await;
                drop(dispatched);
                output
            }
        })
    }

    /// Starts a task with a name that does not count in the load.
    #[cfg(feature = "net")]
    #[track_caller]
    pub(super) fn run_aside<M, F>(&self, name: &str, worker: usize, make: M)
    where
        M: FnOnce() -> F + Send + 'static,
        F: Future<Output = ()> + 'static,
    {
        let slot = &self.shared.slots[worker];
        let entry = slot.entry.get().expect("set before the first dispatch");
        let task = Builder::new().name(name);
        task.spawn_with_on(make, &entry.runtime).detach();
    }

    /// Counts a task that a worker has started by itself.
    #[cfg(feature = "net")]
    pub(super) fn add_load(&self, worker: usize) -> impl Drop + use<> {
        Dispatched::new(&self.shared, worker)
    }

    /// A worker with clearly less load than this one: by more than one task and a sixteenth. A smaller
    /// difference does not pay for the hand-off.
    #[cfg(feature = "net")]
    pub(super) fn less_loaded_than(&self, worker: usize) -> Option<usize> {
        let least = self.least_loaded();
        let threshold = self.load_of(least).saturating_mul(17) / 16 + 1;
        (self.load_of(worker) > threshold).then_some(least)
    }

    /// The load for comparisons: an ended worker has the greatest.
    fn load_of(&self, worker: usize) -> usize {
        // Relaxed: a snapshot.
        self.shared.slots[worker].load.load(Relaxed)
    }

    #[track_caller]
    fn check(&self, worker: usize) {
        let len = self.len();
        assert!(worker < len, "there is no worker {worker}: there are {len}");
    }

    fn least_loaded(&self) -> usize {
        let len = self.len();
        let random = next_random();
        let start = (random % len as u64) as usize;
        if len <= COMPARED_MAX {
            let rotated = (start..len).chain(0..start);
            return rotated
                .min_by_key(|&worker| self.load_of(worker))
                .unwrap_or(start);
        }
        let other = (start + 1 + (random >> 32) as usize % (len - 1)) % len;
        if self.load_of(other) < self.load_of(start) {
            other
        } else {
            start
        }
    }
}

/// xorshift64: a full period, and good enough for ties.
fn next_random() -> u64 {
    RANDOM.with(|random| {
        let mut state = random.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        random.set(state);
        state
    })
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let loads = (0..self.len()).map(|worker| self.load(worker));
        f.debug_struct("Workers")
            .field("loads", &loads.collect::<Vec<_>>())
            .finish()
    }
}

/// A dispatched task's part of the load and of the tokens, from before it is sent until its future is
/// gone.
struct Dispatched {
    shared: Arc<Shared>,
    worker: usize,
    has_token: bool,
}

impl Dispatched {
    fn new(shared: &Arc<Shared>, worker: usize) -> Self {
        // Relaxed: the load is a hint.
        shared.slots[worker].load.fetch_add(1, Relaxed);
        Self {
            has_token: shared.try_take_token(),
            shared: Arc::clone(shared),
            worker,
        }
    }
}

impl Drop for Dispatched {
    fn drop(&mut self) {
        self.shared.slots[self.worker].load.fetch_sub(1, Relaxed);
        if self.has_token {
            self.shared.return_token();
        }
    }
}
