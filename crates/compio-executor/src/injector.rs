//! The queue of tasks that other threads spawn on an executor.
//!
//! ```text
//! any thread --push--> jobs --take--> home thread: spawns a task for each
//!                       |
//!                     close: drops the jobs, and rejects later ones
//! ```
//!
//! It is unbounded: a push never waits for the home thread. `unpark` is called if the queue was empty.

use std::{mem, sync::PoisonError, task::Waker};

use crate::{
    executor::Executor,
    panics::drop_caught,
    sync::{AtomicBool, Mutex, Ordering},
};

/// A task that is not spawned yet, whose drop reports that the task is cancelled. Or a value that is dropped at
/// home.
pub(crate) trait Job: Send {
    fn run(self: Box<Self>, executor: &Executor);
}

pub(crate) struct Injector {
    queue: Mutex<Queue>,
    /// Whether there are jobs. Written under the lock.
    has_jobs: AtomicBool,
    unpark: Waker,
}

#[derive(Default)]
struct Queue {
    jobs: Vec<Box<dyn Job>>,
    is_closed: bool,
}

impl Injector {
    pub(crate) fn new(unpark: Waker) -> Self {
        Self {
            queue: Mutex::new(Queue::default()),
            has_jobs: AtomicBool::new(false),
            unpark,
        }
    }

    /// Queues a job. After [`close`](Self::close), drops it.
    pub(crate) fn push(&self, job: Box<dyn Job>) {
        let is_first = self.with_queue(|queue| {
            if queue.is_closed {
                return Err(job);
            }
            queue.jobs.push(job);
            // Relaxed: a loop that misses it has not parked yet, or `unpark` ends its park.
            self.has_jobs.store(true, Ordering::Relaxed);
            Ok(queue.jobs.len() == 1)
        });
        match is_first {
            Ok(true) => self.unpark.wake_by_ref(),
            Ok(false) => {}
            // Outside of the lock: its drop runs user code.
            Err(job) => drop(job),
        }
    }

    /// Whether there are jobs: a hint without a lock.
    #[inline]
    pub(crate) fn has_jobs(&self) -> bool {
        // Relaxed: the lock orders the jobs themselves.
        self.has_jobs.load(Ordering::Relaxed)
    }

    /// The number of jobs.
    pub(crate) fn len(&self) -> usize {
        self.with_queue(|queue| queue.jobs.len())
    }

    /// Takes all jobs. Home thread only.
    pub(crate) fn take(&self) -> Vec<Box<dyn Job>> {
        self.with_queue(|queue| {
            self.has_jobs.store(false, Ordering::Relaxed);
            mem::take(&mut queue.jobs)
        })
    }

    /// Drops all jobs. Home thread only.
    pub(crate) fn clear(&self) {
        if self.has_jobs() {
            self.take().into_iter().for_each(drop_caught);
        }
    }

    /// Drops all jobs, and rejects later ones. Home thread only.
    pub(crate) fn close(&self) {
        self.with_queue(|queue| queue.is_closed = true);
        self.clear();
    }

    /// No user code runs under the lock.
    fn with_queue<T>(&self, code: impl FnOnce(&mut Queue) -> T) -> T {
        code(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
