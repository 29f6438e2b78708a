//! A pool without threads, for tests: whoever tests says when a job is taken, and when it is run.

use std::sync::{Arc, Condvar, Mutex};

use super::{Job, Pool, Shared};
use crate::request::Answer;

impl Pool {
    /// One that never starts a thread.
    pub(crate) fn by_hand() -> Self {
        Self(Arc::new(Shared {
            threads_max: 0,
            state: Mutex::default(),
            work_came: Condvar::new(),
        }))
    }

    /// What a thread would take next.
    pub(crate) fn take_job(&self) -> Option<Job> {
        self.0.lock().queue.pop_front()
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
