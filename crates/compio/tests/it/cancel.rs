//! Futures that are dropped, forgotten, or never polled while the kernel is at work.

use std::time::Duration;

use compio::{
    fs::File,
    io::{AsyncRead, AsyncWriteExt},
    runtime::{Runtime, submit},
    task::yield_now,
    time::{sleep, timeout},
};

use crate::support::{Canary, Deaths, begin, run, streams, tcp_pair, until};

#[test]
fn a_read_dropped_before_anything_came_takes_nothing() {
    run(async {
        let deaths = Deaths::default();
        let (mut client, mut server) = tcp_pair().await;
        for round in 0..100_u8 {
            let never = timeout(Duration::ZERO, server.read(Canary::new(&deaths)));
            assert!(never.await.is_err());
            // Until the cancel has completed, the dropped read could still receive the bytes.
            until(&deaths, usize::from(round) + 1).await;
            client.write_all([round]).await.0.unwrap();
            let (read, buffer) = server.read(Vec::with_capacity(8)).await;
            assert_eq!((read.unwrap(), buffer), (1, vec![round]));
        }
    });
}

#[test]
fn an_operation_that_is_never_polled_does_nothing() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        drop(File::create_async(&path));
        assert!(!path.exists());
        let file = File::create(&path).unwrap();
        drop(file.write_at("hello", 0));
        drop(submit(compio::op::Nop::new()));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(file.metadata().await.unwrap().len(), 0);
        file.into_std().expect("no operation holds it");
    });
}

#[test]
fn operations_are_dropped_while_their_thread_panics() {
    let deaths = Deaths::default();
    let runtime = Runtime::new().unwrap();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runtime.block_on(async {
            let (mut ours, _theirs) = streams();
            let mut read = Box::pin(ours.read(Canary::new(&deaths)));
            begin(&mut read).await;
            yield_now().await;
            panic!("on purpose");
        });
    }));
    assert!(result.is_err());
    drop(runtime);
    assert_eq!(deaths.count(), 1);
}

#[test]
fn an_operation_is_dropped_outside_of_its_runtime() {
    let deaths = Deaths::default();
    let runtime = Runtime::new().unwrap();
    let (mut ours, _theirs) = streams();
    let mut read = Box::pin(ours.read(Canary::new(&deaths)));
    runtime.block_on(async {
        begin(&mut read).await;
        yield_now().await;
    });
    drop(read);
    runtime.block_on(until(&deaths, 1));
}
