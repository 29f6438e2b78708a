//! The bounds of fairness, as the documentation of `compio::task` states them: the polls of busy tasks
//! between an event and the poll of the task that waits for it. They are counts, so a slow machine changes
//! nothing.

use std::{
    cell::Cell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::Context,
    thread,
    time::{Duration, Instant},
};

use compio::{
    cores::{self, Dispatcher},
    runtime::{Handle, Runtime},
    task::{JoinHandle, SendJoinHandle, consume_budget, spawn, yield_now},
    time::{sleep, sleep_until},
};

use crate::support::{Flag, run, waker};

/// The maximum of polls between two checks for events.
const POLLS: usize = 64;

/// The budget of a poll.
const BUDGET: usize = 256;

/// One task that always yields, and many.
const CROWDS: [usize; 2] = [1, 1000];

/// An event that the runtime sees before the crowd counts as 0 polls. Of so many, the crowd sees most.
const ROUNDS: usize = 10;

/// So many polls that the task has begun to wait: more than those of all tasks and a check.
pub(crate) const WARM_UP: usize = 3000;

const NEVER: usize = usize::MAX;

/// Tasks that wake themselves in each poll, and count the polls.
pub(crate) struct Crowd {
    polls: Arc<AtomicUsize>,
    occurred: Rc<Cell<usize>>,
    is_over: Rc<Cell<bool>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Crowd {
    /// Spawns the tasks. Each of their polls calls `has_occurred`, until it returns true.
    pub(crate) fn new(tasks: usize, has_occurred: impl Fn() -> bool + 'static) -> Self {
        let polls = Arc::new(AtomicUsize::new(0));
        let occurred = Rc::new(Cell::new(NEVER));
        let is_over = Rc::new(Cell::new(false));
        let has_occurred = Rc::new(has_occurred);
        let member = || {
            let (polls, occurred) = (Arc::clone(&polls), Rc::clone(&occurred));
            let (is_over, has_occurred) = (Rc::clone(&is_over), Rc::clone(&has_occurred));
            spawn(async move {
                while !is_over.get() {
                    if occurred.get() == NEVER && has_occurred() {
                        occurred.set(polls.load(SeqCst));
                    }
                    polls.fetch_add(1, SeqCst);
                    yield_now().await;
                }
            })
        };
        let tasks = (0..tasks).map(|_| member()).collect();
        Self {
            polls,
            occurred,
            is_over,
            tasks,
        }
    }

    /// The number of polls so far, for the task that waits for the event.
    pub(crate) fn polls(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.polls)
    }

    /// Ends the tasks. Returns the polls between the event and the count `reacted`.
    pub(crate) async fn end(self, reacted: usize) -> usize {
        let occurred = self.occurred.get();
        self.is_over.set(true);
        for task in self.tasks {
            task.await.unwrap();
        }
        reacted.saturating_sub(occurred)
    }
}

/// The polls between the deadline of a timer and the poll of its task.
async fn until_timer(tasks: usize) -> usize {
    let deadline = Instant::now() + Duration::from_millis(1);
    let crowd = Crowd::new(tasks, move || Instant::now() >= deadline);
    let polls = crowd.polls();
    let task = spawn(async move {
        sleep_until(deadline).await;
        polls.load(SeqCst)
    });
    crowd.end(task.await.unwrap()).await
}

/// The polls between a wake by another thread and the poll of the woken task.
async fn until_woken(tasks: usize) -> usize {
    let is_woken = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_woken);
    let crowd = Crowd::new(tasks, move || seen.load(SeqCst));
    let (flag, polls) = (Flag::default(), crowd.polls());
    let raised = flag.clone();
    let task = spawn(async move {
        flag.taken().await;
        polls.load(SeqCst)
    });
    let polls = crowd.polls();
    let waking = thread::spawn(move || {
        wait_for_warm_up(&polls);
        raised.raise();
        is_woken.store(true, SeqCst);
    });
    let woken = task.await.unwrap();
    waking.join().unwrap();
    crowd.end(woken).await
}

/// The polls between the end of `send` on another thread and the first poll of the job.
async fn until_job(
    tasks: usize,
    send: impl FnOnce(Box<dyn FnOnce() -> usize + Send>) -> SendJoinHandle<usize> + Send + 'static,
) -> usize {
    let is_sent = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_sent);
    let crowd = Crowd::new(tasks, move || seen.load(SeqCst));
    let polls = crowd.polls();
    let sending = thread::spawn(move || {
        wait_for_warm_up(&polls);
        let job = send(Box::new(move || polls.load(SeqCst)));
        is_sent.store(true, SeqCst);
        job
    });
    while !sending.is_finished() {
        yield_now().await;
    }
    let job = sending.join().unwrap();
    crowd.end(job.await.unwrap()).await
}

fn wait_for_warm_up(polls: &AtomicUsize) {
    while polls.load(SeqCst) < WARM_UP {
        thread::yield_now();
    }
}

/// Checks a bound beside each crowd: after at most `polls` polls the runtime learns of the event, and
/// after one poll of each busy task it polls the waiting one.
async fn check(polls: usize, mut measured: impl AsyncFnMut(usize) -> usize) {
    for tasks in CROWDS {
        for _ in 0..ROUNDS {
            let measured = measured(tasks).await;
            assert!(
                measured <= polls + tasks,
                "{measured} polls beside {tasks} tasks"
            );
        }
    }
}

/// As [`check`], with the bound of a runtime that is not inside another executor.
pub(crate) async fn check_bound(measured: impl AsyncFnMut(usize) -> usize) {
    check(POLLS, measured).await;
}

#[test]
fn timer_waits_for_bounded_polls() {
    run(check_bound(until_timer));
}

#[test]
fn wake_by_other_thread_waits_for_bounded_polls() {
    run(check_bound(until_woken));
}

#[test]
fn job_of_other_thread_waits_for_bounded_polls() {
    run(check_bound(async |tasks| {
        let runtime = Handle::current();
        until_job(tasks, move |job| runtime.spawn_with(async || job())).await
    }));
}

#[test]
fn worker_keeps_the_same_bounds() {
    run(async {
        let dispatcher = Dispatcher::builder().workers(1).build().unwrap();
        let checked = dispatcher.dispatch(|| async {
            check_bound(until_timer).await;
            check_bound(until_woken).await;
            check_bound(async |tasks| {
                let workers = cores::current().unwrap();
                until_job(tasks, move |job| workers.dispatch(async || job())).await
            })
            .await;
        });
        checked.await.unwrap();
        dispatcher.shutdown().await.unwrap();
    });
}

#[test]
fn embedded_runtime_keeps_the_same_bounds() {
    let runtime = Runtime::new().unwrap();
    let checked = runtime.spawn(async {
        check_bound(until_timer).await;
        check_bound(until_woken).await;
    });
    loop {
        runtime.run();
        if checked.is_finished() {
            break;
        }
        runtime.poll(runtime.current_timeout()).unwrap();
    }
    runtime.block_on(checked).unwrap();
}

#[test]
fn runtime_inside_another_executor_keeps_twice_the_bounds() {
    let runtime = Runtime::new().unwrap();
    let checked = runtime.spawn(async {
        check(2 * POLLS, until_timer).await;
        check(2 * POLLS, until_woken).await;
    });
    let this = thread::current();
    let waker = waker(move || this.unpark());
    loop {
        let timeout = runtime.poll_with(&mut Context::from_waker(&waker));
        if checked.is_finished() {
            break;
        }
        match timeout.unwrap() {
            Some(timeout) => thread::park_timeout(timeout),
            None => thread::park(),
        }
    }
    runtime.block_on(checked).unwrap();
}

/// The steps of an endless loop over `step` between two polls of another task.
fn steps_between_polls(step: impl AsyncFn() + 'static) -> usize {
    run(async {
        let steps = Rc::new(Cell::new(0));
        let counted = Rc::clone(&steps);
        let busy = spawn(async move {
            loop {
                step().await;
                counted.set(counted.get() + 1);
            }
        });
        let other = spawn(async move {
            let mut most = 0;
            for _ in 0..100 {
                let before = steps.get();
                yield_now().await;
                most = most.max(steps.get() - before);
            }
            most
        });
        let most = other.await.unwrap();
        busy.abort();
        most
    })
}

#[test]
fn loop_over_ready_operations_ends_its_poll_with_its_budget() {
    assert_eq!(
        steps_between_polls(async || sleep(Duration::ZERO).await),
        BUDGET
    );
}

#[test]
fn consume_budget_bounds_loop_over_foreign_futures() {
    let steps = steps_between_polls(async || {
        std::future::ready(()).await;
        consume_budget().await;
    });
    assert_eq!(steps, BUDGET);
}

#[test]
fn foreign_future_holds_its_core_until_it_is_pending() {
    run(async {
        let others = Arc::new(AtomicUsize::new(0));
        let deadline = Instant::now() + Duration::from_millis(1);
        let of_timer = Arc::clone(&others);
        let timer = spawn(async move {
            sleep_until(deadline).await;
            of_timer.fetch_add(1, SeqCst);
        });
        let (runtime, of_job) = (Handle::current(), Arc::clone(&others));
        let foreign = spawn(async move {
            // Within this poll the timer becomes due, and a job arrives.
            let send = move || runtime.spawn_with(|| async move { of_job.fetch_add(1, SeqCst) });
            let job = thread::spawn(send).join().unwrap();
            while Instant::now() < deadline {}
            for _ in 0..100 * BUDGET {
                std::future::ready(()).await;
                assert_eq!(others.load(SeqCst), 0);
            }
            (job, others)
        });
        let (job, others) = foreign.await.unwrap();
        job.await.unwrap();
        timer.await.unwrap();
        assert_eq!(others.load(SeqCst), 2);
    });
}
