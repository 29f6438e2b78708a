//! Tasks and their handles.

use std::{
    cell::Cell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use compio::{
    driver::Pool,
    io::AsyncRead,
    runtime::Runtime,
    task::{spawn, spawn_blocking, yield_now},
    time::sleep,
};

use crate::support::{Canary, Deaths, Flag, LONG, on_drop, run, tcp_pair};

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
fn a_task_yields_what_is_not_send_and_drops_it_at_home() {
    run(async {
        let deaths = Deaths::default();
        let guard = deaths.guard();
        let task = spawn(async move { Rc::new(guard) });
        let output = task.await.unwrap();
        assert_eq!(deaths.count(), 0);
        drop(output);
        assert_eq!(deaths.count(), 1);
    });
}

#[test]
fn a_dropped_handle_lets_its_task_go_on() {
    run(async {
        let flag = Flag::default();
        let raiser = flag.clone();
        drop(spawn(async move {
            sleep(Duration::from_millis(1)).await;
            raiser.raise();
        }));
        flag.taken().await;
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
fn an_abort_while_an_operation_flies_gives_everything_back() {
    let deaths = Deaths::default();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let (client, mut server) = tcp_pair().await;
        let buffer = Canary::new(&deaths);
        let task = spawn(async move { server.read(buffer).await });
        yield_now().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        // The descriptor closes with the operation, and then the peer reads the end.
        let (read, _) = (&client).read(Vec::with_capacity(8)).await;
        assert_eq!(read.unwrap(), 0);
        while deaths.count() == 0 {
            yield_now().await;
        }
    });
}

#[test]
fn a_panic_is_reported_by_the_handle_and_the_others_go_on() {
    run(async {
        let other = spawn(async { sleep(Duration::from_millis(1)).await });
        let task = spawn(async {
            sleep(Duration::ZERO).await;
            panic!("on purpose");
        });
        let error = task.await.unwrap_err();
        assert_eq!(error.into_panic().downcast_ref(), Some(&"on purpose"));
        other.await.unwrap();
    });
}

#[test]
fn a_panic_of_a_tasks_destructor_is_reported_by_the_handle() {
    run(async {
        let guard = on_drop(|| panic!("on purpose"));
        let task = spawn(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        });
        yield_now().await;
        task.abort();
        assert!(task.await.unwrap_err().is_panic());
        sleep(Duration::from_millis(1)).await;
    });
}

#[test]
fn a_handle_reports_the_death_of_its_runtime() {
    let runtime = Runtime::new().unwrap();
    let task = runtime.spawn(std::future::pending::<()>());
    drop(runtime);
    assert!(task.is_finished());
    assert!(run(task).unwrap_err().is_cancelled());
}

#[test]
fn a_handle_yields_its_output_after_the_death_of_its_runtime() {
    let runtime = Runtime::new().unwrap();
    let task = runtime.spawn(async { 42 });
    assert!(!runtime.run());
    drop(runtime);
    assert_eq!(run(task).unwrap(), 42);
}

#[test]
fn blocking_work_begins_at_once() {
    run(async {
        let (sender, receiver) = mpsc::channel();
        let work = spawn_blocking(move || sender.send(42).unwrap());
        // Without giving the work's task a turn.
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
fn a_panic_in_blocking_work_is_reported_by_the_handle() {
    run(async {
        let work = spawn_blocking(|| panic!("on purpose"));
        let error = work.await.unwrap_err();
        assert_eq!(error.into_panic().downcast_ref(), Some(&"on purpose"));
        assert_eq!(spawn_blocking(|| 42).await.unwrap(), 42);
    });
}

#[test]
fn blocking_work_that_is_aborted_in_the_queue_never_runs() {
    let runtime = Runtime::builder().pool(Pool::new(1)).build().unwrap();
    runtime.block_on(async {
        let (release, blocked) = mpsc::channel::<()>();
        let (begun, begins) = mpsc::channel();
        let first = spawn_blocking(move || {
            begun.send(()).unwrap();
            blocked.recv_timeout(LONG)
        });
        yield_now().await;
        begins.recv_timeout(LONG).unwrap();
        let ran = Arc::new(AtomicBool::new(false));
        let mark = ran.clone();
        let second = spawn_blocking(move || mark.store(true, SeqCst));
        yield_now().await;
        second.abort();
        assert!(second.await.unwrap_err().is_cancelled());
        release.send(()).unwrap();
        first.await.unwrap().unwrap();
        // The only thread is past it.
        spawn_blocking(|| {}).await.unwrap();
        assert!(!ran.load(SeqCst));
        assert_eq!(Arc::strong_count(&ran), 1);
    });
}

#[test]
fn more_blocking_work_than_threads_is_done_in_its_turn() {
    let runtime = Runtime::builder().pool(Pool::new(2)).build().unwrap();
    runtime.block_on(async {
        let works: Vec<_> = (0..100).map(|n| spawn_blocking(move || n)).collect();
        for (number, work) in works.into_iter().enumerate() {
            assert_eq!(work.await.unwrap(), number);
        }
    });
}

#[test]
fn blocking_code_sees_another_thread() {
    let here = thread::current().id();
    let there = run(async { spawn_blocking(|| thread::current().id()).await.unwrap() });
    assert_ne!(here, there);
}
