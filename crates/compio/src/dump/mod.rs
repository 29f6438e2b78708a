//! Dumps of the tasks of running programs: the operations and timers that each task waits for.
//!
//! A dump reads the records of tasks, operations and timers. It polls nothing, changes nothing, and needs no debug build. Each
//! loop reads its own records when it is asked. A loop that does not answer within a second is busy: its dump has the task
//! that it runs.
//!
//! [`Handle::dump`](crate::runtime::Handle::dump) is for one runtime, and [`all`] for all runtimes of the process. Their
//! `Display` is text, and [`RuntimeDump::to_json`] is JSON. On unix, `signal::unix::print_dumps` prints all dumps when the
//! process gets a signal.
//!
//! ```text
//! runtime 1 on thread "main": 2 tasks
//!   task 1 "echo" (spawned at src/main.rs:20:9): waiting, age 3.2 s, 5 polls, the last 3.2 s ago
//!     recv on fd 12 (tcp 127.0.0.1:8080 -> 127.0.0.1:51230), 3.2 s
//!   task 2 (spawned at src/main.rs:31:9): waiting, age 3.2 s, 1 poll, the last 3.2 s ago
//!     sleep, 1.8 s left
//! ```
//!
//! # Limits
//!
//! A wait belongs to the task that has last polled its future with another waker. Some combinators poll with wakers of their
//! own, as `FuturesUnordered` does. If such a combinator moves to another task, the waits in it belong to the first
//! task until they end.
//!
//! # Granularity
//!
//! Times are those of the loop's clock: the loop reads it after each turn that was allowed to wait, and otherwise after each
//! sixteenth turn. The age of an old task is correct within a sixteenth.

pub(crate) mod json;
mod records;
mod request;
mod text;

pub(crate) use self::{records::Records, request::Requests};
use std::time::Duration;

use compio_driver::os_calls::clock;

pub use compio_executor::TaskState;

use self::request::Request;
use crate::{
    metrics::{self, OpKind, RuntimeMetrics},
    task::Meta,
};

/// The time in which a loop has to answer.
const LIMIT: Duration = Duration::from_secs(1);

/// The dump of one runtime.
#[derive(Clone, Debug)]
pub struct RuntimeDump {
    metrics: RuntimeMetrics,
    content: Content,
}

/// The content of a [`RuntimeDump`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Content {
    /// The loop has answered.
    Tasks(Tasks),
    /// The loop has not answered within a second, or belongs to the thread that waits for the answer.
    Busy(Busy),
    /// The runtime has been dropped.
    Ended,
}

/// The tasks of a runtime that has answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tasks {
    /// The tasks that have not ended, the oldest first: all of them, except in a dump with a [limit](longest_waits).
    pub tasks: Vec<TaskDump>,
    /// The number of tasks beyond the limit of the dump.
    pub omitted: usize,
    /// Waits of no task: of the future of `block_on`, of ended tasks, and operations in flight for which no task waits. The
    /// latter are those of dropped futures, multishot operations between two items, and zero-copy sends that have
    /// returned their results.
    pub other_waits: Vec<Wait>,
}

/// The state of a loop that has not answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Busy {
    /// The task that runs. `None` if the loop runs other code, or does not run.
    pub task: Option<Meta>,
    /// The time since the loop has last read the clock.
    pub since: Duration,
}

/// One task.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskDump {
    /// Its number, its name if it has one, and the place of its spawn.
    pub meta: Meta,
    /// Its state.
    pub state: TaskState,
    /// The time since its spawn.
    pub age: Duration,
    /// The number of its polls.
    pub polls: u64,
    /// The time since its last poll. `None` if it is ready.
    pub since_poll: Option<Duration>,
    /// All its waits, also those inside of combinators. A task without any waits for the waker of another task or thread.
    pub waits: Vec<Wait>,
}

/// One wait.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Wait {
    /// For an operation.
    Operation(OperationWait),
    /// For a timer.
    Timer {
        /// The time until its deadline; zero if it is due.
        left: Duration,
    },
}

/// The wait for an operation in flight.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OperationWait {
    /// Its kind.
    pub kind: OpKind,
    /// Its descriptor, as `fd 12`.
    pub descriptor: Option<String>,
    /// The object of the descriptor, as `tcp 127.0.0.1:8080 -> 127.0.0.1:51230`.
    pub object: Option<String>,
    /// The time since its begin.
    pub since: Duration,
    /// Its place.
    pub place: OperationPlace,
    /// Whether its cancel has been requested.
    pub is_cancelled: bool,
}

/// The place of an operation in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationPlace {
    /// In the kernel.
    Kernel,
    /// In the thread pool, before a thread has begun it.
    Queue,
    /// On a thread of the pool.
    Thread,
}

impl RuntimeDump {
    pub(crate) fn of(metrics: RuntimeMetrics) -> Self {
        Request::new(metrics, usize::MAX).answer(clock::now() + LIMIT)
    }

    /// The counters of the runtime, which continue to change.
    pub fn metrics(&self) -> &RuntimeMetrics {
        &self.metrics
    }

    /// The tasks, or the reason for their absence.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The tasks. Empty if the loop has not answered.
    pub fn tasks(&self) -> &[TaskDump] {
        match &self.content {
            Content::Tasks(tasks) => &tasks.tasks,
            Content::Busy(_) | Content::Ended => &[],
        }
    }

    /// The dump as one JSON object. Times are in seconds.
    pub fn to_json(&self) -> String {
        json::runtime(self)
    }
}

/// The dumps of all runtimes of this process, the oldest first.
///
/// Blocks this thread for a second at most, if a loop does not answer. In a task, [`spawn_blocking`](crate::task::spawn_blocking)
/// spares the other tasks that wait.
pub fn all() -> Vec<RuntimeDump> {
    longest_waits(usize::MAX)
}

/// As [`all`], with at most `max` tasks of each runtime: those that have waited longest since their last polls.
pub fn longest_waits(max: usize) -> Vec<RuntimeDump> {
    let deadline = clock::now() + LIMIT;
    let runtimes = metrics::all().into_iter();
    // All of them, before the first wait.
    let requests: Vec<Request> = runtimes.map(|runtime| Request::new(runtime, max)).collect();
    let answers = requests.into_iter().map(|request| request.answer(deadline));
    answers.collect()
}
