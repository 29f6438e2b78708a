//! The answers to observers, as lines of JSON.

use std::{
    cell::{Cell, RefCell},
    env,
    fmt::{self, Write},
    path::Path,
    process,
    rc::Rc,
    time::{Duration, Instant},
};

use compio_driver::os_calls::clock;

use crate::{
    dump,
    json::{separate, write_text, write_text_or_null},
    metrics::{self, Histogram, OpKind, RuntimeMetrics},
};

/// The maximum of tasks of one runtime.
const TASKS_MAX: usize = 10_000;

/// The maximum is not made smaller than this.
const TASKS_MIN: usize = 16;

/// The longest line, in bytes.
const LINE_MAX: usize = 16 * 1024 * 1024;

/// The shortest time between two answers of a kind.
const METRICS_INTERVAL: Duration = Duration::from_millis(50);
const TASKS_INTERVAL: Duration = Duration::from_secs(1);

/// The time between two dumps is at least as many times the time of the last one.
const TASKS_REST: u32 = 20;

/// The answers, which all observers share.
pub(super) struct Answers {
    epoch: Instant,
    hello: Rc<str>,
    metrics: RefCell<Latest>,
    tasks: RefCell<Latest>,
    /// The maximum of tasks of one runtime whose answer was short enough.
    tasks_max: Cell<usize>,
}

/// The latest answer of a kind.
struct Latest {
    line: Rc<str>,
    /// The time until which it is sent again.
    until: Instant,
}

impl Answers {
    pub(super) fn new() -> Self {
        let now = clock::now();
        let latest = || {
            RefCell::new(Latest {
                line: "".into(),
                until: now,
            })
        };
        Self {
            epoch: now,
            hello: hello().into(),
            metrics: latest(),
            tasks: latest(),
            tasks_max: Cell::new(TASKS_MAX),
        }
    }

    pub(super) fn hello(&self) -> Rc<str> {
        Rc::clone(&self.hello)
    }

    pub(super) fn metrics(&self) -> Rc<str> {
        self.answer(&self.metrics, METRICS_INTERVAL, 0, |json| {
            begin(json, "metrics", self.epoch);
            write_metrics(json)
        })
    }

    pub(super) fn tasks(&self) -> Rc<str> {
        self.answer(&self.tasks, TASKS_INTERVAL, TASKS_REST, |json| {
            let mut max = self.tasks_max.get();
            loop {
                begin(json, "tasks", self.epoch);
                if write_tasks(json, max) || max <= TASKS_MIN {
                    break;
                }
                json.clear();
                max /= 2;
            }
            // It grows again, for programs whose tasks become fewer.
            self.tasks_max.set((max + max / 8).min(TASKS_MAX));
            Ok(())
        })
    }

    /// The latest answer, or a new one if it is old.
    fn answer(
        &self,
        latest: &RefCell<Latest>,
        interval: Duration,
        rest: u32,
        write: impl FnOnce(&mut String) -> fmt::Result,
    ) -> Rc<str> {
        let mut latest = latest.borrow_mut();
        let begin = clock::now();
        if latest.line.is_empty() || begin >= latest.until {
            let mut json = String::new();
            write(&mut json).expect("a string takes all writes");
            if json.len() > LINE_MAX {
                json = "{\"type\":\"error\",\"message\":\"the answer is too long\"}\n".into();
            }
            latest.line = json.into();
            let end = clock::now();
            let rest = end.saturating_duration_since(begin) * rest;
            latest.until = end + interval.max(rest);
        }
        Rc::clone(&latest.line)
    }
}

fn hello() -> String {
    let path = env::args_os().next().unwrap_or_default();
    let name = Path::new(&path).file_name().unwrap_or_default();
    let (version, id) = (env!("CARGO_PKG_VERSION"), process::id());
    let mut json =
        format!(r#"{{"type":"hello","protocol":1,"version":"{version}","process":{id},"program":"#);
    write_text(&mut json, &name.to_string_lossy());
    json.push_str("}\n");
    json
}

/// The begin of an answer.
fn begin(json: &mut String, name: &str, epoch: Instant) {
    let time = clock::now().saturating_duration_since(epoch).as_secs_f64();
    json.push_str(&format!(r#"{{"type":"{name}","time":{time}"#));
}

/// Writes at most `max` tasks of each runtime. Returns whether the answer is short enough, and ends early if it is not.
fn write_tasks(json: &mut String, max: usize) -> bool {
    json.push_str(r#","runtimes":["#);
    for (index, dump) in dump::longest_waits(max).into_iter().enumerate() {
        separate(json, index);
        json.push_str(&dump.to_json());
        if json.len() > LINE_MAX {
            return false;
        }
    }
    json.push_str("]}\n");
    json.len() <= LINE_MAX
}

fn write_metrics(json: &mut String) -> fmt::Result {
    let is_recording = metrics::recording::is_recording();
    write!(json, r#","recording":{is_recording},"runtimes":["#)?;
    let runtimes = metrics::all();
    for (index, runtime) in runtimes.iter().enumerate() {
        separate(json, index);
        write_runtime(json, runtime)?;
    }
    json.push_str(r#"],"pools":["#);
    for (index, pool) in metrics::pools(&runtimes).iter().enumerate() {
        separate(json, index);
        let (name, stats) = (&pool.name, pool.stats);
        let (threads, idle, queued) = (stats.threads, stats.idle, stats.queued);
        write!(
            json,
            r#"{{"pool":"{name}","threads":{threads},"idle":{idle},"queued":{queued}}}"#
        )?;
    }
    json.push_str("]}\n");
    Ok(())
}

fn write_runtime(json: &mut String, runtime: &RuntimeMetrics) -> fmt::Result {
    write!(
        json,
        r#"{{"runtime":{},"thread":"#,
        runtime.runtime_number()
    )?;
    write_text_or_null(json, runtime.thread().name());
    json.push_str(r#","cpu":"#);
    match runtime.cpu_time() {
        Some(time) => write!(json, "{}", time.as_secs_f64())?,
        None => json.push_str("null"),
    }
    let since = runtime.time_since_turn().as_secs_f64();
    write!(json, r#","since_turn":{since},"current_task":"#)?;
    match runtime.current_task() {
        Some(task) => dump::json::task(json, &task)?,
        None => json.push_str("null"),
    }
    write!(
        json,
        r#","tasks":{{"alive":{},"spawned":{},"finished":{},"panicked":{},"ready":{},"sent":{}}}"#,
        runtime.num_alive_tasks(),
        runtime.spawned_tasks_count(),
        runtime.finished_tasks_count(),
        runtime.panicked_tasks_count(),
        runtime.local_queue_depth(),
        runtime.remote_queue_depth(),
    )?;
    let connections = runtime.connections();
    let counts = [
        ("polls", runtime.poll_count()),
        ("remote_wakes", runtime.remote_schedule_count()),
        ("turns", runtime.turn_count()),
        ("parks", runtime.park_count()),
        ("enters", runtime.enter_count()),
        ("spins", runtime.spin_count()),
        ("spin_hits", runtime.spin_hit_count()),
        ("timers", runtime.num_timers() as u64),
    ];
    for (name, count) in counts {
        write!(json, r#","{name}":{count}"#)?;
    }
    let (open, accepted) = (connections.open, connections.accepted);
    write!(
        json,
        r#","connections":{{"open":{open},"accepted":{accepted}}},"operations":["#
    )?;
    write_operations(json, runtime)?;
    json.push_str(r#"],"poll_times":"#);
    write_histogram(json, &runtime.poll_times())?;
    let pools = runtime.buffer_pools();
    let buffers: usize = pools.iter().map(|pool| pool.buffers).sum();
    let handed_out: usize = pools.iter().map(|pool| pool.handed_out).sum();
    let (pools, free) = (pools.len(), buffers.saturating_sub(handed_out));
    write!(
        json,
        r#","buffer_pools":{{"pools":{pools},"buffers":{buffers},"free":{free}}}}}"#
    )
}

fn write_operations(json: &mut String, runtime: &RuntimeMetrics) -> fmt::Result {
    let mut written = 0;
    for &kind in OpKind::ALL {
        let stats = runtime.operations(kind);
        if stats.completed == 0 && stats.in_flight == 0 {
            continue;
        }
        separate(json, written);
        written += 1;
        write!(
            json,
            r#"{{"kind":"{kind}","in_flight":{},"completed":{},"errors":{},"bytes":{},"latency":"#,
            stats.in_flight, stats.completed, stats.errors, stats.bytes,
        )?;
        write_histogram(json, &runtime.latencies(kind))?;
        json.push('}');
    }
    Ok(())
}

/// `null` for an empty histogram.
fn write_histogram(json: &mut String, histogram: &Histogram) -> fmt::Result {
    if histogram.count() == 0 {
        json.push_str("null");
        return Ok(());
    }
    write!(
        json,
        r#"{{"sum_ns":{},"buckets":["#,
        histogram.sum().as_nanos()
    )?;
    for (index, (longest, count)) in histogram.buckets().enumerate() {
        separate(json, index);
        write!(json, "[{},{count}]", longest.as_nanos())?;
    }
    json.push_str("]}");
    Ok(())
}
