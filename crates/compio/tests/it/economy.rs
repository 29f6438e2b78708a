//! Batching: many operations share one system call, and an idle runtime makes none.

use std::{cell::Cell, rc::Rc, time::Duration};

use compio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    runtime::Runtime,
    task::{spawn, yield_now},
    time::sleep,
};

use crate::support::{begin, bounded, processor_time, scratch, streams};

/// Checks that the runtime does this many operations with at most a tenth as many system calls.
fn check(runtime: &Runtime, operations: u64, work: impl AsyncFnOnce()) {
    let before = runtime.enters();
    runtime.block_on(bounded(work()));
    let enters = runtime.enters() - before;
    println!("{enters} calls for {operations} operations");
    assert!(enters * 10 <= operations, "{enters} for {operations}");
}

#[test]
fn busy_connections_share_their_calls() {
    const PAIRS: u64 = 64;
    const ROUNDS: u64 = 50;
    let runtime = Runtime::new().unwrap();
    check(&runtime, PAIRS * ROUNDS * 4, async || {
        let mut tasks = Vec::new();
        for _ in 0..PAIRS {
            let (mut client, mut server) = streams();
            tasks.push(spawn(async move {
                let mut buffer = vec![1; 64];
                for _ in 0..ROUNDS {
                    buffer = client.write_all(buffer).await.1;
                    buffer = client.read_exact(buffer).await.1;
                }
            }));
            tasks.push(spawn(async move {
                let mut buffer = vec![0; 64];
                for _ in 0..ROUNDS {
                    buffer = server.read_exact(buffer).await.1;
                    buffer = server.write_all(buffer).await.1;
                }
                assert_eq!(buffer, [1; 64]);
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn reads_of_a_file_share_their_calls() {
    const READERS: u64 = 64;
    const ROUNDS: u64 = 200;
    let runtime = Runtime::new().unwrap();
    let file = scratch(&[7; 64]);
    check(&runtime, READERS * ROUNDS, async || {
        let tasks: Vec<_> = (0..READERS)
            .map(|_| {
                let file = file.clone();
                spawn(async move {
                    let mut buffer = Vec::with_capacity(64);
                    for _ in 0..ROUNDS {
                        let read;
                        (read, buffer) = file.read_at(buffer, 0).await;
                        assert_eq!(read.unwrap(), 64);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn tasks_that_only_wake_each_other_make_no_system_calls() {
    let runtime = Runtime::new().unwrap();
    let before = runtime.enters();
    runtime.block_on(async {
        let turns = Rc::new(Cell::new(0));
        let tasks = [(); 10].map(|()| {
            let turns = turns.clone();
            spawn(async move {
                for _ in 0..1_000 {
                    turns.set(turns.get() + 1);
                    yield_now().await;
                }
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(turns.get(), 10_000);
    });
    assert_eq!(runtime.enters(), before);
}

/// Checks that waiting for 300 ms uses less than 100 ms of CPU time, with `prepare`'s operations in flight.
fn check_idle(prepare: impl AsyncFnOnce()) {
    compio::task::block_on(async {
        prepare().await;
        yield_now().await;
        let before = processor_time();
        sleep(Duration::from_millis(300)).await;
        let used = processor_time() - before;
        println!("{used:?}");
        assert!(used < Duration::from_millis(100), "{used:?}");
    });
}

#[test]
fn a_runtime_that_sleeps_uses_no_processor() {
    check_idle(async || {});
}

#[test]
fn a_runtime_that_accepts_uses_no_processor() {
    check_idle(async || {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        drop(spawn(async move { listener.accept().await.map(drop) }));
    });
}

#[test]
fn a_runtime_with_an_astronomic_timer_uses_no_processor() {
    check_idle(async || {
        for years in [100, 300, 1_000, u32::MAX] {
            drop(spawn(sleep(Duration::from_secs(86_400 * 365) * years)));
        }
        drop(spawn(sleep(Duration::MAX)));
    });
}

#[test]
fn a_runtime_that_was_woken_often_uses_no_processor() {
    check_idle(async || {
        for _ in 0..100 {
            sleep(Duration::from_micros(20)).await;
        }
        let mut nap = sleep(Duration::from_secs(1_000));
        begin(&mut nap).await;
        drop(nap);
    });
}

#[test]
fn a_runtime_whose_outer_loop_slept_for_it_uses_no_processor() {
    let runtime = Runtime::new().unwrap();
    runtime.current_timeout();
    std::thread::spawn({
        let flag = crate::support::Flag::default();
        let there = flag.clone();
        drop(runtime.spawn(async move { there.taken().await }));
        runtime.run();
        runtime.current_timeout();
        move || flag.raise()
    })
    .join()
    .unwrap();
    runtime.block_on(async {
        let before = processor_time();
        sleep(Duration::from_millis(300)).await;
        let used = processor_time() - before;
        assert!(used < Duration::from_millis(100), "{used:?}");
    });
}
