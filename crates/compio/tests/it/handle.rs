//! Handles of a runtime on other threads.

use std::{
    rc::Rc,
    sync::mpsc,
    task::{Context, Waker},
    thread,
    time::Duration,
};

use compio::{
    runtime::{Handle, Runtime},
    task::{self, SendJoinHandle},
};

use crate::support::run;

#[test]
fn spawn_ends_park_of_runtime() {
    let (send, receive) = mpsc::channel::<Handle>();
    let thread = thread::spawn(move || {
        let runtime = receive.recv().unwrap();
        let task = runtime.spawn_with(|| {
            let local = Rc::new(41);
            async move {
                compio::time::sleep(Duration::from_millis(1)).await;
                *local + 1
            }
        });
        // Awaited on a runtime of this thread.
        task::block_on(task).unwrap()
    });
    run(async move {
        send.send(Handle::current()).unwrap();
        let joined = task::spawn_blocking(move || thread.join().unwrap());
        assert_eq!(joined.await.unwrap(), 42);
    });
}

#[test]
fn drop_of_runtime_cancels_remote_tasks() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    let waiting = handle.spawn(std::future::pending::<()>());
    runtime.run();
    let queued = handle.spawn(async {});
    drop(runtime);
    let late = handle.spawn(async {});
    for task in [waiting, queued, late] {
        assert!(run(task).unwrap_err().is_cancelled());
    }
}

#[test]
fn spawn_wakes_outer_loop() {
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    let waker = Waker::noop();
    assert_eq!(
        runtime.poll_with(&mut Context::from_waker(waker)).unwrap(),
        None
    );
    let task: SendJoinHandle<_> = thread::spawn(move || handle.spawn(async { 1 }))
        .join()
        .unwrap();
    assert_eq!(runtime.current_timeout(), Some(Duration::ZERO));
    while !task.is_finished() {
        runtime.poll_with(&mut Context::from_waker(waker)).unwrap();
    }
}

#[test]
fn handle_of_no_runtime_is_none() {
    assert!(Handle::try_current().is_none());
    run(async { assert!(Handle::try_current().is_some()) });
}

#[test]
fn remote_abort_wakes_parked_runtime() {
    run(async {
        let task = task::spawn(std::future::pending::<()>());
        let abort = task.abort_handle();
        let thread = thread::spawn(move || abort.abort());
        assert!(task.await.unwrap_err().is_cancelled());
        thread.join().unwrap();
    });
}
