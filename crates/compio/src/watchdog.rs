//! A watchdog: a thread that reports tasks which do not return from a poll, and programs that can make no progress.
//!
//! It is off by default. [`Watchdog::start`] starts it for all runtimes of the process. It reads their counters, and touches
//! neither the loops nor their tasks.
//!
//! ```
//! use std::{sync::mpsc, time::Duration};
//!
//! use compio::watchdog::{Report, Watchdog};
//!
//! let (send, reports) = mpsc::channel();
//! let watchdog = Watchdog::builder()
//!     .poll_limit(Duration::from_millis(10))
//!     .on_report(move |report: &Report| drop(send.send(report.to_string())))
//!     .start()
//!     .unwrap();
//! compio::task::block_on(async {
//!     let stuck = compio::task::spawn(async move {
//!         // Blocks its thread until the watchdog has seen it.
//!         let report = reports.recv().unwrap();
//!         assert!(report.contains("has not returned from a poll"), "{report}");
//!     });
//!     stuck.await.unwrap();
//! });
//! drop(watchdog);
//! ```
//!
//! # Precision
//!
//! The watchdog looks twice in the time of its limit. So a reported poll has taken longer than the limit, and a poll is
//! reported surely if it takes longer than one and a half limits. The future of a `block_on` is no task: its polls are not
//! watched. There is no backtrace of the stuck thread: unwinding in a signal handler is not sound.

use std::{
    collections::HashMap,
    fmt, io,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use compio_driver::os_calls::{clock, cpu::CpuTime};

use crate::{
    metrics::{RuntimeMetrics, all},
    task::{Id, Meta},
};

/// The default of [`Builder::poll_limit`].
const POLL_LIMIT: Duration = Duration::from_millis(100);

/// The default of [`Builder::idle_limit`].
const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// The maximum of reports of one runtime in [`PERIOD`].
const REPORTS_MAX: u32 = 5;
const PERIOD: Duration = Duration::from_secs(60);

/// A running watchdog. Its drop stops it.
#[derive(Debug)]
pub struct Watchdog {
    /// Its drop ends the thread.
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Starts a watchdog that prints its reports to the standard error, with a limit of 100 ms.
    ///
    /// # Errors
    ///
    /// As [`Builder::start`].
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// The settings.
    pub fn builder() -> Builder {
        Builder {
            poll_limit: POLL_LIMIT,
            idle_limit: Some(IDLE_LIMIT),
            on_report: Box::new(|report| eprintln!("compio: {report}")),
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop.take();
        let thread = self.thread.take();
        // A report may drop the watchdog.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id())
        {
            // A panic of `on_report` has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// The settings of a [`Watchdog`].
pub struct Builder {
    poll_limit: Duration,
    idle_limit: Option<Duration>,
    on_report: Box<dyn FnMut(&Report) + Send>,
}

impl Builder {
    /// The time that a poll may take. 100 ms by default, and 1 ms at least.
    #[must_use]
    pub fn poll_limit(mut self, limit: Duration) -> Self {
        self.poll_limit = limit.max(Duration::from_millis(1));
        self
    }

    /// The time after which a runtime is reported whose tasks all wait, without an operation in flight or a timer. 10 seconds
    /// by default. `None` is never.
    #[must_use]
    pub fn idle_limit(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.idle_limit = limit.into();
        self
    }

    /// Takes each report, on the thread of the watchdog. By default, it is printed to the standard error. There are at most
    /// five reports of a runtime in a minute.
    #[must_use]
    pub fn on_report(mut self, on_report: impl FnMut(&Report) + Send + 'static) -> Self {
        self.on_report = Box::new(on_report);
        self
    }

    /// Starts the thread, named `compio-watchdog`.
    ///
    /// # Errors
    ///
    /// The OS error if no thread can be started.
    pub fn start(self) -> io::Result<Watchdog> {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name("compio-watchdog".into());
        let thread = thread.spawn(move || watch(self, &stopped))?;
        Ok(Watchdog {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("poll_limit", &self.poll_limit)
            .field("idle_limit", &self.idle_limit)
            .finish_non_exhaustive()
    }
}

/// An observation of a [`Watchdog`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Report {
    /// A task has not returned from a poll.
    LongPoll(LongPoll),
    /// All tasks of a runtime wait, no operation is in flight, and no timer is set. Only another thread can wake a task.
    PossibleDeadlock {
        /// The counters of the runtime.
        runtime: RuntimeMetrics,
        /// The number of tasks.
        tasks: usize,
    },
}

/// A poll that takes too long.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LongPoll {
    /// The counters of the runtime.
    pub runtime: RuntimeMetrics,
    /// The task.
    pub task: Meta,
    /// The poll has taken at least this time.
    pub elapsed: Duration,
    /// How its thread has spent the time. On Linux only.
    pub thread: Option<ThreadUse>,
}

/// The use of a time by a thread.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ThreadUse {
    /// The thread ran.
    pub ran: Duration,
    /// The thread was ready to run, and had no CPU: other threads or other machines had it.
    pub starved: Duration,
    /// The number of the system call in which the thread is.
    pub system_call: Option<u32>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LongPoll(poll) => poll.fmt(f),
            Self::PossibleDeadlock { runtime, tasks } => write!(
                f,
                "possible deadlock: all {tasks} tasks of {} wait, no operation is in flight, and no timer is set: only \
                 another thread can wake a task",
                Name(runtime)
            ),
        }
    }
}

impl fmt::Display for LongPoll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} has not returned from a poll for {} ms",
            self.task,
            Name(&self.runtime),
            self.elapsed.as_millis()
        )?;
        let Some(thread) = &self.thread else {
            return Ok(());
        };
        let (ran, starved) = (thread.ran.as_millis(), thread.starved.as_millis());
        write!(f, "; its thread ran for {ran} ms")?;
        if starved > 0 {
            write!(f, " and waited for a CPU for {starved} ms")?;
        }
        match thread.system_call {
            Some(number) => write!(f, ", and is in system call {number}"),
            None => Ok(()),
        }
    }
}

/// The name of a runtime.
struct Name<'a>(&'a RuntimeMetrics);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "runtime {}", self.0.runtime_number())?;
        match self.0.thread().name() {
            Some(name) => write!(f, " on thread {name:?}"),
            None => Ok(()),
        }
    }
}

/// The thread of the watchdog.
fn watch(mut settings: Builder, stopped: &mpsc::Receiver<()>) {
    let interval = settings.poll_limit / 2;
    let mut watched: HashMap<u64, Watched> = HashMap::new();
    let mut last = clock::now();
    while stopped.recv_timeout(interval) == Err(mpsc::RecvTimeoutError::Timeout) {
        let now = clock::now();
        // This thread itself has slept too long: the process was stopped, or the machine was busy. Nothing is known about the
        // time between.
        let is_late = now.saturating_duration_since(last) > 4 * interval;
        last = now;
        let runtimes = all();
        watched.retain(|number, _| runtimes.iter().any(|one| one.runtime_number() == *number));
        for runtime in &runtimes {
            let before = watched.entry(runtime.runtime_number());
            let before = before.or_insert_with(|| Watched::new(runtime, now));
            if is_late {
                before.begin(Seen::of(runtime), runtime, now);
            } else if let Some(report) = before.look(runtime, now, &settings)
                && before.may_report(now)
            {
                (settings.on_report)(&report);
            }
        }
    }
}

/// The state of a runtime that shows whether it makes progress.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    task: Option<Id>,
    polls: u64,
    turns: u64,
    is_idle: bool,
}

impl Seen {
    fn of(runtime: &RuntimeMetrics) -> Self {
        let is_idle = runtime.num_alive_tasks() > 0
            && runtime.num_operations() == 0
            && runtime.num_timers() == 0;
        Self {
            task: runtime.current_task_id(),
            polls: runtime.poll_count(),
            turns: runtime.turn_count(),
            is_idle,
        }
    }
}

/// A runtime, as the watchdog knows it.
struct Watched {
    seen: Seen,
    /// The time since which the state has been the same.
    since: Instant,
    cpu: Option<CpuTime>,
    is_reported: bool,
    /// Reports in the period that has begun then.
    reports: u32,
    period: Instant,
}

impl Watched {
    fn new(runtime: &RuntimeMetrics, now: Instant) -> Self {
        Self {
            seen: Seen::of(runtime),
            since: now,
            cpu: runtime.probe().cpu_time(),
            is_reported: false,
            reports: 0,
            period: now,
        }
    }

    fn begin(&mut self, seen: Seen, runtime: &RuntimeMetrics, now: Instant) {
        self.seen = seen;
        self.since = now;
        self.is_reported = false;
        // Its reading costs a system call, which only a task that runs is worth.
        self.cpu = seen.task.and_then(|_| runtime.probe().cpu_time());
    }

    fn look(
        &mut self,
        runtime: &RuntimeMetrics,
        now: Instant,
        settings: &Builder,
    ) -> Option<Report> {
        let seen = Seen::of(runtime);
        if seen != self.seen {
            self.begin(seen, runtime, now);
            return None;
        }
        let elapsed = now.saturating_duration_since(self.since);
        if self.is_reported {
            return None;
        }
        let report = match seen.task {
            Some(task) if elapsed >= settings.poll_limit => Report::LongPoll(LongPoll {
                runtime: runtime.clone(),
                task: runtime.current_task().filter(|meta| meta.id() == task)?,
                elapsed,
                thread: self.thread_use(runtime),
            }),
            None if seen.is_idle && settings.idle_limit.is_some_and(|limit| elapsed >= limit) => {
                Report::PossibleDeadlock {
                    runtime: runtime.clone(),
                    tasks: runtime.num_alive_tasks(),
                }
            }
            _ => return None,
        };
        // The poll may have ended meanwhile.
        if Seen::of(runtime) != seen {
            return None;
        }
        self.is_reported = true;
        Some(report)
    }

    fn thread_use(&self, runtime: &RuntimeMetrics) -> Option<ThreadUse> {
        let (before, now) = (self.cpu?, runtime.probe().cpu_time()?);
        Some(ThreadUse {
            ran: now.ran.saturating_sub(before.ran),
            starved: now.starved.saturating_sub(before.starved),
            system_call: runtime.probe().system_call(),
        })
    }

    /// Counts a report, unless there were too many.
    fn may_report(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.period) >= PERIOD {
            self.period = now;
            self.reports = 0;
        }
        self.reports += 1;
        self.reports <= REPORTS_MAX
    }
}
