//! A dispatcher and its workers.

use std::{
    collections::HashSet,
    future::pending,
    io,
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    task::{Context, Waker},
    thread,
    time::Duration,
};

use compio::{
    cores::{self, Dispatcher, DispatcherBuilder},
    driver::BackendKind,
    runtime::Runtime,
    task,
    time::sleep,
};
use compio_testkit::{buffer::on_drop, check::panics};

use crate::support::{LONG, run};

fn two() -> Dispatcher {
    Dispatcher::builder().workers(2).build().unwrap()
}

/// Counts.
#[derive(Clone, Default)]
struct Count(Arc<AtomicUsize>);

impl Count {
    fn add(&self) {
        self.0.fetch_add(1, SeqCst);
    }

    fn get(&self) -> usize {
        self.0.load(SeqCst)
    }
}

#[test]
fn dispatched_future_is_local_to_its_worker() {
    run(async {
        let dispatcher = two();
        let tasks = dispatcher.dispatch_to_each(|worker| {
            let local = Rc::new(worker);
            async move {
                task::yield_now().await;
                let nested = task::spawn(async { cores::worker_index() }).await;
                (*local, nested.unwrap(), thread::current().id())
            }
        });
        let mut threads = HashSet::new();
        for (index, task) in tasks.into_iter().enumerate() {
            let (worker, nested, thread) = task.await.unwrap();
            assert_eq!((worker, nested), (index, Some(index)));
            threads.insert(thread);
        }
        assert_eq!(threads.len(), 2);
        dispatcher.shutdown().await.unwrap();
    });
}

#[test]
fn dispatch_selects_least_loaded_worker() {
    run(async {
        let dispatcher = Dispatcher::builder().workers(4).build().unwrap();
        let waiting: Vec<_> = (0..12)
            .map(|_| dispatcher.dispatch(pending::<()>))
            .collect();
        assert!((0..4).all(|worker| dispatcher.load(worker) == 3));
        for task in &waiting {
            task.abort();
        }
        for task in waiting {
            assert!(task.await.unwrap_err().is_cancelled());
        }
        assert!((0..4).all(|worker| dispatcher.load(worker) == 0));
        dispatcher.shutdown().await.unwrap();
    });
}

#[test]
fn equal_loads_rotate() {
    run(async {
        let dispatcher = Dispatcher::builder().workers(4).build().unwrap();
        let mut used = HashSet::new();
        // A worker that is never selected has a probability of 4 * (3/4)^200.
        for _ in 0..200 {
            used.insert(
                dispatcher
                    .dispatch(|| async { cores::worker_index() })
                    .await
                    .unwrap(),
            );
        }
        assert_eq!(used.len(), 4);
    });
}

#[test]
fn panic_of_dispatched_task_is_reported() {
    run(async {
        let dispatcher = two();
        let error = dispatcher
            .dispatch(|| async { panic!("on a worker") })
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(text.ends_with("panicked: on a worker"), "{text}");
        assert_eq!(dispatcher.load(0) + dispatcher.load(1), 0);
        dispatcher.shutdown().await.unwrap();
    });
}

#[test]
fn shutdown_waits_for_work_that_crosses_workers() {
    run(async {
        let dispatcher = two();
        let done = Count::default();
        let count = done.clone();
        dispatcher.dispatch_to(0, move || async move {
            // Spawned and forgotten, and sends work to the other worker after a while.
            task::spawn(async move {
                for _ in 0..20 {
                    sleep(Duration::from_millis(1)).await;
                    let count = count.clone();
                    let workers = cores::current().unwrap();
                    workers.dispatch_to(1, move || async move {
                        task::spawn(async move {
                            sleep(Duration::from_millis(1)).await;
                            count.add();
                        });
                    });
                }
            });
        });
        dispatcher.shutdown().await.unwrap();
        assert_eq!(done.get(), 20);
    });
}

#[test]
fn end_reports_queued_task_and_leaves_no_load() {
    run(async {
        let dispatcher = two();
        let task = dispatcher.dispatch(pending::<()>);
        // The task may be in the queue of its worker yet: it counts as cancelled, too.
        let ended = dispatcher.shutdown_timeout(Duration::ZERO).await;
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!([0, 1].map(|worker| dispatcher.load(worker)), [0, 0]);
        assert!(
            format!("{dispatcher:?}").contains("[0, 0]"),
            "{dispatcher:?}"
        );
        drop(task);
    });
}

#[test]
fn shutdown_timeout_cancels_rest_and_reports_it() {
    run(async {
        let dispatcher = two();
        let dropped = Count::default();
        let count = dropped.clone();
        let guard = on_drop(move || count.add());
        let task = dispatcher.dispatch(move || async move {
            let _guard = guard;
            pending::<()>().await;
        });
        let error = dispatcher
            .shutdown_timeout(Duration::from_millis(20))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(dropped.get(), 1);
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn drop_cancels_tasks_and_joins_threads() {
    let dropped = Count::default();
    let dispatcher = two();
    let tasks: Vec<_> = (0..2)
        .map(|worker| {
            let count = dropped.clone();
            let guard = on_drop(move || count.add());
            dispatcher.dispatch_to(worker, move || async move {
                let _guard = guard;
                pending::<()>().await;
            })
        })
        .collect();
    let workers = (*dispatcher).clone();
    drop(dispatcher);
    assert_eq!(dropped.get(), 2);
    run(async {
        for task in tasks {
            assert!(task.await.unwrap_err().is_cancelled());
        }
        let late = workers.dispatch(|| async {});
        assert!(late.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn drop_on_own_worker_does_not_join_itself() {
    let (send, receive) = mpsc::channel();
    let dispatcher = two();
    let workers = (*dispatcher).clone();
    let task = workers.dispatch(move || async move {
        drop(dispatcher);
        send.send(()).unwrap();
    });
    receive.recv_timeout(LONG).unwrap();
    // The output may or may not arrive before the end of the worker.
    drop(task);
}

#[test]
fn dropped_shutdown_goes_on() {
    run(async {
        let dispatcher = two();
        let task = dispatcher.dispatch(|| sleep(Duration::from_millis(5)));
        {
            let mut shutdown = pin!(dispatcher.shutdown());
            let mut cx = Context::from_waker(Waker::noop());
            assert!(shutdown.as_mut().poll(&mut cx).is_pending());
        }
        task.await.unwrap();
        dispatcher.shutdown().await.unwrap();
    });
}

#[test]
fn hooks_run_on_each_worker() {
    run(async {
        let (starts, stops) = (Count::default(), Count::default());
        let dispatcher = Dispatcher::builder()
            .workers(3)
            .thread_name(|worker| format!("shard-{worker}"))
            .on_start({
                let starts = starts.clone();
                move |worker| {
                    assert_eq!(cores::worker_index(), Some(worker));
                    assert!(Runtime::try_current().is_some());
                    starts.add();
                }
            })
            .on_stop({
                let stops = stops.clone();
                move |_| stops.add()
            })
            .build()
            .unwrap();
        assert_eq!((starts.get(), stops.get()), (3, 0));
        let name = || async { thread::current().name().map(String::from) };
        let name = dispatcher.dispatch_to(2, name).await.unwrap();
        assert_eq!(name.as_deref(), Some("shard-2"));
        dispatcher.shutdown().await.unwrap();
        assert_eq!(stops.get(), 3);
    });
}

#[test]
fn parking_code_runs_around_waits_of_worker() {
    run(async {
        let (parks, unparks) = (Count::default(), Count::default());
        let runtime = Runtime::builder()
            .on_park({
                let parks = parks.clone();
                move || parks.add()
            })
            .on_unpark({
                let unparks = unparks.clone();
                move || unparks.add()
            });
        let dispatcher = Dispatcher::builder()
            .workers(1)
            .runtime(runtime)
            .build()
            .unwrap();
        dispatcher
            .dispatch(|| sleep(Duration::from_millis(2)))
            .await
            .unwrap();
        dispatcher.shutdown().await.unwrap();
        assert!(parks.get() > 0);
        assert_eq!(parks.get(), unparks.get());
    });
}

#[test]
fn panic_in_start_hook_is_error_of_build() {
    let stops = Count::default();
    let count = stops.clone();
    let error = Dispatcher::builder()
        .workers(4)
        .on_start(|worker| assert_ne!(worker, 2, "no start"))
        .on_stop(move |_| count.add())
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("worker 2 panicked"), "{error}");
    // The three others have been stopped and joined.
    assert_eq!(stops.get(), 3);
}

#[test]
fn panic_in_stop_hook_is_error_of_shutdown() {
    run(async {
        let dispatcher = Dispatcher::builder()
            .workers(2)
            .on_stop(|worker| assert_eq!(worker, 0, "no stop"))
            .build()
            .unwrap();
        let error = dispatcher.shutdown().await.unwrap_err();
        assert!(error.to_string().contains("worker 1 panicked"), "{error}");
    });
}

#[test]
fn bad_settings_are_invalid_input() {
    let build = |builder: DispatcherBuilder| builder.build().unwrap_err();
    for error in [
        build(Dispatcher::builder().workers(0)),
        build(Dispatcher::builder().workers(2).pin_to([0])),
        build(Dispatcher::builder().workers(1).pin_to([100_000])),
        build(Dispatcher::builder().workers(2000).pin(true)),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    }
}

#[test]
fn error_in_runtime_settings_stops_all_workers() {
    let foreign = if cfg!(windows) {
        BackendKind::Poll
    } else {
        BackendKind::Iocp
    };
    let runtime = Runtime::builder().backend(foreign);
    let error = Dispatcher::builder()
        .workers(3)
        .runtime(runtime)
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported, "{error}");
}

#[test]
fn shutdown_on_own_worker_panics_with_advice() {
    run(async {
        let dispatcher = Arc::new(two());
        let inside = dispatcher.clone();
        let task = dispatcher.dispatch(move || async move { inside.shutdown().await });
        let error = task.await.unwrap_err();
        assert!(
            error.to_string().contains("cannot wait for its own end"),
            "{error}"
        );
    });
}

#[test]
fn block_on_runs_future_on_worker_zero_and_drains_others() {
    let done = Count::default();
    let count = done.clone();
    let main = thread::current().id();
    let output = Dispatcher::builder()
        .workers(3)
        .block_on(async move {
            assert_eq!(cores::worker_index(), Some(0));
            let workers = cores::current().unwrap();
            assert_eq!(workers.len(), 3);
            let here = workers.dispatch_to(0, || async { thread::current().id() });
            assert_eq!(here.await.unwrap(), main);
            workers.dispatch_to_each(move |_| async move {
                sleep(Duration::from_millis(5)).await;
                count.add();
            });
            7
        })
        .unwrap();
    assert_eq!((output, done.get()), (7, 3));
    assert!(cores::current().is_none() && cores::worker_index().is_none());
}

#[test]
fn panic_of_main_future_ends_all_workers() {
    let stops = Count::default();
    let count = stops.clone();
    let builder = Dispatcher::builder()
        .workers(2)
        .on_stop(move |_| count.add());
    assert!(panics(|| {
        let _ = builder.block_on(async { panic!("main") });
    }));
    assert_eq!(stops.get(), 1);
}

#[test]
fn thousands_of_tasks_between_workers_end_in_time() {
    run(async {
        let dispatcher = Dispatcher::builder().workers(4).build().unwrap();
        let done = Count::default();
        for task in dispatcher.dispatch_to_each({
            let done = done.clone();
            move |worker| async move {
                let workers = cores::current().unwrap();
                for round in 0..500 {
                    let count = done.clone();
                    let target = (worker + round) % workers.len();
                    let task = workers.dispatch_to(target, move || async move { count.add() });
                    if round % 2 == 0 {
                        task.await.unwrap();
                    }
                }
            }
        }) {
            task.await.unwrap();
        }
        dispatcher.shutdown().await.unwrap();
        assert_eq!(done.get(), 2000);
    });
}
