//! Waking a task from another thread, on another core.
//!
//! Three rows: the target is parked in the kernel; the target is busy with other tasks; two runtimes
//! wake each other in turn without a pause, so that a runtime that spins never parks. In the first two
//! rows a plain thread sends the wakes, because only the target is measured.

use std::{
    io,
    pin::Pin,
    process,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use crate::{
    cost::{Cost, Meter},
    place,
    row::{Column, Row},
    rows::turns::yield_once,
    workload::{Load, Parked, Running},
};

/// See the module.
pub const PARKED: Row = Row {
    about: "A thread wakes a task of a runtime that has slept for 0.3 ms.",
    widths: &[1],
    shown: &[1],
    count: |_| 600,
    columns: &[
        Column::new("from the wake until the task runs, median", "µs"),
        Column::new("CPU of both, per wake", "µs"),
        Column::new("in the call of the waker, median", "µs"),
    ],
    has: |contender| contender.wake_parked.is_some(),
    run: |contender, load| {
        let Parked {
            latency,
            call,
            cost,
        } = contender
            .wake_parked
            .expect("the contender supports this row")(load)?;
        Ok(vec![latency, load.micros(cost.cpu), call])
    },
    ..Row::new("wake-parked", "tasks")
};

/// See the module.
pub const RUNNING: Row = Row {
    about: "A thread wakes that many tasks of a runtime that is busy with a task that yields all the \
            time, and when all have run, again. The times are per wake.",
    widths: &[1, 64],
    shown: &[64],
    count: |width| if width == 1 { 100_000 } else { 64 * 8_000 },
    columns: &[
        Column::new("in the call of the waker", "ns"),
        Column::new("from the first wake until all have run", "ns"),
    ],
    has: |contender| contender.wake_running.is_some(),
    run: |contender, load| {
        let work = contender
            .wake_running
            .expect("the contender supports this row");
        let Running {
            sending,
            seen,
            wakes,
        } = work(load)?;
        let each = |time: Duration| time.as_nanos() as f64 / wakes as f64;
        Ok(vec![each(sending), each(seen)])
    },
    ..Row::new("wake-running", "tasks")
};

/// See the module.
pub const PING_PONG: Row = Row {
    about: "Two runtimes on two cores, a task each; they wake each other by turns.",
    widths: &[1],
    shown: &[1],
    count: |_| 20_000,
    columns: &[
        Column::new("wall per wake", "µs"),
        Column::new("CPU of both, per wake", "µs"),
    ],
    has: |contender| contender.ping_pong.is_some(),
    run: |contender, load| {
        let cost = contender
            .ping_pong
            .expect("the contender supports this row")(load)?;
        Ok(vec![load.micros(cost.wall), load.micros(cost.cpu)])
    },
    ..Row::new("ping-pong", "pairs")
};

/// How long the parked target sleeps before each wake: more than a runtime may spin.
pub const PAUSE: Duration = Duration::from_micros(300);

/// The time limit for runtimes that check for such wakes too rarely to wait for all of them.
const ENOUGH: Duration = Duration::from_millis(300);
/// A task that has not run this long after its wake never will.
const STARVED: Duration = Duration::from_secs(5);

/// A task of any of the rows, boxed for all spawn functions. The box is not part of the
/// measurement.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs a task that sleeps until it is woken, repeatedly. `run` spawns it in a runtime of its own
/// and waits until it is done.
pub fn parked(load: Load, run: impl FnOnce(Task) -> io::Result<()>) -> io::Result<Parked> {
    let signal = Arc::new(Signal::default());
    let woken = Arc::new(Mutex::new(Vec::with_capacity(load.count)));
    let seen = Arc::new(AtomicUsize::new(0));
    let waker = thread::spawn({
        let (signal, seen) = (signal.clone(), seen.clone());
        move || wake_parked(load, &seen, || signal.notify())
    });
    let meter = Meter::start()?;
    let task = {
        let woken = woken.clone();
        async move {
            for _ in 0..load.count {
                signal.wait().await;
                lock(&woken).push(Instant::now());
                seen.fetch_add(1, SeqCst);
            }
        }
    };
    run(Box::pin(task))?;
    let cost = meter.stop()?;
    let sent = waker
        .join()
        .map_err(|_| io::Error::other("the waking thread panicked"))??;
    let woken = lock(&woken);
    Ok(Parked::new(&sent, &woken, cost))
}

/// The waking thread: wakes `count` times, each after the last wake has been `seen` and the target
/// has had time to sleep. Returns the start and end of each wake.
pub fn wake_parked(
    load: Load,
    seen: &AtomicUsize,
    wake: impl Fn(),
) -> io::Result<Vec<(Instant, Instant)>> {
    place::pin(place::CLIENT_CORE)?;
    let mut sent = Vec::with_capacity(load.count);
    for index in 0..load.count {
        while seen.load(SeqCst) < index {
            thread::yield_now();
        }
        thread::sleep(PAUSE);
        let start = Instant::now();
        wake();
        sent.push((start, Instant::now()));
    }
    Ok(sent)
}

impl Parked {
    /// Computed from the start and end of each wake, and the time when its target ran.
    pub fn new(sent: &[(Instant, Instant)], woken: &[Instant], cost: Cost) -> Self {
        assert_eq!(sent.len(), woken.len(), "every wake was seen");
        let latencies = sent
            .iter()
            .zip(woken)
            .map(|((start, _), ran)| *ran - *start);
        let calls = sent.iter().map(|(start, end)| *end - *start);
        Self {
            latency: median_micros(latencies),
            call: median_micros(calls),
            cost,
        }
    }
}

fn median_micros(times: impl Iterator<Item = Duration>) -> f64 {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times[times.len() / 2].as_nanos() as f64 / 1e3
}

/// Wakes tasks of a busy runtime. Await it there; `spawn` starts a task, `joined` checks its
/// result.
pub async fn running<Handle: Future>(
    load: Load,
    spawn: impl Fn(Task) -> Handle,
    joined: impl Fn(Handle::Output),
) -> io::Result<Running> {
    let over = Arc::new(AtomicBool::new(false));
    let busy = spawn(Box::pin({
        let over = over.clone();
        async move {
            while !over.load(SeqCst) {
                yield_once().await;
            }
        }
    }));
    let targets: Vec<_> = (0..load.width)
        .map(|_| Arc::new(Target::default()))
        .collect();
    let run: Vec<_> = targets
        .iter()
        .map(|target| {
            let (target, over) = (target.clone(), over.clone());
            spawn(Box::pin(async move {
                while !over.load(SeqCst) {
                    target.wait(&over).await;
                    target.ran.fetch_add(1, SeqCst);
                }
            }))
        })
        .collect();
    let waker = thread::spawn(move || wake_running(load, &targets, &over));
    for handle in run {
        joined(handle.await);
    }
    joined(busy.await);
    waker
        .join()
        .map_err(|_| io::Error::other("the waking thread panicked"))?
}

fn wake_running(load: Load, targets: &[Arc<Target>], over: &AtomicBool) -> io::Result<Running> {
    place::pin(place::CLIENT_CORE)?;
    let wakers: Vec<Waker> = targets.iter().map(|target| target.waker()).collect();
    let mut total = Running {
        sending: Duration::ZERO,
        seen: Duration::ZERO,
        wakes: 0,
    };
    for times in 1..=load.each() as u64 {
        if total.seen > ENOUGH {
            break;
        }
        total.wakes += load.width;
        let start = Instant::now();
        for (target, waker) in targets.iter().zip(&wakers) {
            target.set.store(true, SeqCst);
            waker.wake_by_ref();
        }
        total.sending += start.elapsed();
        for target in targets {
            while target.ran.load(SeqCst) < times {
                std::hint::spin_loop();
                give_up_if_starved(start);
            }
        }
        total.seen += start.elapsed();
    }
    over.store(true, SeqCst);
    for waker in wakers {
        waker.wake();
    }
    Ok(total)
}

fn give_up_if_starved(since: Instant) {
    if since.elapsed() > STARVED {
        // The runtime cannot be stopped.
        eprintln!("a task does not run beside a busy one");
        process::exit(1);
    }
}

/// A wake for a task of the running row. The task stores its waker once: a spawned task's waker
/// never changes.
#[derive(Default)]
struct Target {
    set: AtomicBool,
    ran: AtomicU64,
    waker: Mutex<Option<Waker>>,
}

impl Target {
    async fn wait(&self, over: &AtomicBool) {
        let mut known = false;
        std::future::poll_fn(|context: &mut Context<'_>| {
            if !known && self.ran.load(SeqCst) == 0 {
                known = true;
                *lock(&self.waker) = Some(context.waker().clone());
            }
            if self.set.swap(false, SeqCst) || over.load(SeqCst) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// The task's waker, as soon as the task has stored it.
    fn waker(&self) -> Waker {
        let start = Instant::now();
        loop {
            give_up_if_starved(start);
            if let Some(waker) = lock(&self.waker).clone() {
                return waker;
            }
            thread::yield_now();
        }
    }
}

/// Two tasks that wake each other. `run` spawns its task in a runtime of its own, for the given
/// core, and waits until it is done; it is called on two threads.
pub fn ping_pong(load: Load, run: fn(usize, Task) -> io::Result<()>) -> io::Result<Cost> {
    let (ping, pong) = (Arc::new(Signal::default()), Arc::new(Signal::default()));
    let other = thread::spawn({
        let (ping, pong) = (ping.clone(), pong.clone());
        move || {
            place::pin(place::CLIENT_CORE)?;
            let task = async move {
                for _ in 0..load.count / 2 {
                    ping.wait().await;
                    pong.notify();
                }
            };
            run(place::CLIENT_CORE, Box::pin(task))
        }
    });
    let meter = Meter::start()?;
    let task = async move {
        for _ in 0..load.count / 2 {
            ping.notify();
            pong.wait().await;
        }
    };
    run(place::SERVER_CORE, Box::pin(task))?;
    other
        .join()
        .map_err(|_| io::Error::other("the other thread panicked"))??;
    meter.stop()
}

/// Wakes the waiting task, from any thread.
#[derive(Default)]
struct Signal {
    set: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Signal {
    fn notify(&self) {
        self.set.store(true, SeqCst);
        let waker = lock(&self.waker).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn wait(&self) {
        std::future::poll_fn(|context: &mut Context<'_>| {
            if self.set.swap(false, SeqCst) {
                return Poll::Ready(());
            }
            *lock(&self.waker) = Some(context.waker().clone());
            // It may have been notified between the check and the registration of the waker.
            if self.set.swap(false, SeqCst) {
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
