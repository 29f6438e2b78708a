//! What the model checker loom tries in every interleaving (within a bound of preemptions).
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p compio-executor --lib --release`
//!
//! Loom also reports cells that two threads touch without an order between them, atomics used after
//! they were freed in the model's eyes, and counted pointers that leak.

use std::{
    future::poll_fn,
    pin::pin,
    rc::Rc,
    sync::Arc as StdArc,
    task::{Context, Poll, Wake, Waker},
};

use loom::{
    alloc::Track,
    cell::Cell,
    sync::{
        Arc, Notify,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use crate::{Executor, JoinHandle, MainWaker};

/// Where a thread parks. (Loom's own `unpark` also ends a `join`, and so will not do.)
#[derive(Clone)]
struct Parker(Arc<Notify>);

impl Parker {
    fn new() -> Self {
        Self(Arc::new(Notify::new()))
    }

    fn park(&self) {
        self.0.wait();
    }

    fn unpark(&self) -> Waker {
        Waker::from(StdArc::new(self.clone()))
    }
}

impl Wake for Parker {
    fn wake(self: StdArc<Self>) {
        self.0.notify();
    }
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(3));
    builder.check(model);
}

/// Ticks, and parks when there is nothing to do, until the task has ended.
fn run<T>(executor: &Executor, parker: &Parker, handle: &JoinHandle<T>) {
    loop {
        let has_ready = executor.tick(4).has_ready;
        if handle.is_finished() {
            return;
        }
        if !has_ready {
            parker.park();
        }
    }
}

fn result<T>(mut handle: JoinHandle<T>) -> Poll<T> {
    pin!(&mut handle)
        .poll(&mut Context::from_waker(Waker::noop()))
        .map(Result::unwrap)
}

fn join(threads: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

/// A task that waits until `count` has reached `goal`, and its waker. Loom looks after its future.
fn waiting_task(
    executor: &Executor,
    count: &Arc<AtomicUsize>,
    goal: usize,
) -> (JoinHandle<Track<usize>>, Waker) {
    let slot = Rc::new(Cell::new(None));
    let handle = executor.spawn({
        let (slot, count, held) = (slot.clone(), count.clone(), Track::new(()));
        poll_fn(move |cx| {
            let _ = &held;
            slot.set(Some(cx.waker().clone()));
            // Relaxed: that the wake makes it visible is what is to be shown.
            let count = count.load(Relaxed);
            if count >= goal {
                Poll::Ready(Track::new(count))
            } else {
                Poll::Pending
            }
        })
    });
    executor.tick(1);
    (handle, slot.take().unwrap())
}

#[test]
fn a_wake_is_not_lost() {
    check(|| {
        let parker = Parker::new();
        let executor = Executor::new(parker.unpark());
        let count = Arc::new(AtomicUsize::new(0));
        let (handle, waker) = waiting_task(&executor, &count, 1);
        let thread = thread::spawn(move || {
            count.store(1, Relaxed);
            waker.wake();
        });
        run(&executor, &parker, &handle);
        assert!(matches!(result(handle), Poll::Ready(_)));
        thread.join().unwrap();
    });
}

#[test]
fn wakes_by_two_threads_are_not_lost() {
    check(|| {
        let parker = Parker::new();
        let executor = Executor::new(parker.unpark());
        let count = Arc::new(AtomicUsize::new(0));
        let (handle, waker) = waiting_task(&executor, &count, 2);
        let threads = [waker.clone(), waker].map(|waker| {
            let count = count.clone();
            thread::spawn(move || {
                count.fetch_add(1, Relaxed);
                waker.wake();
            })
        });
        run(&executor, &parker, &handle);
        assert!(matches!(result(handle), Poll::Ready(_)));
        join(threads);
    });
}

#[test]
fn two_wakes_by_one_thread_are_not_lost() {
    check(|| {
        let parker = Parker::new();
        let executor = Executor::new(parker.unpark());
        let count = Arc::new(AtomicUsize::new(0));
        let (handle, waker) = waiting_task(&executor, &count, 2);
        let thread = thread::spawn(move || {
            for _ in 0..2 {
                count.fetch_add(1, Relaxed);
                waker.wake_by_ref();
            }
        });
        run(&executor, &parker, &handle);
        assert!(matches!(result(handle), Poll::Ready(_)));
        thread.join().unwrap();
    });
}

#[test]
fn two_tasks_meet_in_the_inbox() {
    check(|| {
        let parker = Parker::new();
        let executor = Executor::new(parker.unpark());
        let count = Arc::new(AtomicUsize::new(0));
        let tasks = [(); 2].map(|()| waiting_task(&executor, &count, 1));
        count.store(1, Relaxed);
        let mut threads = Vec::new();
        let handles = tasks.map(|(handle, waker)| {
            threads.push(thread::spawn(move || waker.wake()));
            handle
        });
        for handle in handles {
            run(&executor, &parker, &handle);
            assert!(matches!(result(handle), Poll::Ready(_)));
        }
        join(threads);
    });
}

#[test]
fn a_remote_wake_meets_a_local_one_and_the_tasks_end() {
    check(|| {
        let executor = Executor::new(Waker::noop().clone());
        let count = Arc::new(AtomicUsize::new(1));
        let (handle, waker) = waiting_task(&executor, &count, 2);
        let remote = waker.clone();
        let thread = thread::spawn(move || {
            remote.wake_by_ref();
            remote.wake();
        });
        count.store(2, Relaxed);
        waker.wake();
        executor.tick(4);
        assert!(handle.is_finished());
        drop(result(handle));
        executor.tick(4);
        thread.join().unwrap();
    });
}

#[test]
fn a_remote_wake_meets_an_abort() {
    check(|| {
        let executor = Executor::new(Waker::noop().clone());
        let count = Arc::new(AtomicUsize::new(0));
        let (handle, waker) = waiting_task(&executor, &count, 1);
        let thread = thread::spawn(move || waker.wake());
        handle.abort();
        drop(handle);
        executor.tick(4);
        assert_eq!(executor.task_count(), 0);
        thread.join().unwrap();
    });
}

#[test]
fn a_remote_wake_meets_the_executors_death() {
    check(|| {
        let executor = Executor::new(Waker::noop().clone());
        let count = Arc::new(AtomicUsize::new(0));
        let (handle, waker) = waiting_task(&executor, &count, 1);
        let thread = thread::spawn(move || {
            waker.wake_by_ref();
            waker.wake();
        });
        drop(executor);
        assert!(handle.is_finished());
        drop(handle);
        thread.join().unwrap();
    });
}

#[test]
fn two_remote_wakes_meet_the_executors_death() {
    check(|| {
        let executor = Executor::new(Waker::noop().clone());
        let count = Arc::new(AtomicUsize::new(0));
        let tasks = [(); 2].map(|()| waiting_task(&executor, &count, 1));
        let threads = tasks.map(|(_, waker)| thread::spawn(move || waker.wake()));
        drop(executor);
        join(threads);
    });
}

#[test]
fn the_last_references_go_on_three_threads() {
    check(|| {
        let executor = Executor::new(Waker::noop().clone());
        let count = Arc::new(AtomicUsize::new(0));
        let (handle, waker) = waiting_task(&executor, &count, 1);
        let threads = [waker.clone(), waker].map(|waker| thread::spawn(move || drop(waker)));
        drop(handle);
        drop(executor);
        join(threads);
    });
}

#[test]
fn a_waker_is_cloned_elsewhere_while_the_task_ends() {
    check(|| {
        let executor = Executor::new(Waker::noop().clone());
        let count = Arc::new(AtomicUsize::new(0));
        let (handle, waker) = waiting_task(&executor, &count, 1);
        let thread = thread::spawn(move || {
            let clone = waker.clone();
            drop(waker);
            clone.wake();
        });
        executor.clear();
        drop(handle);
        thread.join().unwrap();
    });
}

/// The first two clones of a waker ever, made at once on two threads that the poll waits for.
#[test]
fn two_threads_lease_the_core() {
    // Lent to threads that do not outlive the poll: what `std::thread::scope` does, and loom lacks.
    struct Lent(*const Waker);
    // SAFETY: a `&Waker` may be sent.
    unsafe impl Send for Lent {}
    impl Lent {
        fn get(&self) -> Waker {
            // SAFETY: the poll that lends it waits for the thread.
            unsafe { &*self.0 }.clone()
        }
    }

    check(|| {
        let executor = Executor::new(Waker::noop().clone());
        let handle = executor.spawn(poll_fn(|cx| {
            let lent = [Lent(cx.waker()), Lent(cx.waker())];
            let threads = lent.map(|lent| {
                thread::spawn(move || {
                    let clone = lent.get();
                    clone.wake_by_ref();
                    clone
                })
            });
            Poll::Ready(threads.map(|thread| thread.join().unwrap()))
        }));
        executor.tick(1);
        let Poll::Ready(wakers) = result(handle) else {
            unreachable!()
        };
        drop(executor);
        let threads = wakers.map(|waker| thread::spawn(move || waker.wake()));
        join(threads);
    });
}

#[test]
fn a_wake_of_the_main_future_is_not_lost() {
    check(|| {
        let parker = Parker::new();
        let main = MainWaker::new(parker.unpark());
        let count = Arc::new(AtomicUsize::new(0));
        let threads = [(); 2].map(|()| {
            let (waker, count) = (main.waker().clone(), count.clone());
            thread::spawn(move || {
                count.fetch_add(1, Relaxed);
                waker.wake();
            })
        });
        loop {
            if main.take_woken() && count.load(Relaxed) == 2 {
                break;
            }
            // At home, between two wakes from elsewhere.
            if !main.is_woken() {
                parker.park();
            }
        }
        join(threads);
    });
}

#[test]
fn a_parked_flag_with_fences_loses_no_wake() {
    use loom::sync::atomic::{AtomicBool, Ordering::SeqCst, fence};

    // The protocol that `Executor::has_ready` describes.
    struct Elided {
        parked: Arc<AtomicBool>,
        parker: Parker,
    }
    impl Wake for Elided {
        fn wake(self: StdArc<Self>) {
            fence(SeqCst);
            if self.parked.load(Relaxed) {
                self.parker.0.notify();
            }
        }
    }

    check(|| {
        let parked = Arc::new(AtomicBool::new(false));
        let parker = Parker::new();
        let unpark = Elided {
            parked: parked.clone(),
            parker: parker.clone(),
        };
        let executor = Executor::new(Waker::from(StdArc::new(unpark)));
        let count = Arc::new(AtomicUsize::new(0));
        let (handle, waker) = waiting_task(&executor, &count, 1);
        let thread = thread::spawn(move || {
            count.store(1, Relaxed);
            waker.wake();
        });
        loop {
            executor.tick(4);
            if handle.is_finished() {
                break;
            }
            parked.store(true, Relaxed);
            fence(SeqCst);
            if !executor.has_ready() {
                parker.park();
            }
            parked.store(false, Relaxed);
        }
        drop(result(handle));
        thread.join().unwrap();
    });
}
