//! Records to dumps: each wait to its task, by its tag.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use compio_driver::{
    OpRecord,
    os_calls::{clock, describe},
};
use compio_executor::TaskRecord;

use super::{OperationPlace, OperationWait, TaskDump, Tasks, Wait};
use crate::{metrics::RuntimeMetrics, task::Id};

/// How long a loop may describe the objects of descriptors. Others have their numbers only.
const DESCRIBE_MAX: Duration = Duration::from_millis(30);

/// The records of one runtime.
pub(crate) struct Records {
    /// The number of tasks without a record.
    pub(crate) omitted: usize,
    pub(crate) tasks: Vec<TaskRecord>,
    pub(crate) operations: Vec<OpRecord>,
    /// Tag and remaining time.
    pub(crate) timers: Vec<(u32, Duration)>,
}

impl Records {
    /// The operations are still in flight.
    pub(crate) fn into_tasks(self, metrics: &RuntimeMetrics) -> Tasks {
        let now = clock::now();
        let count = self.operations.len() + self.timers.len();
        let mut waits: HashMap<u32, Vec<Wait>> = HashMap::with_capacity(count);
        let mut add = |tag, wait| {
            // Most tasks have one wait, and the first push to an empty list makes room for four.
            let waits = waits.entry(tag).or_insert_with(|| Vec::with_capacity(1));
            waits.push(wait);
        };
        // An unknown tag may be of a task without a record.
        let wanted: Option<HashSet<u32>> = (self.omitted > 0).then(|| {
            let tags = self.tasks.iter().map(|task| tag_of(task.meta.id()));
            tags.chain([0]).collect()
        });
        let is_wanted = |tag: &u32| wanted.as_ref().is_none_or(|wanted| wanted.contains(tag));
        let mut other_waits = Vec::new();
        let mut may_describe = true;
        let operations = self
            .operations
            .into_iter()
            .filter(|operation| !operation.has_waiter || is_wanted(&operation.tag));
        for (index, operation) in operations.enumerate() {
            if index % 64 == 63 {
                may_describe = clock::now() < now + DESCRIBE_MAX;
            }
            let wait = Wait::Operation(wait_for(&operation, metrics, now, may_describe));
            if operation.has_waiter {
                add(operation.tag, wait);
            } else {
                other_waits.push(wait);
            }
        }
        for (tag, left) in self.timers.into_iter().filter(|(tag, _)| is_wanted(tag)) {
            add(tag, Wait::Timer { left });
        }
        let tasks = self.tasks.into_iter().map(|task| TaskDump {
            waits: waits.remove(&tag_of(task.meta.id())).unwrap_or_default(),
            age: metrics.age(Duration::from_millis(task.spawned_at), now),
            since_poll: task
                .polled_at
                .map(|moment| metrics.age(Duration::from_millis(moment), now)),
            polls: task.polls,
            state: task.state,
            meta: task.meta,
        });
        let tasks = tasks.collect();
        other_waits.extend(waits.into_values().flatten());
        Tasks {
            tasks,
            omitted: self.omitted,
            other_waits,
        }
    }
}

/// The tag of a task's operations and timers.
fn tag_of(id: Id) -> u32 {
    id.number() as u32
}

fn wait_for(
    operation: &OpRecord,
    metrics: &RuntimeMetrics,
    now: Instant,
    may_describe: bool,
) -> OperationWait {
    let fd = operation.fd;
    OperationWait {
        kind: operation.kind,
        descriptor: fd.map(describe::number),
        // SAFETY: the operation is in flight, and keeps its descriptor open. Nothing has turned the driver since its
        // record was made.
        object: fd
            .filter(|_| may_describe)
            .and_then(|fd| unsafe { describe::describe(fd) }),
        since: metrics.age(Duration::from_micros(operation.begun_at), now),
        place: match (operation.is_in_thread_pool, operation.is_queued) {
            (false, _) => OperationPlace::Kernel,
            (true, true) => OperationPlace::Queue,
            (true, false) => OperationPlace::Thread,
        },
        is_cancelled: operation.is_cancel_requested,
    }
}
