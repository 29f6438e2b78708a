//! Tasks and their handles.

use std::{cell::Cell, rc::Rc, sync::mpsc, thread, time::Duration};

use compio::{
    io::AsyncRead,
    runtime::Runtime,
    task::{JoinHandle, spawn, spawn_blocking, yield_now},
    time::sleep,
};

use crate::support::{Canary, Deaths, Flag, LONG, run, tcp_pair};

#[test]
fn tasks_run_in_the_order_in_which_they_were_spawned() {
    run(async {
        let order = Rc::new(std::cell::RefCell::new(Vec::new()));
        let tasks: Vec<_> = (0..100)
            .map(|number| {
                let order = order.clone();
                spawn(async move { order.borrow_mut().push(number) })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert!(order.borrow().is_sorted());
    });
}

#[test]
fn the_task_of_a_dropped_or_detached_handle_continues() {
    run(async {
        for release in [drop, JoinHandle::detach] {
            let flag = Flag::default();
            let raiser = flag.clone();
            release(spawn(async move {
                sleep(Duration::from_millis(1)).await;
                raiser.raise();
            }));
            flag.taken().await;
        }
    });
}

#[test]
fn a_task_that_is_aborted_before_its_first_turn_never_runs() {
    run(async {
        let ran = Rc::new(Cell::new(false));
        let mark = ran.clone();
        let task = spawn(async move { mark.set(true) });
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(!ran.get());
    });
}

#[test]
fn an_abort_with_an_operation_in_flight_releases_everything() {
    let deaths = Deaths::default();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let (client, mut server) = tcp_pair().await;
        let buffer = Canary::new(&deaths);
        let task = spawn(async move { server.read(buffer).await });
        yield_now().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        // The descriptor closes with the operation, and then the peer reads EOF.
        let (read, _) = (&client).read(Vec::with_capacity(8)).await;
        assert_eq!(read.unwrap(), 0);
        while deaths.count() == 0 {
            yield_now().await;
        }
    });
}

#[test]
fn blocking_work_begins_at_once() {
    run(async {
        let (sender, receiver) = mpsc::channel();
        let work = spawn_blocking(move || sender.send(42).unwrap());
        // The work's task gets no turn before.
        assert_eq!(receiver.recv_timeout(LONG), Ok(42));
        work.await.unwrap();
    });
}

#[test]
fn blocking_work_whose_handle_is_dropped_goes_on() {
    run(async {
        let flag = Flag::default();
        let raiser = flag.clone();
        drop(spawn_blocking(move || raiser.raise()));
        flag.taken().await;
    });
}

#[test]
fn blocking_code_sees_another_thread() {
    let here = thread::current().id();
    let there = run(async { spawn_blocking(|| thread::current().id()).await.unwrap() });
    assert_ne!(here, there);
}

#[test]
fn pool_of_runtime_has_named_threads_up_to_its_limit() {
    let runtime = Runtime::builder().max_blocking_threads(2).build().unwrap();
    runtime.block_on(async {
        let all_begun = std::sync::Arc::new(std::sync::Barrier::new(2));
        let jobs: Vec<_> = (0..10)
            .map(|number| {
                let all_begun = all_begun.clone();
                spawn_blocking(move || {
                    if number < 2 {
                        all_begun.wait();
                    }
                    let thread = thread::current();
                    (thread.id(), thread.name().map(str::to_owned))
                })
            })
            .collect();
        let mut threads = std::collections::HashSet::new();
        for job in jobs {
            let (id, name) = job.await.unwrap();
            assert_eq!(name.as_deref(), Some("compio-blocking"));
            threads.insert(id);
        }
        assert_eq!(threads.len(), 2);
    });
}
