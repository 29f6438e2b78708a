//! Loom tests: every interleaving, within a bound of preemptions.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p compio-executor --lib --release`
//!
//! Loom also reports unordered accesses of two threads to a cell, atomics that are used after they
//! were freed in the model, and leaked reference counts.

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
        Arc, Mutex, Notify,
        atomic::{
            AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    thread,
};

use crate::{
    Executor, JoinHandle, MainWaker, SendJoinHandle,
    biased_count::{BiasedCount, LocalPart, SharedPart},
};

/// Parks a thread. (Loom's own `unpark` also ends a `join`, so it is unsuitable.)
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

/// Ticks until the task has ended, and parks while no task is ready.
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

/// A task that waits until `count` has reached `goal`, and its waker. Loom tracks its future.
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
            // Relaxed: the test shows that the wake makes it visible.
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
fn remote_abort_ends_waiting_task() {
    check(|| {
        let parker = Parker::new();
        let executor = Executor::new(parker.unpark());
        let count = Arc::new(AtomicUsize::new(0));
        let (handle, waker) = waiting_task(&executor, &count, 1);
        let abort = handle.abort_handle();
        let thread = thread::spawn(move || {
            abort.abort();
            let _ = abort.is_finished();
        });
        run(&executor, &parker, &handle);
        drop((handle, waker));
        thread.join().unwrap();
    });
}

#[test]
fn remote_abort_meets_remote_wake_and_executor_drop() {
    check(|| {
        let executor = Executor::new(Waker::noop().clone());
        let count = Arc::new(AtomicUsize::new(0));
        let (handle, waker) = waiting_task(&executor, &count, 1);
        let abort = handle.abort_handle();
        drop(handle);
        let threads = [
            thread::spawn(move || abort.clone().abort()),
            thread::spawn(move || waker.wake()),
        ];
        executor.tick(1);
        drop(executor);
        join(threads);
    });
}

/// The result of a remote task, if it has ended.
fn remote_result<T>(handle: &mut SendJoinHandle<T>) -> Poll<Result<T, crate::JoinError>> {
    pin!(handle).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn remote_spawn_ends_park_of_home_thread() {
    check(|| {
        let parker = Parker::new();
        let executor = Executor::new(parker.unpark());
        let spawner = executor.spawner();
        let caller = Parker::new();
        let woken = caller.clone();
        let thread = thread::spawn(move || {
            let mut handle = spawner.spawn_with(|| async { Track::new(1) });
            let waker = woken.unpark();
            loop {
                let polled = pin!(&mut handle).poll(&mut Context::from_waker(&waker));
                if let Poll::Ready(output) = polled {
                    assert_eq!(*output.unwrap().get_ref(), 1);
                    return;
                }
                caller.park();
            }
        });
        while executor.tick(4).polled == 0 {
            if !executor.has_ready() {
                parker.park();
            }
        }
        thread.join().unwrap();
    });
}

#[test]
fn remote_spawns_by_two_threads_are_not_lost() {
    check(|| {
        let parker = Parker::new();
        let executor = Executor::new(parker.unpark());
        let threads = [(); 2].map(|()| {
            let spawner = executor.spawner();
            thread::spawn(move || spawner.spawn_with(|| async {}).detach())
        });
        let mut polled = 0;
        while polled < 2 {
            polled += executor.tick(4).polled;
            if polled < 2 && !executor.has_ready() {
                parker.park();
            }
        }
        join(threads);
    });
}

#[test]
fn remote_spawn_meets_executor_drop() {
    check(|| {
        let executor = Executor::new(Waker::noop().clone());
        let spawner = executor.spawner();
        let thread = thread::spawn(move || {
            let held = Track::new(());
            spawner.spawn_with(move || async move { held })
        });
        executor.tick(4);
        drop(executor);
        let mut handle = thread.join().unwrap();
        // Completed or cancelled, but never lost.
        assert!(remote_result(&mut handle).is_ready());
    });
}

#[test]
fn remote_handle_drops_while_task_ends() {
    check(|| {
        let executor = Executor::new(Waker::noop().clone());
        let handle = executor.spawner().spawn_with(|| async { Track::new(()) });
        let abort = handle.abort_handle();
        let thread = thread::spawn(move || {
            abort.abort();
            drop(handle);
        });
        while executor.tick(4).has_ready {}
        thread.join().unwrap();
        while executor.tick(4).has_ready {}
        assert_eq!(executor.task_count(), 0);
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

#[test]
fn wakers_of_home_go_elsewhere_while_the_task_ends() {
    check(|| {
        let executor = Executor::new(Waker::noop().clone());
        let count = Arc::new(AtomicUsize::new(0));
        let (handle, waker) = waiting_task(&executor, &count, 1);
        // More than the home thread's part of the count can hold, at home and elsewhere.
        let wakers = [waker.clone(), waker.clone(), waker.clone()];
        let thread = thread::spawn(move || drop(wakers));
        waker.wake_by_ref();
        executor.clear();
        drop(handle);
        drop(waker);
        thread.join().unwrap();
    });
}

#[test]
fn wakers_of_elsewhere_go_at_home_while_the_task_ends() {
    check(|| {
        let executor = Executor::new(Waker::noop().clone());
        let count = Arc::new(AtomicUsize::new(0));
        let (handle, waker) = waiting_task(&executor, &count, 1);
        let slot = Arc::new(Mutex::new(None));
        let thread = thread::spawn({
            let slot = slot.clone();
            move || {
                *slot.lock().unwrap() = Some(waker.clone());
                waker.wake();
            }
        });
        drop(slot.lock().unwrap().take());
        executor.clear();
        drop(slot.lock().unwrap().take());
        drop(handle);
        drop(slot.lock().unwrap().take());
        thread.join().unwrap();
        drop(slot.lock().unwrap().take());
    });
}

/// A counted value. Loom checks that it is freed after all uses.
struct Counted {
    shared: SharedPart,
    local: LocalPart,
    freed: Cell<bool>,
}

// SAFETY: only the home thread touches `local`. The models show that `freed` is ordered.
unsafe impl Send for Counted {}
// SAFETY: as above.
unsafe impl Sync for Counted {}

impl Counted {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            shared: SharedPart::new(),
            local: LocalPart::new(),
            freed: Cell::new(false),
        })
    }

    fn count(&self) -> BiasedCount<'_> {
        assert!(!self.freed.get(), "freed while a reference exists");
        BiasedCount {
            shared: &self.shared,
            local: &self.local,
        }
    }

    fn add_at_home(&self) {
        // SAFETY: the models call it on their first thread.
        unsafe { self.count().add_at_home() }
    }

    fn remove_at_home(&self) {
        // SAFETY: as above.
        if unsafe { self.count().remove_at_home() } {
            self.freed.set(true);
        }
    }

    fn remove(&self) {
        if self.count().remove() {
            self.freed.set(true);
        }
    }

    fn leave(&self) {
        // SAFETY: as above, and once.
        if unsafe { self.count().leave() } {
            self.freed.set(true);
        }
    }
}

/// One reference is passed to another thread, and the home thread leaves. The value must be freed
/// once.
fn check_count(home: fn(&Counted), elsewhere: fn(&Counted)) {
    check(move || {
        let counted = Counted::new();
        counted.add_at_home();
        let thread = thread::spawn({
            let counted = counted.clone();
            move || elsewhere(&counted)
        });
        home(&counted);
        thread.join().unwrap();
        assert!(counted.freed.get());
    });
}

#[test]
fn home_leaves_while_the_last_reference_goes() {
    check_count(Counted::leave, Counted::remove);
}

#[test]
fn home_leaves_with_a_reference_of_its_own() {
    check_count(
        |counted| {
            counted.add_at_home();
            counted.leave();
            // From here on it counts like any other thread.
            counted.add_at_home();
            counted.remove_at_home();
            counted.remove_at_home();
        },
        |counted| {
            counted.count().add();
            counted.remove();
            counted.remove();
        },
    );
}

#[test]
fn home_takes_the_way_of_others() {
    check_count(
        |counted| {
            counted.add_at_home();
            counted.count().add();
            counted.remove();
            counted.remove();
            counted.leave();
        },
        |counted| {
            counted.count().add();
            counted.remove();
            counted.remove();
        },
    );
}

#[test]
fn home_settles_while_references_come_and_go() {
    check_count(
        |counted| {
            for _ in 0..3 {
                counted.add_at_home();
            }
            for _ in 0..3 {
                counted.remove_at_home();
            }
            counted.leave();
        },
        |counted| {
            counted.count().add();
            counted.remove();
            counted.remove();
        },
    );
}

#[test]
fn home_thread_settles_remote_references() {
    check(|| {
        let counted = Counted::new();
        counted.add_at_home();
        let given = Arc::new(AtomicUsize::new(0));
        let thread = thread::spawn({
            let (counted, given) = (counted.clone(), given.clone());
            move || {
                for _ in 0..4 {
                    counted.count().add();
                    given.fetch_add(1, Release);
                }
                counted.remove();
            }
        });
        let mut taken = 0;
        for _ in 0..3 {
            while taken < given.load(Acquire) {
                counted.remove_at_home();
                taken += 1;
            }
        }
        counted.leave();
        thread.join().unwrap();
        while taken < 4 {
            counted.remove_at_home();
            taken += 1;
        }
        assert!(counted.freed.get());
    });
}

/// The first two clones of a waker, made concurrently on two threads that the poll waits for.
#[test]
fn two_threads_lease_the_core() {
    // Lent to threads that do not outlive the poll. Loom has no `std::thread::scope`.
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
fn the_main_waker_goes_while_others_wake_it() {
    check(|| {
        let unpark = Arc::new(());
        let main = MainWaker::new(Waker::from(StdArc::new(Held(unpark.clone()))));
        let (here, there) = (main.waker().clone(), main.waker().clone());
        let thread = thread::spawn(move || {
            there.clone().wake();
            there.wake();
        });
        here.wake_by_ref();
        drop(main);
        here.wake();
        thread.join().unwrap();
        assert_eq!(Arc::strong_count(&unpark), 1);
    });
}

/// A waker whose drop loom tracks.
struct Held(#[expect(dead_code, reason = "it is only dropped")] Arc<()>);

impl Wake for Held {
    fn wake(self: StdArc<Self>) {}
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

/// The counters may be the last owner of the scheduler, on another thread. Loom reports a leak of the parker, or a second
/// drop.
#[test]
fn counters_outlive_executor_and_wakers() {
    check(|| {
        let parker = Parker::new();
        let executor = Executor::new(parker.unpark());
        let count = Arc::new(AtomicUsize::new(0));
        let (handle, waker) = waiting_task(&executor, &count, 1);
        let metrics = executor.metrics();
        let reader = thread::spawn(move || {
            assert!(metrics.finished() <= metrics.spawned());
            drop(metrics);
        });
        let waking = thread::spawn(move || waker.wake());
        drop(executor);
        drop(handle);
        join([reader, waking]);
    });
}
