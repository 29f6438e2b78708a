//! The latest data of the program, with the metrics before them for rates.

use std::{collections::HashMap, sync::Arc};

use crate::protocol::{Hello, Message, Metrics, Operations, Runtime, Tasks};

/// The data that the screens show. A clone is cheap.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The observed process.
    pub hello: Option<Arc<Hello>>,
    /// The latest metrics.
    pub metrics: Option<Arc<Metrics>>,
    /// The metrics before the latest.
    pub previous: Option<Arc<Metrics>>,
    /// The latest tasks.
    pub tasks: Option<Arc<Tasks>>,
}

impl Model {
    /// Takes a line of the program. The data of another process are dropped.
    pub fn apply(&mut self, message: Message) {
        match message {
            Message::Hello(hello) => {
                if self.hello.as_deref() != Some(&hello) {
                    *self = Self::default();
                }
                self.hello = Some(Arc::new(hello));
            }
            Message::Metrics(metrics) => {
                self.previous = self.metrics.replace(Arc::new(metrics));
            }
            Message::Tasks(tasks) => self.tasks = Some(Arc::new(tasks)),
            Message::Done | Message::Error(_) => {}
        }
    }

    /// The numbers of the runtimes, in the order of the program.
    pub fn runtimes(&self) -> Vec<u64> {
        let runtimes = self.metrics.iter().flat_map(|metrics| &metrics.runtimes);
        runtimes.map(|runtime| runtime.runtime).collect()
    }

    /// The changes between the last two metrics.
    pub(crate) fn rates(&self) -> Rates<'_> {
        let older = self.previous.as_deref();
        let seconds = self
            .metrics
            .as_ref()
            .zip(older)
            .map(|(newer, older)| newer.time - older.time)
            .filter(|seconds| seconds.is_finite() && *seconds > 0.0);
        let runtimes = older.into_iter().flat_map(|older| &older.runtimes);
        Rates {
            seconds,
            older: runtimes.map(|older| (older.runtime, older)).collect(),
        }
    }
}

/// The changes between two metrics.
pub(crate) struct Rates<'a> {
    /// The length of the interval. `None` without a valid interval.
    seconds: Option<f64>,
    older: HashMap<u64, &'a Runtime>,
}

impl<'a> Rates<'a> {
    /// The older counters of a runtime. `None` if it is new.
    pub(crate) fn older(&self, runtime: &Runtime) -> Option<&'a Runtime> {
        self.seconds?;
        self.older.get(&runtime.runtime).copied()
    }

    /// The rate of a counter of a runtime.
    pub(crate) fn of(&self, newer: &Runtime, counter: impl Fn(&Runtime) -> u64) -> Option<f64> {
        self.per_second(counter(newer), counter(self.older(newer)?))
    }

    /// The rate of a counter.
    pub(crate) fn per_second(&self, newer: u64, older: u64) -> Option<f64> {
        Some(newer.saturating_sub(older) as f64 / self.seconds?)
    }

    /// The share of a CPU that a runtime's thread used.
    pub(crate) fn cpu(&self, newer: &Runtime) -> Option<f64> {
        let used = newer.cpu? - self.older(newer)?.cpu?;
        Some(used.max(0.0) / self.seconds?)
    }
}

/// Sums over all kinds of operations.
pub(crate) fn completed(runtime: &Runtime) -> u64 {
    sum(runtime, |kind| kind.completed)
}

pub(crate) fn bytes(runtime: &Runtime) -> u64 {
    sum(runtime, |kind| kind.bytes)
}

fn sum(runtime: &Runtime, counter: impl Fn(&Operations) -> u64) -> u64 {
    let kinds = runtime.operations.iter().map(counter);
    kinds.fold(0, u64::saturating_add)
}
