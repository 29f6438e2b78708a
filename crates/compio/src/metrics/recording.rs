//! Histograms of latencies and poll times, recorded on request.
//!
//! The loop records into lists of its own. After each turn it moves them to the histograms, whose lock it takes only if it is
//! free: a reader never stops the loop.

use std::{
    cell::{Cell, RefCell},
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use compio_driver::{Driver, OpKind, PerProcess, Process, os_calls::clock};
use compio_executor::{Executor, Tick};

use super::{Histogram, RuntimeMetrics};

/// The number of [`Recording`]s of this process.
static RECORDINGS: PerProcess<AtomicUsize> = PerProcess::new();

/// The maximum of poll times that wait for the histogram's lock. Further ones are lost.
const POLLS_MAX: usize = 1 << 16;

/// Records the latencies of operations and the times of polls, in all runtimes of the process, until the last guard is
/// dropped. The histograms keep their contents, and later recordings add to them.
///
/// A child of `fork` records nothing before it calls this itself.
///
/// A recording costs two readings of the clock for each poll and each turn. It begins in a loop with its next turn.
///
/// ```
/// use compio::{
///     metrics::{self, OpKind},
///     runtime::Runtime,
///     task::spawn_blocking,
/// };
///
/// let _recording = metrics::record_histograms();
/// let runtime = Runtime::new().unwrap();
/// runtime.block_on(async {
///     compio::task::yield_now().await;
///     spawn_blocking(|| {}).await.unwrap();
/// });
/// let latencies = runtime.metrics().latencies(OpKind::Blocking);
/// println!("99 % of the calls took at most {:?}", latencies.quantile(0.99));
/// ```
pub fn record_histograms() -> Recording {
    let recordings = RECORDINGS.get_or_make(AtomicUsize::default);
    // Relaxed, as all accesses: it orders no other access.
    recordings.fetch_add(1, Relaxed);
    Recording {
        process: Process::current(),
    }
}

/// Whether any recording of this process exists.
pub(crate) fn is_recording() -> bool {
    let recordings = RECORDINGS.get();
    recordings.is_some_and(|recordings| recordings.load(Relaxed) > 0)
}

/// Histograms are recorded while it exists: see [`record_histograms`].
#[must_use = "its drop ends the recording"]
pub struct Recording {
    /// The process that it belongs to.
    process: Process,
}

impl Drop for Recording {
    fn drop(&mut self) {
        // In a child of `fork`, it does not count.
        if self.process.is_current()
            && let Some(recordings) = RECORDINGS.get()
        {
            recordings.fetch_sub(1, Relaxed);
        }
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recording")
    }
}

/// The histograms of one runtime, for all threads.
pub(super) struct Histograms {
    content: Mutex<Content>,
}

struct Content {
    /// By kind of operation. `None` for a kind that has none.
    latencies: [Option<Box<Histogram>>; OpKind::ALL.len()],
    polls: Option<Box<Histogram>>,
}

impl Histograms {
    pub(super) fn new() -> Self {
        Self {
            content: Mutex::new(Content {
                latencies: [const { None }; OpKind::ALL.len()],
                polls: None,
            }),
        }
    }

    /// A copy of a histogram.
    fn read(&self, select: impl FnOnce(&Content) -> &Option<Box<Histogram>>) -> Histogram {
        let content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        let histogram = select(&content).as_deref().cloned();
        histogram.unwrap_or_else(Histogram::new)
    }
}

impl RuntimeMetrics {
    /// The latencies of completed operations of a kind, as far as they were [recorded](record_histograms).
    ///
    /// A latency begins with the loop's last reading of the clock before the begin of the operation, and ends after the
    /// turn of its completion. It is zero for an operation that completes at its begin, such as the read of cached data or
    /// the send into an empty buffer. Orphans count, which have no waiting task.
    pub fn latencies(&self, kind: OpKind) -> Histogram {
        self.shared
            .histograms
            .read(|content| &content.latencies[kind as usize])
    }

    /// The durations of the polls of tasks, as far as they were [recorded](record_histograms). The future of a `block_on`
    /// is no task.
    pub fn poll_times(&self) -> Histogram {
        self.shared.histograms.read(|content| &content.polls)
    }
}

/// The part of a recording that belongs to the loop's thread.
#[derive(Default)]
pub(crate) struct Recorder {
    is_recording: Cell<bool>,
    polls: RefCell<Vec<Duration>>,
    /// The completed operations of each kind that have been recorded.
    completed: Cell<[u64; OpKind::ALL.len()]>,
}

impl Recorder {
    #[inline]
    pub(crate) fn is_recording(&self) -> bool {
        self.is_recording.get()
    }

    /// Runs tasks, and records the times of their polls.
    #[cold]
    pub(crate) fn tick(&self, executor: &Executor, budget: usize) -> Tick {
        let mut begin = clock::now();
        executor.tick_with(budget, || {
            let end = clock::now();
            let mut polls = self.polls.borrow_mut();
            if polls.len() < POLLS_MAX {
                polls.push(end.saturating_duration_since(begin));
            }
            begin = end;
        })
    }

    /// After a turn: begins, continues or ends the recording.
    #[inline]
    pub(crate) fn after_turn(&self, driver: &Driver, metrics: &RuntimeMetrics) {
        let is_wanted = is_recording();
        if is_wanted || self.is_recording() {
            self.record_turn(is_wanted, driver, metrics);
        }
    }

    #[cold]
    fn record_turn(&self, is_wanted: bool, driver: &Driver, metrics: &RuntimeMetrics) {
        if self.is_recording.replace(is_wanted) {
            self.flush(driver, metrics);
        } else {
            self.completed.set(completed(metrics));
        }
        driver.set_recording(is_wanted);
    }

    /// Moves the lists to the histograms, if their lock is free.
    fn flush(&self, driver: &Driver, metrics: &RuntimeMetrics) {
        let Ok(mut content) = metrics.shared.histograms.content.try_lock() else {
            return;
        };
        let content = &mut *content;
        let mut noted = [0; OpKind::ALL.len()];
        driver.take_latencies(|kind, micros| {
            noted[kind as usize] += 1;
            let histogram = content.latencies[kind as usize].get_or_insert_with(new);
            histogram.record(Duration::from_micros(micros.into()));
        });
        let (before, now) = (self.completed.get(), completed(metrics));
        self.completed.set(now);
        for index in 0..OpKind::ALL.len() {
            // The others have completed at their begins.
            let at_once = now[index].saturating_sub(before[index] + noted[index]);
            if at_once > 0 {
                let histogram = content.latencies[index].get_or_insert_with(new);
                histogram.record_many(Duration::ZERO, at_once);
            }
        }
        let mut polls = self.polls.borrow_mut();
        if !polls.is_empty() {
            let histogram = content.polls.get_or_insert_with(new);
            polls.drain(..).for_each(|time| histogram.record(time));
        }
    }
}

fn new() -> Box<Histogram> {
    Box::new(Histogram::new())
}

/// The completed operations of each kind.
fn completed(metrics: &RuntimeMetrics) -> [u64; OpKind::ALL.len()] {
    let mut counts = [0; OpKind::ALL.len()];
    for &kind in OpKind::ALL {
        counts[kind as usize] = metrics.operations(kind).completed;
    }
    counts
}
