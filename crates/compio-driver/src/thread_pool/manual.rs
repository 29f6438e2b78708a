//! A pool without threads, for tests: whoever tests says when a job is taken, and when it is run.

use super::{Job, Pool};
use crate::request::Answer;

impl Pool {
    /// One that never starts a thread.
    pub(crate) fn by_hand() -> Self {
        Self::with_limit(0)
    }

    /// What a thread would take next.
    pub(crate) fn take_job(&self) -> Option<Job> {
        self.shared().lock().queue.pop_front()
    }
}

impl Job {
    /// What a thread would do with it.
    pub(crate) fn run(self) {
        // SAFETY: run once; its memory is valid, see `Job`.
        let answer = unsafe { self.execute() };
        self.end(answer);
    }

    /// The same, of something that another kernel has done.
    pub(crate) fn end(self, answer: Answer) {
        self.desk.put(self.key, answer);
    }
}
