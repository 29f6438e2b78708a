//! Futures and values that are dropped: at every await, while a thread unwinds, after the end of the runtime, at the end
//! of a thread.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    task::{Context, Waker},
    thread,
};

use compio::{
    compat::tokio::{Compat, run as on_tokio, spawn as spawn_on_tokio},
    runtime::Runtime,
    task,
};
use compio_testkit::{LONG, future::begin};
use tokio::sync::oneshot;

use crate::support::{Place, guard, hold, on_thread, run};

#[test]
fn run_dropped_before_its_first_poll_drops_future_in_context() {
    // Nothing has to be dropped in a context before the first use of tokio.
    compio::compat::tokio::handle();
    let (value, dropped) = guard();
    drop(on_tokio(hold(value)));
    assert_eq!(dropped.place(), Place::HERE);
}

/// The future waits at its first, second, … await when its caller is dropped.
#[test]
fn run_dropped_at_each_await_drops_future_on_reactor() {
    const AWAITS: usize = 5;
    for stop in 0..AWAITS {
        let (value, dropped) = guard();
        let (reached, at) = mpsc::channel();
        let mut steps = Box::pin(on_tokio(async move {
            let _value = value;
            for step in 0..AWAITS {
                reached.send(step).unwrap();
                if step == stop {
                    std::future::pending::<()>().await;
                }
                tokio::task::yield_now().await;
            }
        }));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(steps.as_mut().poll(&mut cx).is_pending());
        while at.recv_timeout(LONG).unwrap() < stop {}
        assert!(!dropped.is_dropped());
        drop(steps);
        assert_eq!(dropped.place(), Place::REACTOR);
        assert!(at.recv_timeout(LONG).is_err(), "it went on");
    }
}

#[test]
fn run_dropped_after_end_of_future_drops_output_in_context() {
    let (value, dropped) = guard();
    let (release, released) = oneshot::channel::<()>();
    let (ended, has_ended) = mpsc::channel();
    let mut output = Box::pin(on_tokio(async move {
        released.await.unwrap();
        ended.send(()).unwrap();
        value
    }));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(output.as_mut().poll(&mut cx).is_pending());
    release.send(()).unwrap();
    has_ended.recv_timeout(LONG).unwrap();
    // The task ends after the future: another one that was spawned later shows that.
    run(on_tokio(async {}));
    drop(output);
    assert_eq!(dropped.place(), Place::HERE);
}

#[test]
fn detached_output_is_dropped_in_context() {
    run(async {
        let (value, dropped) = guard();
        let task = spawn_on_tokio(async move { value });
        while !task.is_finished() {
            task::yield_now().await;
        }
        drop(task);
        assert_eq!(dropped.place(), Place::HERE);
        // Without its handle, the task drops its output itself.
        let (value, dropped) = guard();
        let (release, released) = oneshot::channel::<()>();
        drop(spawn_on_tokio(async move {
            released.await.unwrap();
            value
        }));
        release.send(()).unwrap();
        assert_eq!(dropped.place(), Place::REACTOR);
    });
}

#[test]
fn drop_by_panic_is_in_context() {
    let (first, first_dropped) = guard();
    let (second, second_dropped) = guard();
    let (third, third_dropped) = guard();
    let (fourth, fourth_dropped) = guard();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        run(async {
            let _unpolled = on_tokio(hold(first));
            let mut begun = on_tokio(hold(second));
            begin(&mut begun).await;
            let _value = Compat::new(third);
            let mut future = Compat::new(hold(fourth));
            begin(&mut future).await;
            panic!("as intended");
        });
    }));
    assert!(panicked.is_err());
    assert_eq!(first_dropped.place(), Place::HERE);
    assert_eq!(second_dropped.place(), Place::REACTOR);
    assert_eq!(third_dropped.place(), Place::HERE);
    assert_eq!(fourth_dropped.place(), Place::HERE);
}

#[test]
fn compat_drops_in_context_and_restores_it() {
    let (value, dropped) = guard();
    drop(Compat::new(value));
    assert_eq!(dropped.place(), Place::HERE);
    assert!(tokio::runtime::Handle::try_current().is_err());
    let (value, dropped) = guard();
    drop(Compat::new(value).into_inner());
    assert!(!dropped.place().has_context);
}

/// A destructor that panics leaves no context behind.
#[test]
fn compat_whose_value_panics_on_drop_leaves_context() {
    let failing = Compat::new(compio_testkit::buffer::on_drop(|| panic!("as intended")));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(failing))).is_err());
    assert!(tokio::runtime::Handle::try_current().is_err());
}

#[test]
fn values_in_tasks_are_dropped_in_context_by_end_of_runtime() {
    let runtime = Runtime::new().unwrap();
    let (compat, compat_dropped) = guard();
    let (request, request_dropped) = guard();
    let (reached, at) = mpsc::channel();
    runtime.spawn(Compat::new(hold(compat)));
    runtime.spawn(on_tokio(async move {
        reached.send(()).unwrap();
        hold(request).await;
    }));
    runtime.block_on(task::yield_now());
    at.recv_timeout(LONG).unwrap();
    drop(runtime);
    assert_eq!(compat_dropped.place(), Place::HERE);
    assert_eq!(request_dropped.place(), Place::REACTOR);
}

#[test]
fn values_outlive_runtime() {
    let (value, dropped) = guard();
    let (value, other, task) = on_thread(move || {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let value = on_tokio(async move { value }).await;
            let other = on_tokio(async { 7 });
            (Compat::new(value), other, spawn_on_tokio(async { 8 }))
        })
    });
    assert!(!dropped.is_dropped());
    drop(value);
    assert_eq!(dropped.place(), Place::HERE);
    run(async {
        assert_eq!(other.await, 7);
        assert_eq!(task.await.unwrap(), 8);
    });
}

#[cfg(unix)]
thread_local! {
    /// Registered before tokio's variable, and so dropped after it. Windows has another order.
    static LATE: std::cell::RefCell<Vec<Box<dyn std::any::Any>>> = const { std::cell::RefCell::new(Vec::new()) };
}

#[cfg(unix)]
fn drop_late(value: impl std::any::Any) {
    LATE.with_borrow_mut(|late| late.push(Box::new(value)));
}

/// The destructors of a thread run when tokio's context has gone. Values that can be sent go to the reactor.
#[cfg(unix)]
#[test]
fn values_at_end_of_thread_are_dropped_on_reactor() {
    let (unstarted, unstarted_dropped) = guard();
    let (started, started_dropped) = guard();
    let (output, output_dropped) = guard();
    on_thread(move || {
        LATE.with_borrow_mut(Vec::clear);
        run(async {
            let mut begun = on_tokio(hold(started));
            begin(&mut begun).await;
            drop_late(begun);
            drop_late(on_tokio(hold(unstarted)));
            let task = spawn_on_tokio(async move { output });
            while !task.is_finished() {
                task::yield_now().await;
            }
            drop_late(task);
        });
    });
    assert_eq!(unstarted_dropped.place(), Place::REACTOR);
    assert_eq!(started_dropped.place(), Place::REACTOR);
    assert_eq!(output_dropped.place(), Place::REACTOR);
}

/// The thread's own runtime ends with its thread.
#[test]
fn request_in_task_at_end_of_thread_is_dropped_on_reactor() {
    let (value, dropped) = guard();
    let (reached, at) = mpsc::channel();
    on_thread(move || {
        run(async {
            let request = on_tokio(async move {
                reached.send(()).unwrap();
                hold(value).await;
            });
            task::spawn(request);
            task::yield_now().await;
        });
        at.recv_timeout(LONG).unwrap();
    });
    assert_eq!(dropped.place(), Place::REACTOR);
}

/// A value that stays on its thread has no place for its drop there.
#[cfg(unix)]
#[test]
fn compat_in_task_at_end_of_thread_is_leaked() {
    let (value, dropped) = guard();
    on_thread(move || {
        LATE.with_borrow_mut(Vec::clear);
        let value = Compat::new(value);
        // Tokio's variable.
        assert!(tokio::runtime::Handle::try_current().is_err());
        drop_late(value);
    });
    assert!(dropped.is_leaked());
    // The next thread is not affected.
    let next = thread::spawn(|| run(on_tokio(async { 7 })));
    assert_eq!(next.join().unwrap(), 7);
}
