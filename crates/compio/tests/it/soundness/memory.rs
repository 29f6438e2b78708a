//! Memory that the kernel may still use after a future is dropped (scenarios 6 to 8).

use std::{mem, sync::mpsc, time::Duration};

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    runtime::Runtime,
    task::{spawn_blocking, yield_now},
    time::sleep,
};

use crate::support::{Canary, Deaths, LONG, begin, run, streams, until};

#[test]
fn s06_a_dropped_reads_buffer_stays_until_its_completion() {
    run(async {
        let deaths = Deaths::default();
        let (mut ours, _theirs) = streams();
        for round in 1..=100 {
            let mut read = Box::pin(ours.read(Canary::new(&deaths)));
            begin(&mut read).await;
            sleep(Duration::ZERO).await;
            drop(read);
            assert_eq!(deaths.count(), round - 1, "freed too early");
            until(&deaths, round).await;
        }
    });
}

#[test]
fn s06_a_dropped_read_writes_to_no_other_memory() {
    run(async {
        for round in 0..200 {
            let (mut ours, theirs) = streams();
            let mut theirs = theirs.into_std().unwrap();
            let mut read = Box::pin(ours.read(Vec::with_capacity(512)));
            begin(&mut read).await;
            yield_now().await;
            if round % 2 == 0 {
                // The completion may be queued when the future is dropped.
                std::io::Write::write_all(&mut theirs, &[0xAA; 512]).unwrap();
            }
            drop(read);
            let canaries: Vec<Vec<u8>> = (0..16).map(|_| vec![0x55; 512]).collect();
            std::io::Write::write_all(&mut theirs, &[0xAA; 512]).unwrap();
            let (got, _) = ours.read_exact(vec![0; 512]).await;
            got.unwrap();
            assert!(canaries.iter().flatten().all(|byte| *byte == 0x55));
        }
    });
}

#[test]
fn s07_a_forgotten_future_never_frees_its_memory() {
    let deaths = Deaths::default();
    let runtime = Runtime::new().unwrap();
    let (mut ours, theirs) = streams();
    let canary = Canary::new(&deaths);
    runtime.block_on(async move {
        let mut read = Box::pin(async move { ours.read(canary).await });
        begin(&mut read).await;
        mem::forget(read);
        yield_now().await;
        // The forgotten buffer receives the bytes, and no task reads them.
        (&theirs).write_all("hello").await.0.unwrap();
        sleep(Duration::from_millis(1)).await;
    });
    drop(runtime);
    assert_eq!(deaths.count(), 0);
}

#[test]
fn s08_dropping_an_operation_that_is_slow_to_cancel_does_not_block() {
    run(async {
        let (begun, begins) = mpsc::channel();
        let (release, blocked) = mpsc::channel::<()>();
        let work = spawn_blocking(move || {
            begun.send(()).unwrap();
            blocked.recv().unwrap();
        });
        begins.recv_timeout(LONG).unwrap();
        work.abort();
        assert!(work.await.unwrap_err().is_cancelled());
        // This line runs while the work is blocked.
        release.send(()).unwrap();
    });
}
