//! A thread pool without threads: the test decides when a job is taken and when it runs.

use super::{Job, ThreadPool};
use crate::request::RawResult;

impl ThreadPool {
    /// A pool that never starts a thread.
    pub(crate) fn by_hand() -> Self {
        Self::with_limit(0)
    }

    /// Takes the job that a thread would take next.
    pub(crate) fn take_job(&self) -> Option<Job> {
        self.shared().lock().queue.pop_front().map(|(job, _)| job)
    }
}

impl Job {
    /// Runs the job, as a thread would.
    pub(crate) fn run(self) {
        // SAFETY: run once; its memory is valid, see `Job`.
        let answer = unsafe { self.execute() };
        self.end(answer);
    }

    /// Completes the job with the result of another kernel.
    pub(crate) fn end(self, answer: RawResult) {
        self.remote.put(self.key, answer);
    }
}
