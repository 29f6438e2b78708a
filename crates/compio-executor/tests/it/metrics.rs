//! The counters, and the records of tasks.

use std::{
    future::{pending, poll_fn},
    mem,
    pin::pin,
    rc::Rc,
    sync::{atomic::Ordering, mpsc},
    task::{Context, Poll, Waker},
    thread,
};

use compio_executor::{Executor, JoinError, JoinHandle, TaskMeta, TaskState, yield_now};

/// The output of a task that has ended.
fn poll_output<T>(task: JoinHandle<T>) -> Result<T, JoinError> {
    match pin!(task).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the task has not ended"),
    }
}

#[test]
fn counters_are_exact() {
    let executor = Executor::new(Waker::noop().clone());
    let metrics = executor.metrics();
    for _ in 0..1000 {
        executor.spawn(async {
            yield_now().await;
            yield_now().await;
        });
    }
    let panics = executor.spawn(async { panic!("on purpose") });
    let aborted = executor.spawn(pending::<()>());
    assert_eq!((metrics.spawned(), metrics.alive()), (1002, 1002));
    while executor.tick(64).has_ready {}
    assert_eq!((metrics.alive(), metrics.finished()), (1, 1001));
    assert_eq!(metrics.polls(), 3 * 1000 + 2);
    assert_eq!(metrics.panicked(), 1);
    aborted.abort();
    while executor.tick(64).has_ready {}
    assert_eq!((metrics.alive(), metrics.finished()), (0, 1002));
    // The end of an aborted task is no poll.
    assert_eq!(metrics.polls(), 3 * 1000 + 2);
    drop(panics);
}

#[test]
fn ready_tasks_are_counted_by_each_way_out_of_the_queue() {
    let executor = Executor::new(Waker::noop().clone());
    let metrics = executor.metrics();
    let tasks: Vec<_> = (0..10).map(|_| executor.spawn(pending::<()>())).collect();
    let yields = executor.spawn(async {
        loop {
            yield_now().await;
        }
    });
    assert_eq!(metrics.ready(), 11);
    executor.tick(11);
    assert_eq!(metrics.ready(), 1);
    executor.tick(64);
    assert_eq!(metrics.ready(), 1);
    // A cancel of a waiting task, and of a ready one.
    tasks[0].abort();
    yields.abort();
    assert_eq!(metrics.ready(), 2);
    executor.tick(64);
    assert_eq!(metrics.ready(), 0);
    // A poll that clears the queue, in which its own task is.
    let executor = Rc::new(executor);
    let inner = Rc::clone(&executor);
    for _ in 0..3 {
        drop(executor.spawn(pending::<()>()));
    }
    let clears = executor.spawn(async move {
        drop(inner.spawn(pending::<()>()));
        inner.clear();
        pending::<()>().await;
    });
    executor.tick(64);
    assert!(clears.is_finished());
    assert_eq!((metrics.ready(), executor.task_count()), (0, 0));
    drop(executor.spawn(async {}));
    assert_eq!(metrics.ready(), 1);
    executor.tick(64);
    assert_eq!(metrics.ready(), 0);
}

#[test]
fn tick_with_calls_back_after_each_poll() {
    let executor = Executor::new(Waker::noop().clone());
    for _ in 0..5 {
        drop(executor.spawn(yield_now()));
    }
    let mut calls = 0;
    let tick = executor.tick_with(7, || calls += 1);
    assert_eq!((tick.polled, tick.has_ready, calls), (7, true, 7));
    let tick = executor.tick_with(64, || calls += 1);
    assert_eq!((tick.polled, tick.has_ready, calls), (3, false, 10));
    let tick = executor.tick_with(0, || calls += 1);
    assert_eq!((tick.polled, calls), (0, 10));
}

#[test]
fn panic_of_a_destructor_counts_once() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    let executor = Executor::new(Waker::noop().clone());
    let task = executor.spawn(async {
        let _panics = Panics;
        pending::<()>().await;
    });
    executor.tick(64);
    task.abort();
    executor.tick(64);
    assert_eq!(executor.metrics().panicked(), 1);
    drop(task);
}

#[test]
fn wakes_of_other_threads_are_counted() {
    let executor = Executor::new(Waker::noop().clone());
    let (send, receive) = mpsc::channel();
    let mut is_woken = false;
    let task = executor.spawn(poll_fn(move |cx| {
        if mem::replace(&mut is_woken, true) {
            return Poll::Ready(());
        }
        send.send(cx.waker().clone()).unwrap();
        Poll::Pending
    }));
    executor.tick(64);
    let waker = receive.recv().unwrap();
    thread::spawn(move || {
        waker.wake_by_ref();
        // The task is in the inbox already.
        waker.wake();
    })
    .join()
    .unwrap();
    executor.tick(64);
    assert!(task.is_finished());
    assert_eq!(executor.metrics().remote_wakes(), 1);
}

#[test]
fn records_show_each_task_and_poll_none() {
    let executor = Executor::new(Waker::noop().clone());
    executor.set_now(10);
    let waits = TaskMeta::new().with_name("waits");
    executor.spawn_as(waits.clone(), pending::<()>());
    executor.set_now(20);
    executor.tick(64);
    let ready = executor.spawn(async {}).meta();
    let polls = executor.metrics().polls();
    let records = executor.records();
    assert_eq!(executor.metrics().polls(), polls);
    let [first, second] = &records[..] else {
        panic!("{records:?}");
    };
    assert_eq!(first.meta.id(), waits.id());
    assert_eq!(first.meta.name(), Some("waits"));
    assert_eq!(first.meta.location().line(), waits.location().line());
    assert_eq!((first.state, first.polls), (TaskState::Waiting, 1));
    assert_eq!((first.spawned_at, first.polled_at), (10, Some(20)));
    assert_eq!(second.meta.id(), ready.id());
    assert_eq!((second.state, second.polls), (TaskState::Ready, 0));
    assert_eq!((second.spawned_at, second.polled_at), (20, None));
}

#[test]
fn longest_waits_are_those_of_the_earliest_polls() {
    let executor = Executor::new(Waker::noop().clone());
    let mut ids = Vec::new();
    for moment in 0..10 {
        executor.set_now(moment);
        ids.push(executor.spawn(pending::<()>()).meta().id());
        executor.tick(64);
    }
    let ready = executor.spawn(pending::<()>()).meta().id();
    let found = |max| -> Vec<_> {
        let (records, omitted) = executor.longest_waits(max);
        assert_eq!(records.len() + omitted, executor.task_count());
        records.iter().map(|record| record.meta.id()).collect()
    };
    assert_eq!(found(0), []);
    assert_eq!(found(3), ids[..3]);
    assert_eq!(found(10), ids);
    ids.push(ready);
    assert_eq!(found(11), ids);
    assert_eq!(found(usize::MAX), ids);
}

#[test]
fn polls_are_counted_beyond_sixteen_bits() {
    let executor = Executor::new(Waker::noop().clone());
    let polls = 3 * 65_536 + 5;
    executor.spawn(async move {
        for _ in 1..polls {
            yield_now().await;
        }
        pending::<()>().await;
    });
    while executor.tick(64).has_ready {}
    assert_eq!(executor.records()[0].polls, polls);
}

#[test]
fn task_that_runs_is_published() {
    let executor = Rc::new(Executor::new(Waker::noop().clone()));
    let metrics = executor.metrics();
    let read = move || metrics.current_cell().load(Ordering::Relaxed);
    let read_inside = read.clone();
    let inner = Rc::clone(&executor);
    let task = executor.spawn(async move {
        let before = read_inside();
        // A task inside of a task, and its end.
        let nested_read = read_inside.clone();
        let nested = inner.spawn(async move { nested_read() });
        inner.tick(64);
        let meta = inner.metrics().current().unwrap();
        let (id, location) = (meta.id(), meta.location());
        assert_eq!((before, before), (id.number(), read_inside()));
        let own = inner.current_task().unwrap();
        assert_eq!(location, own.location());
        assert_eq!(inner.records()[0].state, TaskState::Running);
        let nested_id = nested.id().number();
        assert_eq!(nested.await.unwrap(), nested_id);
        before
    });
    let id = task.id().number();
    assert_eq!(read(), 0);
    while executor.tick(64).has_ready {}
    assert_eq!(read(), 0);
    assert!(executor.metrics().current().is_none());
    let mut cx = Context::from_waker(Waker::noop());
    let polled = pin!(task).poll(&mut cx);
    assert!(matches!(polled, Poll::Ready(Ok(number)) if number == id));
}

/// A reader on another thread never sees fewer spawns than before.
#[test]
fn count_of_spawns_never_decreases() {
    let executor = Executor::new(Waker::noop().clone());
    let metrics = executor.metrics();
    let (stop, stopped) = mpsc::channel::<()>();
    let reader = thread::spawn(move || {
        let mut last = 0;
        while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
            for _ in 0..1000 {
                let spawned = metrics.spawned();
                assert!(spawned >= last, "{spawned} after {last}");
                last = spawned;
            }
        }
    });
    for _ in 0..200_000 {
        executor.spawn(async {});
        executor.tick(1);
    }
    drop(stop);
    reader.join().unwrap();
}

/// The place belongs to the task again after the end of a task that was cancelled inside of its poll.
#[test]
fn place_of_the_running_task_survives_a_cancel_inside_of_it() {
    let executor = Rc::new(Executor::new(Waker::noop().clone()));
    let inner = Rc::clone(&executor);
    let task = executor.spawn(async move {
        inner.spawn(pending::<()>());
        inner.clear();
        let meta = inner.metrics().current().unwrap();
        let (id, location) = (meta.id(), meta.location());
        let own = inner.current_task().unwrap();
        assert_eq!((id, location), (own.id(), own.location()));
    });
    executor.tick(64);
    drop(executor);
    assert!(poll_output(task).is_ok());
}

/// Both times are of more than 49 days after the beginning, in milliseconds.
#[test]
fn records_are_exact_after_months() {
    const MOMENT: u64 = 1 << 33;
    let executor = Executor::new(Waker::noop().clone());
    executor.set_now(1);
    let task = executor.spawn(pending::<()>());
    executor.set_now(MOMENT);
    executor.tick(64);
    let record = &executor.records()[0];
    assert_eq!(record.meta.id(), task.id());
    assert_eq!((record.spawned_at, record.polled_at), (1, Some(MOMENT)));
}
