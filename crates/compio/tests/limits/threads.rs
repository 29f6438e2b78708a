//! Blocking work without free threads, and with few of them.

use std::{
    io,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use compio::{
    driver::{ThreadPool, op::Blocking},
    fs::File,
    runtime::{Runtime, submit},
    task::{block_on, spawn_blocking, yield_now},
};
use compio_testkit::allocator::LiveBytes;

use crate::support::{alone, become_nobody, bounded, check_exchange, connection, in_flight, limit};

async fn run_elsewhere() -> io::Result<i32> {
    let ran = bounded(submit(Blocking::new(|| 42))).await?;
    Ok(ran.expect("no panic"))
}

#[test]
fn blocking_work_without_a_thread_is_an_error_and_other_operations_go_on() {
    alone(|| {
        if !become_nobody() {
            return;
        }
        let before = limit(libc::RLIMIT_NPROC, 0);
        block_on(async {
            let error = run_elsewhere().await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
            // The handle reports it as a panic.
            assert!(spawn_blocking(|| 42).await.unwrap_err().is_panic());
            let (mut near, mut far) = connection();
            check_exchange(&mut near, &mut far).await;
            // The open may need an io-wq worker or a pool thread.
            match bounded(File::open_async("/dev/null")).await {
                Ok(file) => bounded(file.write_at(vec![1; 10], 0))
                    .await
                    .0
                    .map(drop)
                    .unwrap_or_default(),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}"),
            }
            // Once the limit permits a thread, the pool starts one.
            limit(libc::RLIMIT_NPROC, before);
            assert_eq!(run_elsewhere().await.unwrap(), 42);
        });
    });
}

#[test]
fn one_thread_does_all_work() {
    alone(|| {
        if !become_nobody() {
            return;
        }
        block_on(async {
            assert_eq!(run_elsewhere().await.unwrap(), 42);
            let before = limit(libc::RLIMIT_NPROC, 0);
            let works: Vec<_> = (0..100).map(|n| spawn_blocking(move || n)).collect();
            for (n, work) in works.into_iter().enumerate() {
                assert_eq!(bounded(work).await.unwrap(), n);
            }
            // A leak detector that runs at the end starts a thread.
            limit(libc::RLIMIT_NPROC, before);
        });
    });
}

/// The pool's queue has no limit: queued work is an operation in flight, and costs the same.
#[test]
fn queued_work_costs_little_and_is_removed_when_cancelled() {
    const WORKS: usize = 10_000;
    alone(|| {
        let runtime = Runtime::builder().pool(ThreadPool::new(1)).build().unwrap();
        let ran = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Barrier::new(2));
        runtime.block_on(async {
            let passed = Arc::clone(&gate);
            let first = spawn_blocking(move || passed.wait().is_leader());
            let before = LiveBytes::now();
            let mut works = Vec::with_capacity(WORKS);
            for _ in 0..WORKS {
                let ran = Arc::clone(&ran);
                works.push(spawn_blocking(move || ran.fetch_add(1, Relaxed)));
            }
            assert_eq!(in_flight(&runtime), 1 + WORKS);
            let each = (LiveBytes::now() - before) / WORKS as isize;
            assert!(each < 1024, "{each} bytes of queued work");
            // Every second one is cancelled.
            for (n, work) in works.iter().enumerate() {
                if n % 2 == 0 {
                    work.abort();
                }
            }
            while in_flight(&runtime) > 1 + WORKS / 2 {
                yield_now().await;
            }
            gate.wait();
            bounded(first).await.unwrap();
            for (n, work) in works.into_iter().enumerate() {
                assert_eq!(bounded(work).await.is_err(), n % 2 == 0);
            }
        });
        assert_eq!(ran.load(Relaxed), WORKS / 2);
        assert_eq!(in_flight(&runtime), 0);
    });
}
