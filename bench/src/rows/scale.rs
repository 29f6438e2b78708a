//! The growth of cost with the number of tasks and timers. (Connections are in
//! [`echo`](super::echo).) The aim is a flat line, except for cache misses.

use std::{
    future::poll_fn,
    hint::black_box,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use crate::{
    cost::{Meter, thread_cpu},
    row::{Column, Row},
    rows::{
        idle::resident,
        timeout::HOUR,
        turns::{self, yield_once},
    },
    workload::{Load, Numbers, Tasks, Timers},
};

/// See the module.
pub const TASKS: Row = Row {
    about: "Spawn that many tasks; each wakes itself eight times, so that they run by turns, and \
            ends; await them all.",
    widths: SCALE,
    count: |width| width.max(200_000),
    shortens: false,
    columns: &[
        Column::new("CPU per task: spawn, 8 turns, end, join", "ns"),
        Column::new("memory per task", "B"),
    ],
    has: |contender| contender.scale_tasks.is_some(),
    run: |contender, load| {
        let work = contender
            .scale_tasks
            .expect("the contender supports this row");
        let Tasks { life, memory } = work(load)?;
        Ok(vec![life, memory])
    },
    ..Row::new("scale-tasks", "tasks")
};

/// See the module.
pub const TIMERS: Row = Row {
    about: "That many timers at once. First set an hour ahead, then taken back; then as many tasks \
            that sleep until nearly the same moment, from when all are asleep until all have ended.",
    widths: SCALE,
    drawn: 3,
    count: |width| width.max(100_000),
    shortens: false,
    columns: &[
        Column::new("CPU to set", "ns"),
        Column::new("CPU to take back", "ns"),
        Column::new("CPU to expire, wake and end its task", "ns"),
    ],
    has: |contender| contender.scale_timers.is_some(),
    run: |contender, load| {
        let work = contender
            .scale_timers
            .expect("the contender supports this row");
        let Timers { set, back, expire } = work(load)?;
        Ok(vec![set, back, expire])
    },
    ..Row::new("scale-timers", "timers")
};

const SCALE: &[usize] = &[1, 100, 10_000, 1_000_000];
/// The number of yields of each task.
const TURNS: usize = 8;
/// The number of timers that one poll arms. A runtime may limit the work of a poll.
const RUN: usize = 64;
/// The minimum time of timers: long enough for all their tasks to start waiting first.
const LEAD_MIN: Duration = Duration::from_millis(2);
const LEAD_EACH: Duration = Duration::from_nanos(1_500);
/// The maximum number of expiry rounds; large widths have fewer.
const EXPIRIES: usize = 20;

/// Spawns tasks with `spawn`, repeatedly if they are few; `joined` checks the result of each.
pub async fn tasks<Handle: Future>(
    load: Load,
    spawn: impl Fn() -> Handle,
    joined: impl Fn(Handle::Output),
) -> io::Result<Tasks> {
    let mut handles = Vec::with_capacity(load.width);
    // Once more, for the memory.
    let before = resident()?;
    handles.extend((0..load.width).map(|_| spawn()));
    let memory = resident()?.saturating_sub(before);
    for handle in handles.drain(..) {
        joined(handle.await);
    }
    let meter = Meter::start()?;
    for _ in 0..load.each() {
        handles.extend((0..load.width).map(|_| spawn()));
        for handle in handles.drain(..) {
            joined(handle.await);
        }
    }
    Ok(Tasks {
        life: load.nanos(meter.stop()?.cpu),
        memory: memory as f64 / load.width as f64,
    })
}

/// One of the tasks.
pub async fn task() {
    turns::task(TURNS).await;
}

/// Sets timers, removes them, and lets others expire. `sleep` makes a timer; `spawn` starts a task
/// that awaits [`Moment::pass`].
pub async fn timers<Sleep: Future<Output = ()>, Handle: Future>(
    load: Load,
    sleep: impl Fn(Duration) -> Sleep,
    spawn: impl Fn(Arc<Moment>, usize) -> Handle,
    joined: impl Fn(Handle::Output),
) -> io::Result<Timers> {
    let clock = cost_of_clock();
    let (mut set, mut back) = (Duration::ZERO, Duration::ZERO);
    let mut numbers = Numbers::new(0);
    for _ in 0..load.each() {
        let mut sleeps = Vec::with_capacity(load.width);
        while sleeps.len() < load.width {
            let run = RUN.min(load.width - sleeps.len());
            let start = thread_cpu();
            for _ in 0..run {
                let later = Duration::from_millis(numbers.below(1 << 20));
                sleeps.push(sleep(HOUR + later));
                let sleep = sleeps.last_mut().expect("just pushed");
                // SAFETY: the vector has capacity for all of them from the start, so its elements
                // never move, and they are dropped in place.
                let sleep = unsafe { Pin::new_unchecked(sleep) };
                assert!(poll_once(sleep).await.is_pending(), "not within the hour");
            }
            set += (thread_cpu() - start).saturating_sub(clock);
            yield_once().await;
        }
        let start = thread_cpu();
        drop(sleeps);
        back += (thread_cpu() - start).saturating_sub(clock);
    }
    let expire = expire(load, spawn, joined).await?;
    Ok(Timers {
        set: load.nanos(set),
        back: load.nanos(back),
        expire,
    })
}

/// Polls with the waker of this task.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

async fn expire<Handle: Future>(
    load: Load,
    spawn: impl Fn(Arc<Moment>, usize) -> Handle,
    joined: impl Fn(Handle::Output),
) -> io::Result<f64> {
    let times = (10_000 / load.width).clamp(1, EXPIRIES);
    let mut cpu = Duration::ZERO;
    let mut handles = Vec::with_capacity(load.width);
    let mut lead = LEAD_MIN + LEAD_EACH * load.width as u32;
    let mut done = 0;
    while done < times {
        let moment = Arc::new(Moment::after(lead, load.width));
        handles.extend((0..load.width).map(|index| spawn(moment.clone(), index)));
        moment.all_asleep().await;
        let late = Instant::now() > moment.first;
        let meter = Meter::start()?;
        for handle in handles.drain(..) {
            joined(handle.await);
        }
        if late {
            // Some expired before all were set. Try again with more time.
            lead *= 2;
            continue;
        }
        cpu += meter.stop()?.cpu;
        done += 1;
    }
    Ok(cpu.as_nanos() as f64 / (times * load.width) as f64)
}

/// The time at which the timers expire.
pub struct Moment {
    first: Instant,
    /// The number of tasks that do not wait yet.
    awake: AtomicUsize,
    /// The waker of the task that waits for the last of them.
    waker: Mutex<Option<Waker>>,
}

impl Moment {
    fn after(lead: Duration, tasks: usize) -> Self {
        Self {
            first: Instant::now() + lead,
            awake: AtomicUsize::new(tasks),
            waker: Mutex::default(),
        }
    }

    /// One of the tasks: sleeps until the moment, or up to 20 ms longer.
    pub async fn pass<Sleep: Future>(
        self: Arc<Self>,
        index: usize,
        sleep: impl Fn(Duration) -> Sleep,
    ) {
        let later = Duration::from_micros(Numbers::new(index).below(20_000));
        let until = self.first + later;
        // No other code runs on this thread between this and the first poll of the sleep.
        if self.awake.fetch_sub(1, Relaxed) == 1
            && let Some(waker) = self.waker().take()
        {
            waker.wake();
        }
        sleep(until.saturating_duration_since(Instant::now())).await;
    }

    /// Not by yielding in a loop: some runtimes run a task that wakes itself first.
    async fn all_asleep(&self) {
        poll_fn(|context| {
            if self.awake.load(Relaxed) == 0 {
                return Poll::Ready(());
            }
            *self.waker() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn waker(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The cost of reading the clock, per measurement.
fn cost_of_clock() -> Duration {
    const TIMES: u32 = 1_000;
    let start = thread_cpu();
    for _ in 0..TIMES {
        black_box(thread_cpu());
    }
    (thread_cpu() - start) / TIMES
}
