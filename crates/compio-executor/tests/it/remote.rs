//! Wakes from other threads while the executor lives.

use std::{
    cell::Cell,
    future::{pending, poll_fn},
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Poll, Waker},
    thread,
};

use compio_executor::{Executor, JoinHandle};
use compio_testkit::waker::Bell;

use crate::support::{ROUNDS, block_on, executor, run, unpark_here, waiting_task};

#[test]
fn unpark_is_called_for_the_first_of_a_batch() {
    let unpark = Arc::<Bell>::default();
    let executor = Executor::new(unpark.waker());
    let tasks: Vec<_> = (0..3).map(|_| waiting_task(&executor)).collect();
    for round in 1..4 {
        thread::scope(|scope| {
            for (_, waker, _) in &tasks {
                let waker = waker.clone();
                scope.spawn(move || {
                    waker.wake_by_ref();
                    waker.wake();
                });
            }
        });
        assert_eq!(unpark.rings(), round);
        assert!(executor.has_ready());
        assert_eq!(executor.tick(64).polled, 3);
        for (_, _, polls) in &tasks {
            assert_eq!(polls.get(), round + 1);
        }
    }
}

#[test]
fn wakes_at_home_do_not_unpark() {
    let unpark = Arc::<Bell>::default();
    let executor = Executor::new(unpark.waker());
    let (_handle, waker, _) = waiting_task(&executor);
    waker.wake_by_ref();
    run(&executor);
    assert_eq!(unpark.rings(), 0);
}

#[test]
fn wakes_of_ended_tasks_do_not_unpark() {
    let unpark = Arc::<Bell>::default();
    let executor = Executor::new(unpark.waker());
    let (handle, waker, _) = waiting_task(&executor);
    handle.abort();
    run(&executor);
    thread::spawn(move || waker.wake()).join().unwrap();
    assert_eq!(unpark.rings(), 0);
    assert!(!executor.has_ready());
}

#[test]
fn a_waker_lent_to_a_poll_is_used_and_cloned_on_another_thread() {
    let executor = executor();
    let mut polls = 0;
    let handle: JoinHandle<Waker> = executor.spawn(poll_fn(move |cx| {
        polls += 1;
        let waker = cx.waker();
        let clones = thread::scope(|scope| {
            let clones: Vec<_> = (0..2)
                .map(|_| scope.spawn(|| (waker.wake_by_ref(), waker.clone()).1))
                .collect();
            clones
                .into_iter()
                .map(|clone| clone.join().unwrap())
                .collect::<Vec<_>>()
        });
        if polls == 1 {
            Poll::Pending
        } else {
            Poll::Ready(clones[0].clone())
        }
    }));
    run(&executor);
    drop(executor);
    let waker = crate::support::result(handle).unwrap();
    thread::spawn(move || waker.wake()).join().unwrap();
}

#[test]
fn the_last_reference_goes_elsewhere() {
    for _ in 0..ROUNDS {
        let executor = executor();
        let (handle, waker, _) = waiting_task(&executor);
        handle.abort();
        drop(handle);
        let thread = thread::spawn(move || drop(waker));
        run(&executor);
        thread.join().unwrap();
    }
}

/// A counter that other threads raise, and whose waker they wake each time.
#[derive(Default)]
struct Counter {
    value: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

impl Counter {
    fn raise(&self) {
        self.value.fetch_add(1, Ordering::Relaxed);
        let waker = self.waker.lock().unwrap().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits for a value, each time with a new waker, or the old one.
    async fn reach(&self, goal: usize) {
        poll_fn(|cx| {
            {
                let mut waker = self.waker.lock().unwrap();
                match &mut *waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    None => *waker = Some(cx.waker().clone()),
                }
            }
            if self.value.load(Ordering::Relaxed) >= goal {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

#[test]
fn no_wake_is_lost_while_parking() {
    const TASKS: usize = 8;
    const THREADS: usize = 4;
    const WAKES: usize = 25 * ROUNDS;

    let unpark = unpark_here();
    let executor = Executor::new(unpark.clone());
    let counters: Arc<[Counter; TASKS]> = Arc::default();
    let handles: Vec<_> = (0..TASKS)
        .map(|task| {
            let counters = counters.clone();
            // Step by step, so that each step needs a wake of its own.
            executor.spawn(async move {
                for goal in 1..=THREADS * WAKES {
                    counters[task].reach(goal).await;
                }
            })
        })
        .collect();
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let counters = counters.clone();
            thread::spawn(move || {
                for wake in 0..WAKES {
                    counters.iter().for_each(Counter::raise);
                    if wake % 64 == 0 {
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    block_on(&executor, unpark, async {
        for handle in handles {
            handle.await.unwrap();
        }
    });
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}

#[test]
fn two_executors_wake_each_other_thousands_of_times() {
    const GOALS: usize = 25 * ROUNDS;

    let counters: Arc<[Counter; 2]> = Arc::default();
    let player = |own: usize| {
        let counters = counters.clone();
        move || {
            let unpark = unpark_here();
            let executor = Executor::new(unpark.clone());
            let handle = executor.spawn(async move {
                for round in 1..=GOALS {
                    if own == 0 {
                        counters[1].raise();
                        counters[0].reach(round).await;
                    } else {
                        counters[1].reach(round).await;
                        counters[0].raise();
                    }
                }
            });
            block_on(&executor, unpark, handle).unwrap();
        }
    };
    let threads = [thread::spawn(player(0)), thread::spawn(player(1))];
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}

#[test]
fn the_main_future_is_woken_from_elsewhere_while_parked() {
    let unpark = unpark_here();
    let executor = Executor::new(unpark.clone());
    drop(executor.spawn(pending::<()>()));
    let counter = Arc::new(Counter::default());
    let thread = thread::spawn({
        let counter = counter.clone();
        move || (0..5 * ROUNDS).for_each(|_| counter.raise())
    });
    block_on(&executor, unpark, counter.reach(5 * ROUNDS));
    thread.join().unwrap();
}

#[test]
fn writes_before_a_wake_are_visible_to_the_poll() {
    let executor = executor();
    for _ in 0..ROUNDS {
        let written = Arc::new(AtomicBool::new(false));
        let seen = Rc::new(Cell::new(false));
        let slot: Rc<Cell<Option<Waker>>> = Rc::default();
        let handle = executor.spawn({
            let (written, seen, slot) = (written.clone(), seen.clone(), slot.clone());
            poll_fn(move |cx| {
                slot.set(Some(cx.waker().clone()));
                seen.set(written.load(Ordering::Relaxed));
                if seen.get() {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
        });
        run(&executor);
        let waker = slot.take().unwrap();
        let thread = thread::spawn(move || {
            written.store(true, Ordering::Relaxed);
            waker.wake();
        });
        while !handle.is_finished() {
            executor.tick(64);
            thread::yield_now();
        }
        thread.join().unwrap();
    }
}
