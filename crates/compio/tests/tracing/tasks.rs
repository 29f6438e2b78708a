//! The spans of tasks.

use std::{future, panic::Location, thread};

use compio::{
    runtime::{Handle, Runtime},
    task::{self, Builder},
};
use tracing::trace;

use crate::recorder::{Recorder, Value, checked, record};

/// Reports its drop.
struct Reports;

impl Drop for Reports {
    fn drop(&mut self) {
        trace!(target: "test", "dropped");
    }
}

#[test]
fn spawned_task_has_span_with_its_identity() {
    let (tx, rx) = std::sync::mpsc::channel();
    let here = Location::caller();
    let records = record(async move {
        let task = Builder::new().name("worker").spawn(async {
            task::yield_now().await;
            task::id().number()
        });
        tx.send(task.await.unwrap()).unwrap();
    });
    let task = records.task("worker");
    assert_eq!(task.target, "compio::task");
    assert!(task.has("kind", "task"));
    assert!(task.has("task.id", rx.recv().unwrap()));
    assert!(task.has("loc.file", here.file()));
    assert_eq!(task.fields.number("loc.line"), u64::from(here.line()) + 2);
    assert!(task.fields.number("loc.col") > 1);
    assert!(task.fields.number("size.bytes") > 0);
    // Two polls, and the drop of the future.
    assert_eq!(task.enters, 3);
    assert_eq!(records.waker_events(task, "waker.wake_by_ref"), 1);
}

#[test]
fn task_without_name_has_no_name_in_its_span() {
    let records = record(async { task::spawn(async {}).await.unwrap() });
    let tasks = records.named("runtime.spawn");
    let unnamed = tasks.iter().find(|span| span.has("kind", "task")).unwrap();
    assert_eq!(unnamed.fields.get("task.name"), None);
}

#[test]
fn block_on_has_span_at_the_place_of_its_call() {
    let recorder = Recorder::default();
    let here = Location::caller();
    recorder.observe(|| {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async { trace!(target: "test", "inside") });
    });
    let records = checked(&recorder);
    let spans = records.named("runtime.spawn");
    assert_eq!(spans.len(), 1);
    assert!(spans[0].has("kind", "block_on"));
    assert!(spans[0].fields.number("task.id") > 0);
    assert!(spans[0].has("loc.file", file!()));
    let line = spans[0].fields.number("loc.line");
    assert_eq!(line, u64::from(here.line()) + 3);
    assert_eq!(records.events_in(spans[0], "test").len(), 1);
}

#[test]
fn blocking_code_runs_within_the_span_of_its_task() {
    let records = record(async {
        let work = Builder::new().name("hash").spawn_blocking(|| {
            let this_thread = thread::current().id();
            (6 * 7, this_thread)
        });
        let (answer, thread) = work.await.unwrap();
        assert_eq!(answer, 42);
        assert_ne!(thread, thread::current().id());
        task::spawn_blocking(|| ()).await.unwrap();
    });
    let task = records.task("hash");
    assert!(task.has("kind", "blocking"));
    let spans = records.named("runtime.spawn");
    let blocking = spans.iter().filter(|span| span.has("kind", "blocking"));
    assert_eq!(blocking.count(), 2);
    let operations = records.operations("blocking");
    assert_eq!(operations.len(), 2);
    assert!(operations[0].stack.contains(&task.id));
    assert!(
        records
            .resource_of(operations[0])
            .has("concrete_type", "Driver")
    );
}

#[test]
fn blocking_code_reports_events_in_the_span_of_its_task() {
    let recorder = Recorder::default();
    let inner = recorder.clone();
    recorder.observe(|| {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let code = move || inner.observe(|| trace!(target: "test", "on the pool"));
            let work = Builder::new().name("hash").spawn_blocking(code);
            work.await.unwrap();
        });
    });
    let records = checked(&recorder);
    assert_eq!(records.events_in(records.task("hash"), "test").len(), 1);
}

#[test]
fn task_from_another_thread_has_span() {
    let recorder = Recorder::default();
    let remote = recorder.clone();
    recorder.observe(|| {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let handle = Handle::current();
            let spawn = || {
                let made = || {
                    trace!(target: "test", "made");
                    async { trace!(target: "test", "polled") }
                };
                Builder::new().name("remote").spawn_with_on(made, &handle)
            };
            let task = thread::scope(|scope| {
                let thread = scope.spawn(|| remote.observe(spawn));
                thread.join().unwrap()
            });
            task.await.unwrap();
        });
    });
    let records = checked(&recorder);
    let task = records.task("remote");
    assert!(task.has("loc.file", file!()));
    assert_eq!(records.events_in(task, "test").len(), 2);
}

#[test]
fn aborted_task_drops_its_future_within_its_span() {
    let records = record(async {
        let reports = Reports;
        let task = Builder::new().name("endless").spawn(async move {
            let _reports = reports;
            future::pending::<()>().await;
        });
        task::yield_now().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        trace!(target: "test", "after");
    });
    let task = records.task("endless");
    assert_eq!(records.events_in(task, "test").len(), 1);
    let after = records
        .events
        .iter()
        .rposition(|event| event.target == "test");
    assert!(task.closed_at.unwrap() <= after.unwrap());
}

#[test]
fn task_that_is_never_polled_drops_its_future_within_its_span() {
    let recorder = Recorder::default();
    recorder.observe(|| {
        let runtime = Runtime::new().unwrap();
        let reports = Reports;
        let unpolled = async move {
            let _reports = reports;
        };
        runtime.enter(|| Builder::new().name("unpolled").spawn(unpolled).detach());
        drop(runtime);
    });
    let records = checked(&recorder);
    let task = records.task("unpolled");
    assert_eq!(task.enters, 1);
    assert_eq!(records.events_in(task, "test").len(), 1);
}

#[test]
fn panicked_task_exits_and_ends_its_span() {
    let records = record(async {
        let reports = Reports;
        let task = Builder::new().name("faulty").spawn(async move {
            let _reports = reports;
            panic!("as planned");
        });
        let error: task::JoinError = task.await.map(|(): ()| ()).unwrap_err();
        assert!(error.is_panic());
        trace!(target: "test", "after");
    });
    let task = records.task("faulty");
    assert_eq!(records.events_in(task, "test").len(), 1);
    assert!(task.closed_at.is_some());
}

#[test]
fn two_runtimes_of_one_thread_have_separate_spans() {
    let recorder = Recorder::default();
    recorder.observe(|| {
        let first = Runtime::new().unwrap();
        let second = Runtime::new().unwrap();
        let work = |name: &'static str| async move {
            let nop = || compio::runtime::submit(compio::op::Nop::new());
            let task = Builder::new().name(name).spawn(async move { nop().await });
            task.await.unwrap().unwrap();
        };
        first.block_on(work("first"));
        second.block_on(work("second"));
    });
    let records = checked(&recorder);
    let operations = records.operations("nop");
    assert_eq!(operations.len(), 2);
    let resources = [0, 1].map(|at| records.resource_of(operations[at]));
    assert_ne!(resources[0].id, resources[1].id);
    assert!(operations[0].stack.contains(&records.task("first").id));
    assert!(operations[1].stack.contains(&records.task("second").id));
    let drivers = resources.iter().map(|driver| {
        let updates = records.events_in(driver, "runtime::resource::state_update");
        updates
            .iter()
            .filter(|event| event.fields.get("backend").is_some())
            .count()
    });
    assert_eq!(drivers.collect::<Vec<_>>(), [1, 1]);
    assert!(matches!(
        records.events[0].fields.get("backend"),
        Some(Value::Str(_)) | None
    ));
}
