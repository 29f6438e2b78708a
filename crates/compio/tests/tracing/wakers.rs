//! The events of wakers. Each test also checks that no waker is left.

use std::{
    cell::Cell,
    future::poll_fn,
    rc::Rc,
    sync::mpsc,
    task::{Poll, Waker},
    thread,
};

use compio::{
    runtime::Runtime,
    task::{self, Builder},
};

use crate::recorder::{Recorder, Value, checked, record};

#[test]
fn wake_on_another_thread_is_reported() {
    let recorder = Recorder::default();
    let remote = recorder.clone();
    recorder.observe(|| {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let (send, wakers) = mpsc::channel::<Waker>();
            let thread = thread::spawn(move || {
                remote.observe(|| wakers.recv().unwrap().wake());
            });
            let mut polls = 0;
            let wait = poll_fn(move |cx| {
                polls += 1;
                if polls == 1 {
                    send.send(cx.waker().clone()).unwrap();
                    return Poll::Pending;
                }
                Poll::Ready(())
            });
            Builder::new().name("waits").spawn(wait).await.unwrap();
            thread.join().unwrap();
        });
    });
    let records = checked(&recorder);
    let task = records.task("waits");
    assert_eq!(records.waker_events(task, "waker.clone"), 1);
    assert_eq!(records.waker_events(task, "waker.wake"), 1);
    assert_eq!(records.waker_events(task, "waker.drop"), 0);
    let event = records
        .events
        .iter()
        .find(|event| event.fields.has("op", "waker.wake"))
        .unwrap();
    assert_eq!(event.fields.get("task.id"), Some(Value::U64(task.id)));
    // No span is entered on that thread.
    assert!(event.stack.is_empty());
}

#[test]
fn waker_is_the_same_in_each_poll() {
    let records = record(async {
        let known: Rc<Cell<Option<Waker>>> = Rc::default();
        let mut polls = 0;
        let wait = poll_fn(move |cx| {
            polls += 1;
            if let Some(known) = known.take() {
                assert!(known.will_wake(cx.waker()));
            }
            known.set(Some(cx.waker().clone()));
            cx.waker().wake_by_ref();
            if polls < 4 {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        });
        Builder::new().name("polled").spawn(wait).await.unwrap();
    });
    let task = records.task("polled");
    assert_eq!(records.waker_events(task, "waker.clone"), 4);
    assert_eq!(records.waker_events(task, "waker.drop"), 4);
    assert_eq!(records.waker_events(task, "waker.wake_by_ref"), 4);
}

#[test]
fn waker_outlives_its_task_without_keeping_its_span() {
    let kept: Rc<Cell<Option<Waker>>> = Rc::default();
    let inner = Rc::clone(&kept);
    let recorder = Recorder::default();
    recorder.observe(|| {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            let keep = poll_fn(move |cx| {
                inner.set(Some(cx.waker().clone()));
                Poll::Ready(())
            });
            Builder::new().name("short").spawn(keep).await.unwrap();
        });
        assert!(recorder.records().task("short").closed_at.is_some());
        drop(runtime);
        kept.take().unwrap().wake();
    });
    checked(&recorder);
}

#[test]
fn yield_is_a_wake_within_the_span_of_its_task() {
    let records = record(async {
        let yields = async { task::yield_now().await };
        Builder::new().name("yields").spawn(yields).await.unwrap();
    });
    let task = records.task("yields");
    let wakes = records.events_in(task, "runtime::waker");
    assert!(
        wakes
            .iter()
            .any(|event| event.fields.has("op", "waker.wake_by_ref"))
    );
}
