//! Recorded latencies of operations, and counters of pools.

use std::{future::poll_fn, io::Write, time::Duration};

use compio_driver::{
    BufferPool, Driver, DriverBuilder, OpKind, ThreadPool,
    op::{Blocking, Nop, Recv},
};

use crate::support::{begin, each_backend, run, share, streams};

/// The recorded latencies. `now` is the time of the turn in which the operations have completed.
fn latencies(driver: &Driver, now: u64) -> Vec<(OpKind, u32)> {
    driver.set_now(now);
    let mut latencies = Vec::new();
    driver.take_latencies(|kind, latency| latencies.push((kind, latency)));
    latencies
}

#[test]
fn latency_is_the_time_between_turns_of_begin_and_completion() {
    for driver in each_backend() {
        driver.set_now(5);
        driver.set_recording(true);
        let (near, mut far) = streams();
        let mut recv = driver.submit(Recv::new(share(near), Vec::with_capacity(8), 0));
        begin(&driver, &mut recv);
        driver.turn(Some(Duration::ZERO)).unwrap();
        assert_eq!(latencies(&driver, 100), []);
        far.write_all(b"x").unwrap();
        assert_eq!(run(&driver, recv).1, b"x");
        assert_eq!(latencies(&driver, 1005), [(OpKind::Recv, 1000)]);
        // A job of the thread pool.
        let blocking = driver.submit(Blocking::new(|| 7));
        assert_eq!(run(&driver, blocking).unwrap().unwrap(), 7);
        assert_eq!(latencies(&driver, 1105), [(OpKind::Blocking, 100)]);
    }
}

#[test]
fn latency_of_hours_does_not_wrap_around() {
    // Two hours of microseconds, at once and in steps.
    const HOUR: u64 = 3_600_000_000;
    for times in [&[][..], &[HOUR / 2, HOUR, 3 * HOUR / 2]] {
        for driver in each_backend() {
            driver.set_now(5);
            driver.set_recording(true);
            let (near, mut far) = streams();
            let mut recv = driver.submit(Recv::new(share(near), Vec::with_capacity(8), 0));
            begin(&driver, &mut recv);
            driver.turn(Some(Duration::ZERO)).unwrap();
            for &now in times {
                assert_eq!(latencies(&driver, now), []);
            }
            far.write_all(b"x").unwrap();
            assert_eq!(run(&driver, recv).1, b"x");
            assert_eq!(latencies(&driver, 2 * HOUR), [(OpKind::Recv, u32::MAX)]);
        }
    }
}

#[test]
fn latencies_are_recorded_only_on_request() {
    for driver in each_backend() {
        run(&driver, driver.submit(Nop::new())).unwrap();
        assert_eq!(latencies(&driver, 1), []);
        driver.set_recording(true);
        let (near, mut far) = streams();
        let recv = driver.submit(Recv::new(share(near), Vec::with_capacity(8), 0));
        far.write_all(b"x").unwrap();
        run(&driver, recv).0.unwrap();
        driver.set_recording(false);
        assert_eq!(latencies(&driver, 2), []);
    }
}

#[test]
fn buffer_pools_publish_their_buffers() {
    for driver in each_backend() {
        assert_eq!(driver.metrics().buffer_pools(), []);
        let pool = BufferPool::new(&driver, 3, 16).unwrap();
        let stats = || driver.metrics().buffer_pools();
        assert_eq!((stats().len(), stats()[0].buffers), (1, 4));
        assert_eq!((stats()[0].buffer_size, stats()[0].handed_out), (16, 0));
        let (near, mut far) = streams();
        far.write_all(b"x").unwrap();
        let mut stream = driver.recv_stream(share(near), &pool, 0);
        let next = poll_fn(|cx| stream.poll_next(cx));
        let buffer = run(&driver, next).unwrap().unwrap();
        driver.turn(Some(Duration::ZERO)).unwrap();
        assert_eq!(stats()[0].handed_out, 1);
        drop((buffer, stream));
        driver.turn(Some(Duration::ZERO)).unwrap();
        assert_eq!(stats()[0].handed_out, 0);
        drop(pool);
        assert_eq!(stats(), []);
    }
}

#[test]
fn thread_pool_counts_begun_jobs_and_their_waits() {
    let pool = ThreadPool::new(1);
    let driver = DriverBuilder::new().pool(pool.clone()).build().unwrap();
    let (release, released) = std::sync::mpsc::channel();
    let mut first = driver.submit(Blocking::new(move || released.recv().unwrap()));
    begin(&driver, &mut first);
    let mut second = driver.submit(Blocking::new(|| {}));
    begin(&driver, &mut second);
    release.send(()).unwrap();
    run(&driver, first).unwrap().unwrap();
    run(&driver, second).unwrap().unwrap();
    let stats = pool.stats();
    assert_eq!((stats.begun, stats.queued), (2, 0));
    assert!(stats.waited > Duration::ZERO);
}
