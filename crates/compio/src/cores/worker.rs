//! The thread of one worker: its start, its loop, and its end.

use std::{
    any::Any,
    io,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{Arc, mpsc::Sender},
    time::Duration,
};

use compio_driver::os_calls::{clock, cpu};
use compio_io::panics::discard;

use super::{
    builder::{Hook, Hooks},
    shared::{Entry, Phase, Shared},
    workers::{Member, with_member},
};
use crate::runtime::{Runtime, RuntimeBuilder, Work};

/// The settings of a worker that has not started.
pub(super) struct Start {
    pub(super) shared: Arc<Shared>,
    pub(super) index: usize,
    pub(super) runtime: RuntimeBuilder,
    /// The CPU to run on, if the thread is pinned.
    pub(super) cpu: Option<usize>,
    pub(super) hooks: Hooks,
}

impl Start {
    /// The code of the worker's thread. It reports its start once, and runs until all work is done.
    pub(super) fn run(self, started: Sender<io::Result<()>>) {
        let (shared, index) = (Arc::clone(&self.shared), self.index);
        let failure = |payload: Box<dyn Any + Send>| {
            let failure = format!("worker {index} panicked: {}", message(&*payload));
            discard(payload);
            failure
        };
        let start = catch_unwind(AssertUnwindSafe(|| self.start()))
            .unwrap_or_else(|payload| Err(io::Error::other(failure(payload))));
        let (worker, report) = match start {
            Ok(worker) => (Some(worker), Ok(())),
            Err(error) => (None, Err(error)),
        };
        // The builder waits for exactly one report of each thread.
        let _ = started.send(report);
        drop(started);
        let end = catch_unwind(AssertUnwindSafe(|| worker.map_or(0, Worker::run)));
        match end {
            Ok(cancelled) => shared.record_end(index, cancelled, None),
            Err(payload) => shared.record_end(index, 0, Some(failure(payload))),
        }
    }

    /// Makes the worker on this thread.
    pub(super) fn start(self) -> io::Result<Worker> {
        let Self {
            shared,
            index,
            runtime,
            cpu,
            hooks,
        } = self;
        if let Some(cpu) = cpu {
            cpu::confine(&[cpu]).map_err(|error| {
                let message = format!("worker {index} cannot run on CPU {cpu}: {error}");
                io::Error::new(error.kind(), message)
            })?;
        }
        let runtime = runtime.build()?;
        let member = Member::new(&shared, index);
        runtime.enter(|| call(hooks.on_start.as_ref(), index));
        let entry = Entry {
            runtime: runtime.handle(),
            unpark: runtime.inner().waker(),
        };
        let is_first = shared.slots[index].entry.set(entry).is_ok();
        assert!(is_first, "a worker starts once");
        let token = Token {
            shared,
            is_held: true,
        };
        Ok(Worker {
            runtime,
            token,
            index,
            hooks,
            member,
        })
    }
}

fn call(hook: Option<&Hook>, index: usize) {
    if let Some(hook) = hook {
        hook(index);
    }
}

/// The message of a panic, if it is text.
fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// A worker on its thread.
pub(super) struct Worker {
    // Dropped in this order: the destructors of tasks find the workers.
    runtime: Runtime,
    token: Token,
    index: usize,
    hooks: Hooks,
    member: Member,
}

/// Wakes the tasks of this worker that wait for the shutdown.
fn set_draining() {
    if let Some(signal) = with_member(|member| Rc::clone(&member.signal)) {
        signal.set();
    }
}

impl Worker {
    pub(super) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Runs tasks until all work of all workers is done, or the time limit is over. Returns the number of
    /// tasks that it cancels.
    pub(super) fn run(self) -> usize {
        let Self {
            runtime,
            mut token,
            index,
            hooks,
            member,
        } = self;
        runtime.inner().run_while(|work| {
            let plan = token.plan(&work);
            if token.shared.phase() != Phase::Running {
                set_draining();
            }
            plan
        });
        let cancelled = runtime.inner().task_count();
        drop(runtime);
        call(hooks.on_stop.as_ref(), index);
        drop(member);
        cancelled
    }
}

/// The worker's token: see [`shared`](super::shared).
struct Token {
    shared: Arc<Shared>,
    is_held: bool,
}

impl Token {
    /// Whether the loop continues, and its longest wait.
    fn plan(&mut self, work: &Work) -> ControlFlow<(), Option<Duration>> {
        match self.shared.phase() {
            Phase::Running => return ControlFlow::Continue(None),
            Phase::Draining => {}
            Phase::Cancelling => return ControlFlow::Break(()),
        }
        if work.has_ready || work.tasks > 0 {
            self.hold();
        } else {
            self.release();
            if !self.shared.has_tokens() {
                return ControlFlow::Break(());
            }
        }
        let Some(deadline) = self.shared.deadline() else {
            return ControlFlow::Continue(None);
        };
        match deadline.saturating_duration_since(clock::now()) {
            Duration::ZERO => ControlFlow::Break(()),
            left => ControlFlow::Continue(Some(left)),
        }
    }

    fn hold(&mut self) {
        if !self.is_held {
            self.is_held = true;
            self.shared.take_token();
        }
    }

    fn release(&mut self) {
        if self.is_held {
            self.is_held = false;
            self.shared.return_token();
        }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.release();
    }
}
