//! The thread pool: queued work, and work that runs on while its runtime ends (scenario 22).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use compio::{
    driver::ThreadPool,
    fs::{self, File},
    runtime::Runtime,
    task::{spawn_blocking, yield_now},
};

use crate::support::{LONG, pattern, run};

#[test]
fn s22_the_drop_of_a_runtime_waits_for_running_blocking_work() {
    let runtime = Runtime::new().unwrap();
    let (begun, begins) = mpsc::channel();
    let ended = Arc::new(AtomicBool::new(false));
    let mark = ended.clone();
    runtime.enter(|| {
        drop(spawn_blocking(move || {
            begun.send(()).unwrap();
            thread::sleep(Duration::from_millis(20));
            mark.store(true, SeqCst);
        }));
    });
    begins.recv_timeout(LONG).unwrap();
    drop(runtime);
    assert!(ended.load(SeqCst));
}

#[test]
fn s22_the_drop_of_a_runtime_removes_queued_blocking_work() {
    let pool = ThreadPool::new(1);
    let runtime = Runtime::builder().pool(pool.clone()).build().unwrap();
    let other = Runtime::builder().pool(pool).build().unwrap();
    let (release, blocked) = mpsc::channel::<()>();
    let (begun, begins) = mpsc::channel();
    let first = other.enter(|| {
        spawn_blocking(move || {
            begun.send(()).unwrap();
            blocked.recv_timeout(LONG)
        })
    });
    begins.recv_timeout(LONG).unwrap();
    let ran = Arc::new(AtomicBool::new(false));
    let mark = ran.clone();
    runtime.enter(|| drop(spawn_blocking(move || mark.store(true, SeqCst))));
    drop(runtime);
    assert_eq!(Arc::strong_count(&ran), 1);
    release.send(()).unwrap();
    other.block_on(first).unwrap().unwrap();
    assert!(!ran.load(SeqCst));
}

#[test]
fn s22_past_its_timeout_a_runtime_leaves_its_blocking_work_behind() {
    let runtime = Runtime::builder()
        .shutdown_timeout(Duration::ZERO)
        .build()
        .unwrap();
    let (begun, begins) = mpsc::channel();
    let (release, blocked) = mpsc::channel::<()>();
    let (end, ended) = mpsc::channel();
    let past_its_timeout = move || {
        begun.send(()).unwrap();
        blocked.recv_timeout(LONG).unwrap();
        end.send(vec![42; 1000]).unwrap();
    };
    runtime.enter(|| drop(spawn_blocking(past_its_timeout)));
    begins.recv_timeout(LONG).unwrap();
    drop(runtime);
    // The work uses memory that the runtime has leaked to it.
    release.send(()).unwrap();
    assert_eq!(ended.recv_timeout(LONG).unwrap(), vec![42; 1000]);
}

#[test]
fn s22_blocking_work_that_is_aborted_in_the_queue_never_runs() {
    let runtime = Runtime::builder().pool(ThreadPool::new(1)).build().unwrap();
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
        // The only thread has passed the aborted work.
        spawn_blocking(|| {}).await.unwrap();
        assert!(!ran.load(SeqCst));
        assert_eq!(Arc::strong_count(&ran), 1);
    });
}

#[test]
fn s22_more_blocking_work_than_threads_is_done_in_its_turn() {
    let runtime = Runtime::builder().pool(ThreadPool::new(2)).build().unwrap();
    runtime.block_on(async {
        let works: Vec<_> = (0..100).map(|n| spawn_blocking(move || n)).collect();
        for (number, work) in works.into_iter().enumerate() {
            assert_eq!(work.await.unwrap(), number);
        }
    });
}

/// Queued operations still run, in their turn, after others are cancelled.
#[test]
fn s22_operations_that_need_a_thread_wait_for_a_full_pool() {
    let runtime = Runtime::builder().pool(ThreadPool::new(1)).build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let (release, blocked) = mpsc::channel::<()>();
        let busy = spawn_blocking(move || blocked.recv_timeout(LONG));
        let copies: Vec<_> = (0..20)
            .map(|number| {
                let path = folder.path().join(number.to_string());
                compio::task::spawn(async move {
                    fs::write(&path, pattern(1000)).await.0.unwrap();
                    let metadata = fs::metadata(&path).await.unwrap();
                    metadata.len()
                })
            })
            .collect();
        for _ in 0..3 {
            yield_now().await;
        }
        // Cancelled while they wait for a thread, or after their end.
        let mut copies = copies.into_iter();
        for copy in copies.by_ref().take(10) {
            copy.abort();
        }
        release.send(()).unwrap();
        for copy in copies {
            assert_eq!(copy.await.unwrap(), 1000);
        }
        busy.await.unwrap().unwrap();
    });
}

/// Reads and writes that may run on a pool thread, cancelled at any moment, with their memory reused.
#[test]
fn s22_cancelled_transfers_keep_their_buffers() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, vec![0xaa; 1 << 16]).await.0.unwrap();
        let file = File::open(&path).unwrap();
        for round in 0..100 {
            let other = file.clone();
            let read = compio::task::spawn(async move {
                drop(other.read_at(Vec::with_capacity(1 << 16), 0).await);
            });
            let path = path.clone();
            let read_all = compio::task::spawn(async move { fs::read(&path).await });
            for _ in 0..round % 4 {
                yield_now().await;
            }
            read.abort();
            read_all.abort();
            drop((read, read_all));
            let canary = vec![0x55_u8; 1 << 16];
            yield_now().await;
            assert!(canary.iter().all(|byte| *byte == 0x55));
        }
    });
}
