//! Requests for the dump of one runtime, and the answer of its loop.
//!
//! ```text
//! any thread --push--> requests --take--> the loop: one dump for all
//!                          |
//!                      give up, after the time limit
//! ```
//!
//! At most one job waits in the loop's queue, whatever the number of requests: a loop that does not run for a long time
//! collects none, and makes no dump for requests that have given up.

use std::{
    mem,
    sync::{
        Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use compio_driver::os_calls::clock;

use super::{Busy, Content, RuntimeDump, Tasks};
use crate::{
    metrics::RuntimeMetrics,
    runtime::{entered_ref, with_current},
};

/// The requests that wait for the loop of one runtime.
#[derive(Default)]
pub(crate) struct Requests {
    waiting: Mutex<Waiting>,
}

/// A request that waits.
struct Waiter {
    number: u64,
    /// The maximum of tasks.
    max: usize,
    answer: Sender<Tasks>,
}

#[derive(Default)]
struct Waiting {
    requests: Vec<Waiter>,
    /// The number of the next request.
    next: u64,
    /// Whether a job is in the loop's queue.
    has_job: bool,
}

impl Requests {
    /// Adds a request. Returns its number, and whether the loop needs a job.
    fn push(&self, max: usize, answer: Sender<Tasks>) -> (u64, bool) {
        let mut waiting = self.lock();
        let number = waiting.next;
        waiting.next += 1;
        waiting.requests.push(Waiter {
            number,
            max,
            answer,
        });
        (number, !mem::replace(&mut waiting.has_job, true))
    }

    /// Removes a request that has given up.
    fn remove(&self, number: u64) {
        let mut waiting = self.lock();
        waiting.requests.retain(|waiter| waiter.number != number);
    }

    /// Takes all requests. The next one needs another job.
    fn take(&self) -> Vec<Waiter> {
        let mut waiting = self.lock();
        waiting.has_job = false;
        mem::take(&mut waiting.requests)
    }

    /// No user code runs under the lock.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The job in the loop's queue. If it is dropped before it has run, the runtime has gone: its requests end without an
/// answer.
struct Job(Option<RuntimeMetrics>);

impl Job {
    /// Answers all requests by one dump.
    fn run(mut self) {
        let Some(metrics) = self.0.take() else { return };
        let mut requests = metrics.requests().take();
        let Some(max) = requests.iter().map(|waiter| waiter.max).max() else {
            return;
        };
        // SAFETY: it is used in this function only.
        let own = unsafe { entered_ref() };
        if let Some(own) = own.filter(|own| own.metrics().is_of(&metrics)) {
            let tasks = own.dump(max);
            // Without a copy for the last one.
            let last = requests.pop();
            for waiter in requests {
                // The requester may have given up since.
                let _ = waiter.answer.send(tasks.clone());
            }
            let _ = last.map(|waiter| waiter.answer.send(tasks));
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(metrics) = &self.0 {
            drop(metrics.requests().take());
        }
    }
}

/// A request for the dump of one runtime.
pub(super) struct Request {
    metrics: RuntimeMetrics,
    number: Option<u64>,
    answer: Receiver<Tasks>,
}

impl Request {
    pub(super) fn new(metrics: RuntimeMetrics, max: usize) -> Self {
        let (send, answer) = mpsc::channel();
        // SAFETY: it is used in this statement only.
        let is_here = unsafe { entered_ref() }.is_some_and(|own| own.metrics().is_of(&metrics));
        let number = if is_here {
            let tasks = with_current(|runtime| runtime.dump(max));
            // The receiver is below.
            let _ = send.send(tasks);
            None
        } else {
            let (number, needs_job) = metrics.requests().push(max, send);
            if needs_job {
                let job = Job(Some(metrics.clone()));
                metrics.spawner().call(move |_| job.run());
            }
            Some(number)
        };
        Self {
            metrics,
            number,
            answer,
        }
    }

    pub(super) fn answer(self, deadline: Instant) -> RuntimeDump {
        let metrics = self.metrics.clone();
        // Another runtime of this thread cannot answer while this thread waits.
        let left = if metrics.thread().id() == thread::current().id() {
            Duration::ZERO
        } else {
            deadline.saturating_duration_since(clock::now())
        };
        let content = match self.answer.recv_timeout(left) {
            Ok(tasks) => Content::Tasks(tasks),
            Err(RecvTimeoutError::Timeout) => Content::Busy(Busy {
                task: metrics.current_task(),
                since: metrics.time_since_turn(),
            }),
            Err(RecvTimeoutError::Disconnected) => Content::Ended,
        };
        RuntimeDump { metrics, content }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.metrics.requests().remove(number);
        }
    }
}
