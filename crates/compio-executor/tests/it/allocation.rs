//! Waking and polling allocates nothing; a task allocates once.

use std::{future::poll_fn, task::Poll, thread};

use compio_executor::yield_now;
use compio_testkit::allocator::{Counting, OfThread};

use crate::support::{executor, run, waiting_task};

#[global_allocator]
static ALLOCATOR: Counting<OfThread> = Counting(OfThread);

/// How often this thread allocates in there.
fn allocations(work: impl FnOnce()) -> usize {
    let before = OfThread::allocations();
    work();
    OfThread::allocations() - before
}

#[test]
fn none_for_wakes_and_polls_at_home() {
    let executor = executor();
    let tasks: Vec<_> = (0..1_000).map(|_| waiting_task(&executor)).collect();
    let count = allocations(|| {
        for _ in 0..10 {
            for (_, waker, _) in &tasks {
                waker.wake_by_ref();
                let clone = waker.clone();
                clone.wake();
            }
            run(&executor);
        }
    });
    assert_eq!(count, 0);
}

#[test]
fn none_for_yields() {
    let executor = executor();
    for _ in 0..2 {
        drop(executor.spawn(async {
            loop {
                yield_now().await;
            }
        }));
    }
    assert_eq!(
        allocations(|| assert_eq!(executor.tick(1_000).polled, 1_000)),
        0
    );
}

#[test]
fn none_for_wakes_from_elsewhere() {
    let executor = executor();
    let tasks: Vec<_> = (0..100).map(|_| waiting_task(&executor)).collect();
    let wakers: Vec<_> = tasks.iter().map(|(_, waker, _)| waker.clone()).collect();
    let elsewhere =
        thread::spawn(move || allocations(|| wakers.into_iter().for_each(std::task::Waker::wake)));
    assert_eq!(elsewhere.join().unwrap(), 0);
    assert_eq!(
        allocations(|| assert_eq!(executor.tick(1_000).polled, 100)),
        0
    );
}

#[test]
fn one_for_a_task() {
    let executor = executor();
    let count = allocations(|| {
        let inner = executor.spawn(async { [1u8; 100] });
        let outer = executor.spawn(async move { inner.await.unwrap() });
        drop(executor.spawn(poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::<()>::Ready(())
        })));
        run(&executor);
        drop(outer);
    });
    assert_eq!(count, 3);
}
