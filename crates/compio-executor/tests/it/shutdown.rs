//! Wakers and handles after the executor's end, here and elsewhere.

use std::{
    cell::Cell,
    future::pending,
    rc::Rc,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
    thread,
};

use compio_executor::Executor;
use compio_testkit::waker::Bell;

use crate::support::{Probe, ROUNDS, check_cancelled, executor, run, waiting_task};

#[test]
fn futures_are_dropped_with_the_executor_though_wakers_remain() {
    let executor = executor();
    let drops = Rc::new(Cell::new(0));
    let probe = Probe::new(&drops);
    let (handle, waker, _) = waiting_task(&executor);
    drop(executor.spawn(async move {
        let _probe = probe;
        pending::<()>().await
    }));
    run(&executor);
    drop(executor);
    assert_eq!(drops.get(), 1);
    check_cancelled(handle);
    waker.wake_by_ref();
    drop(waker);
}

#[test]
fn a_waker_is_used_elsewhere_after_the_executor_died() {
    let unpark = Arc::<Bell>::default();
    let executor = Executor::new(unpark.waker());
    let (handle, waker, _) = waiting_task(&executor);
    drop(executor);
    drop(handle);
    thread::spawn(move || {
        waker.wake_by_ref();
        let clone = waker.clone();
        drop(waker);
        clone.wake();
    })
    .join()
    .unwrap();
    assert_eq!(unpark.rings(), 0);
}

#[test]
fn inbox_entries_at_shutdown_do_not_leak() {
    let unpark = Arc::<Bell>::default();
    let executor = Executor::new(unpark.waker());
    let tasks: Vec<_> = (0..3).map(|_| waiting_task(&executor)).collect();
    thread::scope(|scope| {
        for (_, waker, _) in &tasks {
            let waker = waker.clone();
            scope.spawn(move || waker.wake());
        }
    });
    assert_eq!(unpark.rings(), 1);
    drop(tasks);
    drop(executor);
    assert_eq!(Arc::strong_count(&unpark), 1);
}

#[test]
fn the_last_waker_lets_go_of_unpark() {
    let unpark = Arc::<Bell>::default();
    let executor = Executor::new(unpark.waker());
    let (handle, waker, _) = waiting_task(&executor);
    drop((executor, handle));
    assert_eq!(Arc::strong_count(&unpark), 2);
    thread::spawn(move || drop(waker)).join().unwrap();
    assert_eq!(Arc::strong_count(&unpark), 1);
}

#[test]
fn the_next_thread_is_not_taken_for_home() {
    // Threads one after another get the same thread of the system, the same stack, the same locals.
    let mut wakers: Vec<Waker> = Vec::new();
    for _ in 0..20 {
        wakers = thread::spawn(move || {
            wakers.iter().for_each(Waker::wake_by_ref);
            let executor = executor();
            let (_, waker, polls) = waiting_task(&executor);
            wakers.iter().for_each(Waker::wake_by_ref);
            assert!(!executor.has_ready());
            run(&executor);
            assert_eq!(polls.get(), 1);
            wakers.push(waker);
            wakers
        })
        .join()
        .unwrap();
    }
    wakers.into_iter().for_each(Waker::wake);
}

#[test]
fn an_executor_in_a_thread_local_dies_with_its_thread() {
    thread_local! {
        static EXECUTOR: Executor = executor();
    }
    let done = Arc::new(AtomicBool::new(false));
    struct Done(Arc<AtomicBool>);
    impl Drop for Done {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let waker = thread::spawn({
        let done = Done(done.clone());
        move || {
            EXECUTOR.with(|executor| {
                drop(executor.spawn(async move {
                    let _done = done;
                    pending::<()>().await
                }));
                waiting_task(executor).1
            })
        }
    })
    .join()
    .unwrap();
    assert!(done.load(Ordering::SeqCst));
    waker.wake();
}

#[test]
fn wakes_race_with_the_executors_death() {
    for _ in 0..ROUNDS {
        let executor = executor();
        let (handle, waker, _) = waiting_task(&executor);
        let start = Arc::new(Barrier::new(3));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (start, waker) = (start.clone(), waker.clone());
                thread::spawn(move || {
                    start.wait();
                    for _ in 0..50 {
                        waker.wake_by_ref();
                        drop(waker.clone());
                    }
                    waker.wake();
                })
            })
            .collect();
        drop(waker);
        start.wait();
        executor.tick(64);
        drop(executor);
        check_cancelled(handle);
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    }
}

/// Runs a test again in a child process, whose exit code is 7.
fn check_exit_of_child(test: &str, child: &str) {
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("shutdown::{test}")])
        .env(child, "1")
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(7));
}

#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn a_task_exits_the_process_and_takes_the_executor_with_it() {
    const CHILD: &str = "COMPIO_EXECUTOR_TEST_EXIT";
    thread_local! {
        static EXECUTOR: Executor = executor();
    }
    if std::env::var_os(CHILD).is_some() {
        // Run by the child, in which some platforms now destroy this thread's locals.
        EXECUTOR.with(|executor| {
            let (_waiting, waker, _) = waiting_task(executor);
            drop(executor.spawn(async move {
                let _waker = waker;
                std::process::exit(7);
            }));
            run(executor);
        });
    }
    check_exit_of_child(
        "a_task_exits_the_process_and_takes_the_executor_with_it",
        CHILD,
    );
}

/// A thread that borrowed the waker of the running poll may still wake the task.
#[test]
#[cfg_attr(miri, ignore = "starts a process")]
fn unpark_of_running_task_survives_the_exit_of_the_process() {
    const CHILD: &str = "COMPIO_EXECUTOR_TEST_EXIT_UNPARK";
    struct Unpark {
        // A leak detector recognizes no pointer to an empty value in an `Arc`.
        _bytes: u64,
    }
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Unpark {
        fn drop(&mut self) {
            std::process::abort();
        }
    }
    thread_local! {
        static EXECUTOR: Executor = Executor::new(Waker::from(Arc::new(Unpark { _bytes: 0 })));
    }
    if std::env::var_os(CHILD).is_some() {
        // Run by the child, in which some platforms now destroy this thread's locals.
        EXECUTOR.with(|executor| {
            drop(executor.spawn(async { std::process::exit(7) }));
            run(executor);
        });
    }
    check_exit_of_child(
        "unpark_of_running_task_survives_the_exit_of_the_process",
        CHILD,
    );
}
