//! Numbers, names and places of the spawn of tasks.

use std::{cell::RefCell, collections::HashSet, future::pending, rc::Rc, thread};

use compio::{
    cores::Dispatcher,
    runtime::{Handle, Runtime},
    task::{self, Builder, Id, JoinSet, spawn, spawn_blocking, yield_now},
};

use crate::support::run;

#[test]
fn task_knows_number_of_its_handle_across_awaits() {
    run(async {
        assert!(task::current().is_none());
        assert!(task::try_id().is_none());
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                spawn(async {
                    let before = task::id();
                    yield_now().await;
                    assert_eq!(task::id(), before);
                    before
                })
            })
            .collect();
        let mut seen = HashSet::new();
        for task in tasks {
            let id = task.id();
            assert_eq!(task.abort_handle().id(), id);
            assert_eq!(task.await.unwrap(), id);
            assert!(seen.insert(id));
        }
        assert!(task::current().is_none());
    });
}

#[test]
#[should_panic(expected = "no task runs on this thread")]
fn number_outside_of_tasks_panics() {
    task::id();
}

#[test]
fn location_is_line_of_call() {
    run(async {
        let line = line!() + 1;
        let task = spawn(async {});
        assert_eq!(task.meta().location().line(), line);
        let line = line!() + 1;
        let task = spawn_blocking(|| {});
        assert_eq!(task.meta().location().line(), line);
        let line = line!() + 1;
        let task = Handle::current().spawn(async { task::current().unwrap().location().line() });
        assert_eq!(task.meta().location().line(), line);
        assert_eq!(task.await.unwrap(), line);
        let line = line!() + 1;
        let task = Builder::new().spawn_blocking(|| {});
        assert_eq!(task.meta().location().line(), line);
        let mut set = JoinSet::new();
        let line = line!() + 1;
        set.spawn(async { task::current().unwrap().location().line() });
        assert_eq!(set.join_next().await.unwrap().unwrap(), line);
    });
    let runtime = Runtime::new().unwrap();
    let line = line!() + 1;
    let task = runtime.spawn(async {});
    assert_eq!(task.meta().location().line(), line);
    assert_eq!(task.meta().location().file(), file!());
}

#[test]
fn location_of_dispatched_task_is_line_of_call() {
    run(async {
        let dispatcher = Dispatcher::builder().workers(2).build().unwrap();
        let here = || async { task::current().unwrap().location().line() };
        let line = line!() + 1;
        assert_eq!(dispatcher.dispatch(here).await.unwrap(), line);
        let line = line!() + 1;
        assert_eq!(dispatcher.dispatch_to(1, here).await.unwrap(), line);
        let line = line!() + 1;
        let tasks = dispatcher.dispatch_to_each(|_| async { task::id() });
        let ids: HashSet<Id> = tasks.iter().map(|task| task.id()).collect();
        for task in tasks {
            assert_eq!(task.meta().location().line(), line);
            assert!(ids.contains(&task.await.unwrap()));
        }
        assert_eq!(ids.len(), 2);
        dispatcher.shutdown().await.unwrap();
    });
}

#[test]
fn error_names_its_task() {
    run(async {
        let task = Builder::new().name("ticker").spawn(pending::<()>());
        task.abort();
        let line = line!() - 2;
        let id = task.id();
        let error = task.await.unwrap_err();
        assert_eq!((error.id(), error.task().name()), (id, Some("ticker")));
        let expected = format!(
            "task {id} \"ticker\" (spawned at {}:{line}:50) was cancelled",
            file!()
        );
        assert_eq!(error.to_string(), expected);

        let task = spawn(async { panic!("on purpose") });
        let id = task.id();
        let error = task.await.unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("task {id} (spawned at "))
        );
        assert!(error.to_string().ends_with(") panicked: on purpose"));
        assert!(error.task().name().is_none());
    });
}

#[test]
fn names_reach_tasks_of_other_threads() {
    run(async {
        let runtime = Handle::current();
        let [sent, made] = thread::spawn(move || {
            let name = || task::current().unwrap().name().map(str::to_owned);
            [
                Builder::new()
                    .name("sent")
                    .spawn_on(async move { name() }, &runtime),
                Builder::new().name("made").spawn_with_on(
                    move || {
                        let name = Rc::new(name());
                        async move { (*name).clone() }
                    },
                    &runtime,
                ),
            ]
        })
        .join()
        .unwrap();
        assert_eq!(sent.meta().name(), Some("sent"));
        assert_eq!(sent.await.unwrap().as_deref(), Some("sent"));
        assert_eq!(made.await.unwrap().as_deref(), Some("made"));
    });
}

#[test]
fn set_returns_numbers_with_outputs() {
    run(async {
        let mut set = JoinSet::new();
        let numbers: Vec<Id> = (0..5)
            .map(|value| set.spawn(async move { value }).id())
            .collect();
        let failed = set.spawn(async { panic!("on purpose") }).id();
        while let Some(next) = set.join_next_with_id().await {
            match next {
                Ok((id, value)) => assert_eq!(numbers[value], id),
                Err(error) => assert_eq!(error.id(), failed),
            }
        }
    });
}

/// Records the task in which it is dropped.
struct DroppedIn(Rc<RefCell<Vec<Option<Id>>>>);

impl Drop for DroppedIn {
    fn drop(&mut self) {
        self.0.borrow_mut().push(task::try_id());
    }
}

#[test]
fn destructors_of_future_run_in_its_task() {
    let seen = Rc::default();
    let hold = || {
        let dropped = DroppedIn(Rc::clone(&seen));
        async move {
            let _dropped = dropped;
            pending::<()>().await;
        }
    };
    let runtime = Runtime::new().unwrap();
    let aborted = runtime.spawn(hold());
    let left = runtime.spawn(hold());
    aborted.abort();
    let numbers = [Some(aborted.id()), Some(left.id())];
    runtime.block_on(aborted).unwrap_err();
    drop(runtime);
    assert_eq!(*seen.borrow(), numbers);
}

#[test]
fn inner_runtime_hides_outer_task() {
    run(async {
        let outer = spawn(async {
            let id = task::id();
            let runtime = Runtime::new().unwrap();
            runtime.block_on(async {
                assert!(task::current().is_none());
                let inner = spawn(async { task::id() });
                assert_ne!(inner.await.unwrap(), id);
                assert!(task::current().is_none());
            });
            assert_eq!(task::id(), id);
        });
        outer.await.unwrap();
    });
}

#[test]
fn panic_of_task_leaves_no_current_task() {
    run(async {
        spawn(async { panic!("on purpose") }).await.unwrap_err();
        assert!(task::current().is_none());
    });
}
