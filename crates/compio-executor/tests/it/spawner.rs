//! Tasks that other threads spawn, await and abort.

use std::{
    future::{Ready, pending, poll_fn},
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll},
    thread,
};

use compio_executor::{Executor, JoinError, SendJoinHandle};
use compio_testkit::{
    buffer::on_drop,
    waker::{Bell, waker},
};

use crate::support::{ROUNDS, block_on, executor, poll_once, run, unpark_here, waiting_task};

#[track_caller]
fn output<T>(mut handle: SendJoinHandle<T>) -> Result<T, JoinError> {
    match poll_once(&mut handle) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the task has not ended"),
    }
}

#[test]
fn spawn_with_runs_local_future_at_home() {
    let executor = executor();
    let spawner = executor.spawner();
    let handle = thread::spawn(move || {
        spawner.spawn_with(|| {
            let local = Rc::new(7);
            async move { (*local, thread::current().id()) }
        })
    });
    let handle = handle.join().unwrap();
    assert!(executor.has_ready());
    run(&executor);
    assert_eq!(output(handle).unwrap(), (7, thread::current().id()));
}

#[test]
fn spawn_unparks_for_first_of_batch() {
    let unpark = Arc::<Bell>::default();
    let executor = Executor::new(unpark.waker());
    let spawner = executor.spawner();
    for round in 1..4 {
        for _ in 0..3 {
            spawner.spawn(async {}).detach();
        }
        assert_eq!(unpark.rings(), round);
        assert_eq!(executor.tick(64).polled, 3);
    }
}

#[test]
fn task_of_dropped_executor_is_cancelled() {
    let executor = executor();
    let spawner = executor.spawner();
    let dropped = Arc::new(AtomicUsize::new(0));
    let guard = |dropped: &Arc<AtomicUsize>| {
        let dropped = dropped.clone();
        on_drop(move || {
            dropped.fetch_add(1, Ordering::Relaxed);
        })
    };
    // Running, queued, and sent after the end.
    let (first, second, third) = (guard(&dropped), guard(&dropped), guard(&dropped));
    let running = spawner.spawn(async move {
        pending::<()>().await;
        drop(first);
    });
    run(&executor);
    let queued = spawner.spawn(async move { drop(second) });
    drop(executor);
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
    let late = spawner.spawn(async move { drop(third) });
    assert_eq!(dropped.load(Ordering::Relaxed), 3);
    for handle in [running, queued, late] {
        assert!(output(handle).unwrap_err().is_cancelled());
    }
}

#[test]
fn abort_before_task_reaches_executor_drops_closure_uncalled() {
    let executor = executor();
    let handle = executor.spawner().spawn_with(|| async { unreachable!() });
    let abort = handle.abort_handle();
    assert!(!abort.is_finished());
    abort.abort();
    run(&executor);
    assert!(abort.is_finished());
    let ended: Result<(), _> = output(handle);
    assert!(ended.unwrap_err().is_cancelled());
    assert_eq!(executor.task_count(), 0);
}

#[test]
fn closure_is_gone_when_aborted_handle_is_ready() {
    let executor = executor();
    let held = Arc::new(());
    let inside = held.clone();
    let mut handle = executor
        .spawner()
        .spawn_with(move || async move { drop(inside) });
    let seen = Arc::new(AtomicUsize::new(0));
    let waker = waker({
        let seen = seen.clone();
        move || seen.store(Arc::strong_count(&held), Ordering::Relaxed)
    });
    assert!(
        Pin::new(&mut handle)
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    handle.abort();
    run(&executor);
    assert_eq!(seen.load(Ordering::Relaxed), 1);
}

#[test]
fn panic_is_reported() {
    let executor = executor();
    let spawner = executor.spawner();
    let of_closure = spawner.spawn_with(|| -> Ready<()> { panic!("closure") });
    let of_poll = spawner.spawn(async { panic!("poll") });
    let guard = on_drop(|| panic!("destructor"));
    let of_drop = spawner.spawn(async move {
        pending::<()>().await;
        drop(guard);
    });
    run(&executor);
    of_drop.abort();
    run(&executor);
    for (handle, message) in [
        (of_closure, "closure"),
        (of_poll, "poll"),
        (of_drop, "destructor"),
    ] {
        let error = output(handle).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{} panicked: {message}", error.task())
        );
    }
}

#[test]
fn future_is_gone_when_handle_is_ready() {
    let executor = executor();
    let held = Arc::new(());
    let handle = executor.spawner().spawn({
        let held = held.clone();
        async move {
            let _held = held;
        }
    });
    run(&executor);
    assert!(handle.is_finished());
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn untaken_output_drops_once() {
    let executor = executor();
    let held = Arc::new(());
    let spawn = || {
        let held = held.clone();
        executor.spawner().spawn(async move { held })
    };
    // Before and after the end of the task.
    drop(spawn());
    let handle = spawn();
    run(&executor);
    assert_eq!(Arc::strong_count(&held), 2);
    drop(handle);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
#[should_panic(expected = "polled after it was ready")]
fn handle_polled_twice_panics() {
    let executor = executor();
    let mut handle = executor.spawner().spawn(async {});
    run(&executor);
    assert!(poll_once(&mut handle).is_ready());
    let _ = poll_once(&mut handle);
}

#[test]
fn abort_handle_ends_task_from_other_thread() {
    let executor = Executor::new(unpark_here());
    let handle = executor.spawn(pending::<()>());
    let abort = handle.abort_handle();
    let thread = thread::spawn({
        let abort = abort.clone();
        move || abort.abort()
    });
    let ended = block_on(&executor, unpark_here(), handle);
    assert!(ended.unwrap_err().is_cancelled());
    assert!(abort.is_finished());
    thread.join().unwrap();
}

#[test]
fn abort_handle_at_home_acts_as_join_handle() {
    let executor = executor();
    let handle = executor.spawn(pending::<()>());
    let abort = handle.abort_handle();
    abort.abort();
    assert!(!abort.is_finished());
    run(&executor);
    assert!(abort.is_finished() && handle.is_finished());
}

#[test]
fn abort_handle_outlives_task_and_executor() {
    let executor = executor();
    let running = executor.spawn(pending::<()>());
    let ended = executor.spawn(async {});
    let before = ended.abort_handle();
    executor.tick(1);
    run(&executor);
    let after = ended.abort_handle();
    let handles = [running.abort_handle(), before, after];
    drop((running, ended, executor));
    thread::spawn(move || {
        for handle in handles {
            assert!(handle.is_finished());
            handle.clone().abort();
        }
    })
    .join()
    .unwrap();
}

#[test]
fn abort_of_ended_task_does_not_unpark() {
    let unpark = Arc::<Bell>::default();
    let executor = Executor::new(unpark.waker());
    let (handle, waker, _) = waiting_task(&executor);
    let abort = handle.abort_handle();
    handle.abort();
    run(&executor);
    thread::spawn(move || abort.abort()).join().unwrap();
    assert_eq!(unpark.rings(), 0);
    drop(waker);
}

#[test]
fn two_executors_spawn_on_each_other() {
    let executor = Executor::new(unpark_here());
    let home = executor.spawner();
    let (send, receive) = mpsc::channel();
    let thread = thread::spawn(move || {
        let other = Executor::new(unpark_here());
        send.send(other.spawner()).unwrap();
        let rounds = async {
            for round in 0..ROUNDS {
                assert_eq!(home.spawn(async move { round }).await.unwrap(), round);
            }
        };
        block_on(&other, unpark_here(), rounds);
    });
    let other = receive.recv().unwrap();
    block_on(&executor, unpark_here(), async {
        // The other executor ends after its rounds, and cancels the last task.
        while other.spawn(async {}).await.is_ok() {}
    });
    thread.join().unwrap();
}

#[test]
fn handle_woken_on_its_own_thread() {
    let executor = executor();
    let mut handle = executor.spawner().spawn(poll_fn(|_| Poll::Ready(1)));
    let bell = Arc::<Bell>::default();
    let waker = bell.waker();
    let polled = Pin::new(&mut handle).poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    run(&executor);
    assert_eq!(bell.rings(), 1);
    assert_eq!(output(handle).unwrap(), 1);
}
