//! A runtime that an outer loop of the same thread drives (scenario 41). Any new work makes its
//! descriptor readable while the outer loop may sleep.

use std::{
    io::Read,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use compio::{
    io::AsyncRead,
    op::Nop,
    runtime::{Runtime, submit},
    task::JoinHandle,
    time::sleep,
};

use crate::support::{Flag, LONG, begin, is_readable, streams};

/// Checks that `code`, which creates work while the outer loop sleeps, makes the descriptor readable.
#[track_caller]
fn check_wakes(runtime: &Runtime, code: impl FnOnce()) {
    while runtime.run()
        || runtime.current_timeout() == Some(Duration::ZERO)
        || is_readable(runtime, Duration::ZERO)
    {
        runtime.poll(Some(Duration::ZERO)).unwrap();
    }
    code();
    assert!(
        is_readable(runtime, LONG),
        "the descriptor is not readable: the outer loop would never wake"
    );
}

/// Drives the runtime until the task has ended.
fn finish<T>(runtime: &Runtime, task: JoinHandle<T>) -> T {
    let mut task = pin!(task);
    loop {
        runtime.run();
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(output) = task.as_mut().poll(&mut cx) {
            return output.expect("no panic");
        }
        let timeout = runtime.current_timeout().unwrap_or(LONG);
        is_readable(runtime, timeout);
        runtime.poll(Some(Duration::ZERO)).unwrap();
    }
}

#[test]
fn s41_wake_by_outer_loop_makes_descriptor_readable() {
    let runtime = Runtime::new().unwrap();
    for _ in 0..3 {
        let flag = Flag::default();
        let there = flag.clone();
        let task = runtime.spawn(async move { there.taken().await });
        check_wakes(&runtime, || flag.raise());
        finish(&runtime, task);
    }
}

#[test]
fn s41_wake_by_other_runtime_of_thread_makes_descriptor_readable() {
    let (runtime, other) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let flag = Flag::default();
    let there = flag.clone();
    let task = runtime.spawn(async move { there.taken().await });
    check_wakes(&runtime, || other.block_on(async { flag.raise() }));
    finish(&runtime, task);
}

#[test]
fn s41_spawn_and_abort_by_outer_loop_make_descriptor_readable() {
    let runtime = Runtime::new().unwrap();
    let mut task = None;
    check_wakes(&runtime, || task = Some(runtime.spawn(sleep(LONG))));
    let task = task.unwrap();
    check_wakes(&runtime, || task.abort());
    runtime.run();
    assert!(task.is_finished());
}

#[test]
fn s41_timer_set_by_outer_loop_makes_descriptor_readable() {
    let runtime = Runtime::new().unwrap();
    let mut nap = sleep(LONG);
    check_wakes(&runtime, || {
        runtime.enter(|| {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(Pin::new(&mut nap).poll(&mut cx).is_pending());
        });
    });
}

#[test]
fn s41_operation_begun_by_outer_loop_makes_descriptor_readable() {
    let runtime = Runtime::new().unwrap();
    let mut operation = runtime.enter(|| submit(Nop::new()));
    check_wakes(&runtime, || {
        runtime.enter(|| {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(Pin::new(&mut operation).poll(&mut cx).is_pending());
        });
    });
    runtime.block_on(operation).unwrap();
}

#[test]
fn s41_operation_dropped_by_outer_loop_makes_descriptor_readable() {
    let runtime = Runtime::new().unwrap();
    let (mut ours, theirs) = streams();
    let mut theirs = theirs.into_std().unwrap();
    let mut read = Box::pin(async move { ours.read(Vec::with_capacity(8)).await.0 });
    runtime.block_on(begin(&mut read));
    check_wakes(&runtime, || drop(read));
    runtime.poll(Some(Duration::ZERO)).unwrap();
    // The socket is closed with the operation.
    assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
}

#[test]
fn s41_more_events_than_one_poll_takes_leave_no_sleep() {
    let runtime = Runtime::new().unwrap();
    let pairs: Vec<_> = (0..200).map(|_| streams()).collect();
    let mut peers = Vec::new();
    let tasks: Vec<_> = pairs
        .into_iter()
        .map(|(mut ours, theirs)| {
            peers.push(theirs.into_std().unwrap());
            runtime.spawn(async move { ours.read(Vec::with_capacity(8)).await.0 })
        })
        .collect();
    check_wakes(&runtime, || {
        for peer in &mut peers {
            std::io::Write::write_all(peer, b"x").unwrap();
        }
    });
    // An edge-triggered outer loop polls until no event is left.
    runtime.poll(Some(Duration::ZERO)).unwrap();
    while runtime.run() || runtime.current_timeout() == Some(Duration::ZERO) {
        runtime.poll(Some(Duration::ZERO)).unwrap();
    }
    assert!(tasks.iter().all(JoinHandle::is_finished));
}

/// Counts its wakes.
#[derive(Default)]
struct Bell(AtomicUsize);

impl std::task::Wake for Bell {
    fn wake(self: Arc<Self>) {
        // Relaxed: read on this thread, or after a join.
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn s41_poll_with_wakes_its_context_for_wakes_of_any_thread() {
    let runtime = Runtime::new().unwrap();
    let flag = Flag::default();
    let there = flag.clone();
    let task = runtime.spawn(async move {
        there.taken().await;
        there.taken().await;
    });
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(bell.clone());
    let mut cx = Context::from_waker(&waker);
    while runtime.poll_with(&mut cx).unwrap() == Some(Duration::ZERO) {}
    let before = bell.0.load(Relaxed);
    flag.raise();
    assert_eq!(bell.0.load(Relaxed), before + 1);
    while runtime.poll_with(&mut cx).unwrap() == Some(Duration::ZERO) {}
    let before = bell.0.load(Relaxed);
    std::thread::spawn(move || flag.raise()).join().unwrap();
    assert_eq!(bell.0.load(Relaxed), before + 1);
    while runtime.poll_with(&mut cx).unwrap() == Some(Duration::ZERO) {}
    assert!(task.is_finished());
}

#[test]
fn s41_poll_with_wakes_its_context_while_tasks_are_ready() {
    let runtime = Runtime::new().unwrap();
    drop(runtime.spawn(async {
        loop {
            compio::task::yield_now().await;
        }
    }));
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(bell.clone());
    let mut cx = Context::from_waker(&waker);
    for turn in 1..5 {
        assert_eq!(runtime.poll_with(&mut cx).unwrap(), Some(Duration::ZERO));
        assert_eq!(bell.0.load(Relaxed), turn);
    }
}

#[test]
fn s41_poll_with_returns_time_of_next_timer() {
    let runtime = Runtime::new().unwrap();
    drop(runtime.spawn(sleep(Duration::from_secs(200))));
    let mut cx = Context::from_waker(Waker::noop());
    let timeout = loop {
        let timeout = runtime.poll_with(&mut cx).unwrap();
        if timeout != Some(Duration::ZERO) {
            break timeout.expect("a timer");
        }
    };
    assert!(timeout > Duration::from_secs(100) && timeout < Duration::from_secs(201));
}
