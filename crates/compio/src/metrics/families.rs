//! The names, units and descriptions of the exported counters, and their values at one moment.
//!
//! [`text`](super::text) and `Publisher` read them.

use std::time::Duration;

use compio_driver::{BufferPoolStats, OpKind, OpStats, PoolStats};

#[cfg(feature = "histograms")]
use super::Histogram;
use super::{RuntimeMetrics, pools};

/// Samples of one name, which differ in their labels.
pub(super) struct Family<T: 'static> {
    /// By the conventions of Prometheus: with the unit, and `_total` at the end of the name of a counter.
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    /// In the plural, or empty.
    pub(super) unit: &'static str,
    pub(super) read: Read<T>,
}

/// The type of a family, with the function that reads a value of it.
pub(super) enum Read<T: 'static> {
    Counter(fn(&T) -> u64),
    /// A counter of seconds, which some systems do not have.
    Time(fn(&T) -> Option<Duration>),
    Gauge(fn(&T) -> f64),
    #[cfg(feature = "histograms")]
    Histogram(fn(&T) -> &Histogram),
}

impl<T> Family<T> {
    const fn counter(name: &'static str, help: &'static str, read: fn(&T) -> u64) -> Self {
        Self {
            name,
            help,
            unit: "",
            read: Read::Counter(read),
        }
    }

    const fn gauge(name: &'static str, help: &'static str, read: fn(&T) -> f64) -> Self {
        Self {
            name,
            help,
            unit: "",
            read: Read::Gauge(read),
        }
    }

    const fn time(
        name: &'static str,
        help: &'static str,
        read: fn(&T) -> Option<Duration>,
    ) -> Self {
        Self {
            name,
            help,
            unit: "seconds",
            read: Read::Time(read),
        }
    }

    #[cfg(feature = "histograms")]
    const fn histogram(name: &'static str, help: &'static str, read: fn(&T) -> &Histogram) -> Self {
        Self {
            name,
            help,
            unit: "seconds",
            read: Read::Histogram(read),
        }
    }

    const fn with_unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }
}

const RUNTIMES: &[Family<RuntimeMetrics>] = &[
    Family::gauge(
        "compio_tasks_alive",
        "Tasks that have not ended.",
        |runtime| runtime.num_alive_tasks() as f64,
    ),
    Family::counter(
        "compio_tasks_spawned_total",
        "Tasks that have been spawned.",
        RuntimeMetrics::spawned_tasks_count,
    ),
    Family::counter(
        "compio_tasks_finished_total",
        "Tasks that have ended, by completion, panic or abort.",
        RuntimeMetrics::finished_tasks_count,
    ),
    Family::counter(
        "compio_tasks_panicked_total",
        "Tasks that have ended by a panic.",
        RuntimeMetrics::panicked_tasks_count,
    ),
    Family::gauge(
        "compio_tasks_ready",
        "Tasks that are ready to run, with the one that runs.",
        |runtime| runtime.local_queue_depth() as f64,
    ),
    Family::gauge(
        "compio_remote_queue_length",
        "Tasks of other threads that the event loop has not seen.",
        |runtime| runtime.remote_queue_depth() as f64,
    ),
    Family::counter(
        "compio_task_polls_total",
        "Polls of tasks.",
        RuntimeMetrics::poll_count,
    ),
    Family::counter(
        "compio_task_remote_wakes_total",
        "Wakes of tasks by other threads.",
        RuntimeMetrics::remote_schedule_count,
    ),
    Family::gauge("compio_timers", "Timers that are set.", |runtime| {
        runtime.num_timers() as f64
    }),
    Family::gauge(
        "compio_connections_open",
        "Connections that are served.",
        |runtime| runtime.connections().open as f64,
    ),
    Family::counter(
        "compio_connections_accepted_total",
        "Connections whose service has begun.",
        |runtime| runtime.connections().accepted,
    ),
    Family::gauge(
        "compio_receive_buffers",
        "Buffers of the pools for receives.",
        |runtime| sum(runtime, |pool| pool.buffers),
    ),
    Family::gauge(
        "compio_receive_buffers_handed_out",
        "Buffers of the pools for receives that tasks have.",
        |runtime| sum(runtime, |pool| pool.handed_out),
    ),
    Family::counter(
        "compio_turns_total",
        "Turns of the event loop.",
        RuntimeMetrics::turn_count,
    ),
    Family::counter(
        "compio_parks_total",
        "Turns that were allowed to wait.",
        RuntimeMetrics::park_count,
    ),
    Family::counter(
        "compio_enters_total",
        "System calls that submit operations or wait for completions.",
        RuntimeMetrics::enter_count,
    ),
    Family::counter(
        "compio_spins_total",
        "Waits that have begun with a spin.",
        RuntimeMetrics::spin_count,
    ),
    Family::counter(
        "compio_spin_hits_total",
        "Waits that a completion has ended during the spin.",
        RuntimeMetrics::spin_hit_count,
    ),
    Family::gauge(
        "compio_time_since_turn_seconds",
        "Time since the event loop has last read its clock. It grows while the loop waits and while a poll lasts.",
        |runtime: &RuntimeMetrics| runtime.time_since_turn().as_secs_f64(),
    )
    .with_unit("seconds"),
    Family::time(
        "compio_cpu_seconds_total",
        "CPU time of the thread of the event loop.",
        RuntimeMetrics::cpu_time,
    ),
];

fn sum(runtime: &RuntimeMetrics, count: impl Fn(&BufferPoolStats) -> usize) -> f64 {
    let pools = runtime.buffer_pools();
    pools.iter().map(count).sum::<usize>() as f64
}

const OPERATIONS: &[Family<OpStats>] = &[
    Family::counter(
        "compio_operations_total",
        "Operations that have completed, with success or with an error.",
        |operations| operations.completed,
    ),
    Family::counter(
        "compio_operation_errors_total",
        "Operations that have failed. Cancelled ones count.",
        |operations| operations.errors,
    ),
    Family::gauge(
        "compio_operations_in_flight",
        "Operations that have begun and not completed.",
        |operations| operations.in_flight as f64,
    ),
];

/// For kinds of operations that move bytes.
const BYTES: &[Family<OpStats>] = &[Family::counter(
    "compio_operation_bytes_total",
    "Bytes that operations have moved.",
    |operations: &OpStats| operations.bytes,
)
.with_unit("bytes")];

#[cfg(feature = "histograms")]
const LATENCIES: &[Family<Histogram>] = &[Family::histogram(
    "compio_operation_latency_seconds",
    "Times between the begins and the completions of operations.",
    |histogram| histogram,
)];

#[cfg(feature = "histograms")]
const POLL_TIMES: &[Family<Histogram>] = &[Family::histogram(
    "compio_task_poll_duration_seconds",
    "Durations of the polls of tasks.",
    |histogram| histogram,
)];

const POOLS: &[Family<PoolStats>] = &[
    Family::gauge(
        "compio_blocking_threads",
        "Threads of the pool for blocking work, with the idle ones.",
        |pool| pool.threads as f64,
    ),
    Family::gauge(
        "compio_blocking_idle_threads",
        "Threads of the pool for blocking work that wait for work.",
        |pool| pool.idle as f64,
    ),
    Family::gauge(
        "compio_blocking_queue_length",
        "Blocking work that waits for a thread.",
        |pool| pool.queued as f64,
    ),
    Family::counter(
        "compio_blocking_begun_total",
        "Blocking work that a thread has begun.",
        |pool| pool.begun,
    ),
    Family::time(
        "compio_blocking_wait_seconds_total",
        "Sum of the times that blocking work has waited for its thread.",
        |pool| Some(pool.waited),
    ),
];

/// The source of a sample. Two samples of a family have different sources.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// The runtime with this number.
    Runtime(u64),
    /// The operations of this runtime and kind.
    Operations(u64, OpKind),
    /// The pool of this runtime, or the global one.
    Pool(Option<u64>),
}

/// Values of one source, with their labels.
pub(super) struct Labelled<T> {
    #[cfg_attr(
        not(any(feature = "metrics", feature = "histograms")),
        expect(dead_code, reason = "only `Publisher` keeps samples")
    )]
    pub(super) source: Source,
    pub(super) labels: Vec<(&'static str, String)>,
    pub(super) values: T,
}

/// Reads families with their samples.
pub(super) trait Visitor {
    /// There may be no samples.
    fn visit<T>(&mut self, family: &Family<T>, samples: &[Labelled<T>]);
}

/// The counters of several runtimes.
///
/// Each runtime and each kind of operation is read once, or the errors of a kind could exceed its operations.
#[derive(Default)]
pub(super) struct Snapshot {
    runtimes: Vec<Labelled<RuntimeMetrics>>,
    /// Without kinds that have no operation yet.
    operations: Vec<Labelled<OpStats>>,
    bytes: Vec<Labelled<OpStats>>,
    pools: Vec<Labelled<PoolStats>>,
    /// Without empty histograms.
    #[cfg(feature = "histograms")]
    latencies: Vec<Labelled<Histogram>>,
    #[cfg(feature = "histograms")]
    poll_times: Vec<Labelled<Histogram>>,
}

impl Snapshot {
    pub(super) fn new(runtimes: &[RuntimeMetrics]) -> Self {
        let mut snapshot = Self::default();
        for runtime in runtimes {
            snapshot.add_runtime(runtime);
        }
        snapshot.pools = pools(runtimes)
            .into_iter()
            .map(|pool| Labelled {
                source: Source::Pool(pool.owner),
                labels: vec![("pool", pool.name)],
                values: pool.stats,
            })
            .collect();
        snapshot
    }

    fn add_runtime(&mut self, runtime: &RuntimeMetrics) {
        let number = runtime.runtime_number();
        let labels = vec![
            ("runtime", number.to_string()),
            ("thread", runtime.thread().name().unwrap_or("").to_owned()),
        ];
        for &kind in OpKind::ALL {
            let values = runtime.operations(kind);
            if values.completed == 0 && values.in_flight == 0 {
                continue;
            }
            let of_kind = || Labelled {
                source: Source::Operations(number, kind),
                labels: [labels.as_slice(), &[("kind", kind.name().to_owned())]].concat(),
                values,
            };
            self.operations.push(of_kind());
            if kind.moves_bytes() {
                self.bytes.push(of_kind());
            }
            #[cfg(feature = "histograms")]
            add_histogram(&mut self.latencies, runtime.latencies(kind), of_kind());
        }
        #[cfg(feature = "histograms")]
        add_histogram(
            &mut self.poll_times,
            runtime.poll_times(),
            Labelled {
                source: Source::Runtime(number),
                labels: labels.clone(),
                values: (),
            },
        );
        self.runtimes.push(Labelled {
            source: Source::Runtime(number),
            labels,
            values: runtime.clone(),
        });
    }

    /// Passes all families, each once.
    pub(super) fn visit(&self, visitor: &mut impl Visitor) {
        visit_all(visitor, RUNTIMES, &self.runtimes);
        visit_all(visitor, OPERATIONS, &self.operations);
        visit_all(visitor, BYTES, &self.bytes);
        visit_all(visitor, POOLS, &self.pools);
        #[cfg(feature = "histograms")]
        {
            visit_all(visitor, LATENCIES, &self.latencies);
            visit_all(visitor, POLL_TIMES, &self.poll_times);
        }
    }
}

/// Adds a histogram that is not empty, with the labels of another sample.
#[cfg(feature = "histograms")]
fn add_histogram<T>(
    samples: &mut Vec<Labelled<Histogram>>,
    values: Histogram,
    labelled: Labelled<T>,
) {
    if values.count() > 0 {
        samples.push(Labelled {
            source: labelled.source,
            labels: labelled.labels,
            values,
        });
    }
}

fn visit_all<T>(visitor: &mut impl Visitor, families: &[Family<T>], samples: &[Labelled<T>]) {
    for family in families {
        visitor.visit(family, samples);
    }
}
