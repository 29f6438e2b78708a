//! Nobody who is busy keeps the others waiting for ever.

use std::{cell::Cell, rc::Rc, time::Duration};

use compio::{
    io::{AsyncRead, AsyncWriteExt},
    runtime::Runtime,
    task::{spawn, yield_now},
    time::sleep,
};

use crate::support::{run, tcp_pair};

/// More than have a turn between two looks at the kernel.
const BUSY_TASKS: usize = 200;

/// Keeps the runtime busy until the returned cell is set.
fn keep_busy() -> Rc<Cell<bool>> {
    let done = Rc::new(Cell::new(false));
    for _ in 0..BUSY_TASKS {
        let done = done.clone();
        drop(spawn(async move {
            while !done.get() {
                yield_now().await;
            }
        }));
    }
    done
}

#[test]
fn busy_tasks_starve_no_timer() {
    run(async {
        let done = keep_busy();
        sleep(Duration::from_millis(5)).await;
        done.set(true);
    });
}

#[test]
fn busy_tasks_starve_no_socket() {
    run(async {
        let done = keep_busy();
        let (mut client, mut server) = tcp_pair().await;
        let reader = spawn(async move { server.read(Vec::with_capacity(8)).await.1 });
        client.write_all("hello").await.0.unwrap();
        assert_eq!(reader.await.unwrap(), b"hello");
        done.set(true);
    });
}

#[test]
fn busy_tasks_starve_not_the_future_of_block_on() {
    run(async {
        let done = keep_busy();
        for _ in 0..100 {
            yield_now().await;
        }
        done.set(true);
    });
}

#[test]
fn a_busy_future_of_block_on_starves_neither_tasks_nor_timers() {
    run(async {
        let task = spawn(async {
            sleep(Duration::from_millis(5)).await;
            42
        });
        while !task.is_finished() {
            yield_now().await;
        }
        assert_eq!(task.await.unwrap(), 42);
    });
}

#[test]
fn busy_tasks_starve_no_timer_in_an_embedded_runtime() {
    let runtime = Runtime::new().unwrap();
    let done = runtime.enter(keep_busy);
    let finish = done.clone();
    let timer = runtime.spawn(async move {
        sleep(Duration::from_millis(5)).await;
        finish.set(true);
    });
    while !timer.is_finished() {
        runtime.run();
        runtime.poll(runtime.current_timeout()).unwrap();
    }
    assert!(done.get());
}
