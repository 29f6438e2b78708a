//! 6 to 8: what the kernel may still use when nobody waits for it any more.

use std::{mem, sync::mpsc, time::Duration};

use compio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    runtime::Runtime,
    task::{spawn_blocking, yield_now},
    time::sleep,
};

use crate::support::{Canary, Deaths, LONG, begin, run, streams, until};

#[test]
fn s06_a_dropped_reads_buffer_stays_until_the_kernel_has_answered() {
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
fn s06_a_dropped_read_writes_to_nobody_elses_memory() {
    run(async {
        for round in 0..200 {
            let (mut ours, theirs) = streams();
            let mut theirs = theirs.into_std().unwrap();
            let mut read = Box::pin(ours.read(Vec::with_capacity(512)));
            begin(&mut read).await;
            yield_now().await;
            if round % 2 == 0 {
                // The answer is on its way when the future goes.
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
fn s07_a_forgotten_future_keeps_its_memory_for_ever() {
    let deaths = Deaths::default();
    let runtime = Runtime::new().unwrap();
    let (mut ours, theirs) = streams();
    let canary = Canary::new(&deaths);
    runtime.block_on(async move {
        let mut read = Box::pin(async move { ours.read(canary).await });
        begin(&mut read).await;
        mem::forget(read);
        yield_now().await;
        // It comes to nobody, and does no harm.
        (&theirs).write_all("hello").await.0.unwrap();
        sleep(Duration::from_millis(1)).await;
    });
    drop(runtime);
    assert_eq!(deaths.count(), 0);
}

#[test]
fn s08_dropping_what_is_slow_to_cancel_blocks_nobody() {
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
        // We are here while it is blocked.
        release.send(()).unwrap();
    });
}
