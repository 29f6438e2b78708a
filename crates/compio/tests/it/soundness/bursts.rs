//! Bursts of operations that exceed the size of the queues (scenario 15).

use std::time::Duration;

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    runtime::{Runtime, submit},
    task::{spawn, spawn_blocking, yield_now},
    time::timeout,
};

use crate::support::{Canary, Deaths, bounded, streams};

/// A runtime whose submission queue has room for two.
fn tiny() -> Runtime {
    Runtime::builder().entries(2).build().unwrap()
}

#[test]
fn s15_thousands_of_operations_begin_and_end_at_once() {
    tiny().block_on(bounded(async {
        let tasks: Vec<_> = (0..5_000)
            .map(|_| spawn(submit(compio::op::Nop::new())))
            .collect();
        let works: Vec<_> = (0..500).map(|n| spawn_blocking(move || n)).collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        for (number, work) in works.into_iter().enumerate() {
            assert_eq!(work.await.unwrap(), number);
        }
    }));
}

/// Half of the transfers are cancelled in one turn, with full queues. The others lose no byte.
#[test]
fn s15_cancels_and_transfers_come_through_full_queues() {
    let deaths = Deaths::default();
    let runtime = tiny();
    runtime.block_on(bounded(async {
        for _ in 0..5 {
            let (mut given_up, mut kept, mut peers) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..60 {
                let (mut ours, theirs) = streams();
                let canary = Canary::new(&deaths);
                given_up.push(spawn(async move { drop(ours.read(canary).await) }));
                peers.push(theirs);
                let (mut ours, mut theirs) = streams();
                kept.push(spawn(async move {
                    let writing = spawn(async move { theirs.write_all(vec![7; 10_000]).await.0 });
                    let (read, bytes) = ours.read_to_end(Vec::new()).await;
                    writing.await.unwrap().unwrap();
                    assert_eq!(read.unwrap(), 10_000);
                    bytes.len()
                }));
            }
            yield_now().await;
            for task in &given_up {
                task.abort();
            }
            for task in kept {
                assert_eq!(task.await.unwrap(), 10_000);
            }
            for task in given_up {
                assert!(task.await.unwrap_err().is_cancelled());
            }
        }
    }));
    drop(runtime);
    assert_eq!(deaths.count(), 300);
}

/// Timers, wakes and completions are all handled.
#[test]
fn s15_timeouts_cancel_hundreds_at_the_same_moment() {
    tiny().block_on(bounded(async {
        let (ours, theirs) = streams();
        let ours = std::rc::Rc::new(ours);
        let tasks: Vec<_> = (0..500)
            .map(|_| {
                let ours = ours.clone();
                spawn(async move {
                    let mut ours = &*ours;
                    let read = ours.read(Vec::with_capacity(8));
                    timeout(Duration::from_millis(5), read).await
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap_err();
        }
        drop(theirs);
        assert_eq!((&*ours).read(vec![0; 8]).await.0.unwrap(), 0);
    }));
}
