//! Several runtimes, and runtimes within runtimes.

use std::{
    thread,
    time::{Duration, Instant},
};

use compio::{
    runtime::{Runtime, submit},
    task::{block_on, spawn, yield_now},
    time::sleep,
};
use compio_testkit::check::panics;

use crate::support::{First, Flag, LONG, begin, run, select};

#[test]
fn a_block_on_within_itself_panics_and_the_outer_one_goes_on() {
    let answer = run(async {
        assert!(panics(|| block_on(async {})));
        let within_a_task = spawn(async { panics(|| block_on(async {})) });
        assert!(within_a_task.await.unwrap());
        sleep(Duration::from_millis(1)).await;
        42
    });
    assert_eq!(answer, 42);
}

#[test]
fn run_within_block_on_panics() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        assert!(panics(|| {
            runtime.run();
        }));
    });
}

#[test]
fn two_runtimes_on_one_thread_keep_their_tasks_apart() {
    let (one, other) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let of_one = one.spawn(async { "one" });
    let of_other = other.spawn(async { "other" });
    assert_eq!(one.block_on(of_one).unwrap(), "one");
    assert!(!of_other.is_finished());
    assert_eq!(other.block_on(of_other).unwrap(), "other");
}

#[test]
fn a_runtime_within_another_is_the_current_one_only_there() {
    let (outer, inner) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    outer.block_on(async {
        let mut of_inner = None;
        inner.block_on(async {
            submit(compio::op::Nop::new()).await.unwrap();
            of_inner = Some(spawn(std::future::pending::<()>()));
        });
        let of_outer = spawn(async { 42 });
        assert_eq!(of_outer.await.unwrap(), 42);
        assert!(!of_inner.unwrap().is_finished());
    });
}

#[test]
fn tasks_spawned_in_an_entered_runtime_belong_to_it() {
    let (one, other) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let (of_one, of_other) = one.enter(|| {
        let of_other = other.enter(|| spawn(async { 2 }));
        (spawn(async { 1 }), of_other)
    });
    assert_eq!(one.block_on(of_one).unwrap(), 1);
    assert_eq!(other.block_on(of_other).unwrap(), 2);
}

#[test]
fn tasks_that_have_not_ended_go_on_in_the_next_block_on() {
    let flag = Flag::default();
    let raiser = flag.clone();
    let mut task = None;
    block_on(async {
        task = Some(spawn(async move { flag.taken().await }));
        yield_now().await;
    });
    let task = task.unwrap();
    assert!(!task.is_finished());
    raiser.raise();
    run(task).unwrap();
}

#[test]
fn each_thread_has_a_runtime_of_its_own() {
    let threads: Vec<_> = (0..8)
        .map(|number| {
            thread::spawn(move || {
                run(async {
                    let task = spawn(async move {
                        sleep(Duration::from_millis(1)).await;
                        number
                    });
                    task.await.unwrap()
                })
            })
        })
        .collect();
    for (number, thread) in threads.into_iter().enumerate() {
        assert_eq!(thread.join().unwrap(), number);
    }
}

#[test]
fn a_sleep_that_moves_to_another_runtime_ends_there() {
    let (one, other) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let mut nap = sleep(LONG);
    one.block_on(begin(&mut nap));
    // No thread runs `one` any more.
    let deadline = Instant::now() + Duration::from_millis(5);
    nap.reset(deadline);
    other.block_on(async {
        let ended = select(nap, sleep(LONG)).await;
        assert_eq!(ended, First::Left(()));
    });
    assert!(deadline <= Instant::now());
}

#[test]
fn an_operation_that_moves_to_another_runtime_ends_with_its_own() {
    let one = Runtime::new().unwrap();
    let mut operation = one.enter(|| submit(compio::op::Nop::new()));
    one.block_on(begin(&mut operation));
    drop(one);
    let other = Runtime::new().unwrap();
    // The kernel may have completed it in time.
    let _answer = other.block_on(operation);
}

#[test]
fn the_backend_names_its_kind_and_reason() {
    let runtime = Runtime::builder().entries(8).build().unwrap();
    let backend = runtime.backend();
    assert!(!backend.why().is_empty());
    let current = runtime.block_on(async { compio::runtime::backend() });
    assert_eq!(current.kind(), backend.kind());
}

#[test]
fn current_runtime_is_the_one_that_runs_or_was_entered() {
    assert!(Runtime::try_current().is_none());
    let outer = Runtime::new().unwrap();
    let handle = outer.local_handle();
    assert!(Runtime::try_current().is_none());
    outer.enter(|| {
        let task = Runtime::try_current().unwrap().spawn(async { 1 });
        assert_eq!(outer.block_on(task).unwrap(), 1);
        assert!(Runtime::try_current().is_some());
    });
    handle.enter(|| assert!(Runtime::try_current().is_some()));
    assert!(Runtime::try_current().is_none());
    run(async {
        let current = Runtime::try_current().unwrap();
        assert_eq!(current.spawn(async { 2 }).await.unwrap(), 2);
        assert_eq!(current.backend().kind(), outer.backend().kind());
    });
    assert!(Runtime::try_current().is_none());
    // The handle of a runtime does not keep it alive.
    assert_eq!(format!("{handle:?}"), "LocalHandle { is_dropped: false }");
    drop(outer);
    assert!(panics(|| drop(handle.spawn(async {}))));
    assert_eq!(format!("{handle:?}"), "LocalHandle { is_dropped: true }");
}
