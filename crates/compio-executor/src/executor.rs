//! The public executor.

use std::{fmt, mem::forget, panic::Location, sync::Arc as StdArc, task::Waker};

use crate::{
    injector::Injector,
    join::JoinHandle,
    meta::{TaskId, TaskMeta},
    metrics::{TaskMetrics, TaskRecord},
    panics::caught,
    scheduler::Scheduler,
    spawner::Spawner,
    sync::Arc,
    task::{TaskPtr, typed},
};

/// Runs tasks on the thread that made it.
///
/// It never waits: its owner calls [`tick`](Self::tick) in a loop, and parks the thread while no task
/// is ready. Tasks need not be `Send`; the executor is not `Send` either.
///
/// Tasks run first in, first out. A task that is woken while it runs goes to the back.
///
/// # Example
///
/// ```
/// use std::{task::{Context, Poll, Waker}, pin::pin};
/// use compio_executor::Executor;
///
/// let executor = Executor::new(Waker::noop().clone());
/// let mut answer = pin!(executor.spawn(async { 6 * 7 }));
/// while executor.tick(64).has_ready {}
///
/// let mut cx = Context::from_waker(Waker::noop());
/// let Poll::Ready(answer) = answer.as_mut().poll(&mut cx) else { unreachable!() };
/// assert_eq!(answer.unwrap(), 42);
/// ```
pub struct Executor {
    scheduler: Arc<Scheduler>,
    injector: StdArc<Injector>,
}

/// The result of a [tick](Executor::tick).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// The number of polled tasks, and of aborted ones that have ended.
    pub polled: usize,
    /// Whether ready tasks are left, as [`Executor::has_ready`].
    pub has_ready: bool,
}

impl Executor {
    /// Makes an executor without tasks, at home on this thread.
    ///
    /// A wake from another thread puts the task into the inbox. If the inbox was empty, that thread then
    /// wakes `unpark`. Wakes on this thread do so after [`set_parked`](Self::set_parked). The waker must be
    /// cheap and must not block. It may also be dropped on another thread, if a waker of a task outlives
    /// the executor there.
    #[must_use]
    pub fn new(unpark: Waker) -> Self {
        #[allow(
            clippy::arc_with_non_send_sync,
            reason = "wakers on other threads keep it alive, and reach only its inbox"
        )]
        let scheduler = Arc::new(Scheduler::new(unpark.clone()));
        Self {
            scheduler,
            injector: StdArc::new(Injector::new(unpark)),
        }
    }

    /// Makes a task of a future. A later [`tick`](Self::tick) polls it for the first time.
    ///
    /// A panic of the future, in its `poll` or in its destructor, is caught and reported by the handle.
    ///
    /// While the executor [clears](Self::clear) its tasks (so if the destructor of a task's future
    /// calls this), the future is dropped at once, and the handle reports a cancelled task.
    #[inline]
    #[track_caller]
    pub fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        let id = TaskId::next();
        self.scheduler.log.spawn(id, || self.scheduler.now.get());
        let task = typed::allocate(&self.scheduler, id, Location::caller(), future);
        self.admit(task)
    }

    /// As [`spawn`](Self::spawn), for a task with this identity, which no other task has.
    pub fn spawn_as<F: Future + 'static>(
        &self,
        meta: TaskMeta,
        future: F,
    ) -> JoinHandle<F::Output> {
        self.scheduler.record_out_of_order(&meta);
        self.admit(typed::allocate_as(&self.scheduler, meta, future))
    }

    /// The handle of a new task, whose output has this type.
    #[inline]
    fn admit<T>(&self, task: TaskPtr) -> JoinHandle<T> {
        // SAFETY: the task is new, its HANDLE is set and this is the only handle; the callers pass the type
        // of its output.
        let handle = unsafe { JoinHandle::new(task) };
        self.scheduler.admit(task);
        handle
    }

    /// The identity of the task that runs: one whose future is polled or dropped by this executor further up
    /// this stack.
    #[must_use]
    pub fn current_task(&self) -> Option<TaskMeta> {
        self.scheduler.current_meta()
    }

    /// A handle that spawns tasks from any thread.
    #[must_use]
    pub fn spawner(&self) -> Spawner {
        Spawner::new(self.injector.clone())
    }

    /// Cancels the tasks that other threads have sent and that are not spawned yet, and rejects later ones.
    pub fn close_spawners(&self) {
        self.injector.close();
    }

    /// Polls at most `budget` ready tasks.
    ///
    /// At the beginning it collects tasks that other threads have spawned or woken; woken ones again when no
    /// other task is ready. No panic of a task escapes from it.
    ///
    /// A task may call it; the inner call then does not poll that task.
    pub fn tick(&self, budget: usize) -> Tick {
        self.scheduler.drain_inbox();
        if self.injector.has_jobs() {
            self.run_jobs();
        }
        // A task of this executor may call this.
        let outer = self.scheduler.counters.save();
        let mut left = budget;
        while left > 0
            && let Some(task) = self.scheduler.next()
        {
            // SAFETY: at home, because `Executor` is not `Sync`; just popped.
            unsafe { self.scheduler.run(task) };
            left -= 1;
        }
        self.scheduler.counters.restore(&outer);
        Tick {
            polled: budget - left,
            has_ready: self.has_ready(),
        }
    }

    /// As [`tick`](Self::tick), and calls `after_poll` after each poll, and after the end of each aborted task.
    pub fn tick_with(&self, budget: usize, mut after_poll: impl FnMut()) -> Tick {
        let mut polled = 0;
        loop {
            let left = budget - polled;
            let tick = self.tick(left.min(1));
            if tick.polled == 0 {
                return Tick { polled, ..tick };
            }
            after_poll();
            polled += tick.polled;
        }
    }

    /// Shuffles the next `max` ready tasks, or all if they are fewer, by a random number. Returns their number.
    ///
    /// A [`tick`](Self::tick) with this number as its budget polls them all, before tasks that become ready since.
    #[cfg(feature = "sim")]
    pub fn shuffle_ready(&self, max: usize, random: u64) -> usize {
        self.scheduler.ready.shuffle(max, random)
    }

    /// Spawns the tasks that other threads have sent.
    #[cold]
    fn run_jobs(&self) {
        for job in self.injector.take() {
            // Destructors of aborted jobs run user code.
            caught(|| job.run(self));
        }
    }

    /// Whether a task is ready. Costs three loads.
    ///
    /// Check this before parking the thread. An `unpark` that always leaves a token for the next park, as
    /// `std::thread::Thread::unpark` does, needs no more. An `unpark` that skips the token unless a flag
    /// says "parked" needs a `SeqCst` fence on both sides: here between setting the flag and the check,
    /// there before reading the flag.
    #[inline]
    #[must_use]
    pub fn has_ready(&self) -> bool {
        self.scheduler.has_ready() || self.injector.has_jobs()
    }

    /// Sets whether the thread may be parked in a foreign event loop, which may wake tasks itself. While it
    /// is set, the first wake on this thread wakes `unpark`, too, and clears it.
    pub fn set_parked(&self, parked: bool) {
        self.scheduler.parked.set(parked);
    }

    /// Sets whether [`tick`](Self::tick) will be called again, which is assumed at first. If not, and
    /// [another executor](crate::set_occupied) runs the thread, polling the handle of a pending task panics:
    /// the handle would never be ready.
    pub fn set_attended(&self, attended: bool) {
        self.scheduler.unattended.set(!attended);
    }

    /// The counters, for all threads.
    #[must_use]
    pub fn metrics(&self) -> TaskMetrics {
        TaskMetrics::new(&self.scheduler)
    }

    /// Sets the time of the records of tasks, in any unit: see [`records`](Self::records).
    #[inline]
    pub fn set_now(&self, now: u64) {
        if self.scheduler.now.replace(now) != now {
            self.scheduler.log.begin_moment();
        }
    }

    /// The records of all tasks that have not ended, oldest first. Polls none.
    #[must_use]
    pub fn records(&self) -> Vec<TaskRecord> {
        self.scheduler.records(usize::MAX).0
    }

    /// The records of at most `max` tasks, oldest first: of those that have waited longest since their last polls. With the
    /// number of the other tasks.
    #[must_use]
    pub fn longest_waits(&self, max: usize) -> (Vec<TaskRecord>, usize) {
        self.scheduler.records(max)
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// The number of tasks that have not ended.
    #[must_use]
    pub fn task_count(&self) -> usize {
        self.scheduler.task_count()
    }

    /// Ends all tasks now: drops their futures, oldest first, on this thread. Their handles report them
    /// as cancelled. Dropping the executor does the same.
    ///
    /// If this is called from within a task, that task itself is only aborted: its future is dropped when
    /// the running poll has returned [`Pending`](std::task::Poll::Pending).
    pub fn clear(&self) {
        self.injector.clear();
        self.scheduler.clear();
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.close_spawners();
        self.scheduler.close();
        // A task is still being polled only if it called `std::process::exit`, which may run the
        // destructors of thread locals, ours among them. That poll never returns; but a thread that
        // borrowed its waker continues, and may access the scheduler through it (M5). So it stays.
        if self.task_count() > 0 {
            forget(self.scheduler.clone());
        }
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("task_count", &self.task_count())
            .field("has_ready", &self.has_ready())
            .finish()
    }
}
