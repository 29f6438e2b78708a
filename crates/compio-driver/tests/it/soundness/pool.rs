//! The thread pool: futures that are dropped while a thread still uses their memory, and more work
//! than threads (scenario 22).

use std::{
    cell::Cell,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::Duration,
};

use compio_driver::{
    Driver, DriverBuilder, ThreadPool,
    op::{Blocking, Nop, ReadAt},
};

use crate::{
    pool::Deaths,
    support::{LONG, begin, check_code, code, drain, each_backend, file, forget_from, run, start},
};

/// A driver whose thread pool has one thread.
pub(crate) fn narrow_driver() -> Driver {
    DriverBuilder::new()
        .pool(ThreadPool::new(1))
        .build()
        .unwrap()
}

/// Blocking work that reports its start, and ends on request.
pub(crate) fn gate() -> (impl FnOnce() + Send + 'static, Receiver<()>, Sender<()>) {
    let (begun, has_begun) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let code = move || {
        begun.send(()).unwrap();
        released.recv().unwrap();
    };
    (code, has_begun, release)
}

#[test]
fn s22_a_full_pool_queues_work_and_delays_no_other_operation() {
    let driver = narrow_driver();
    let (code, has_begun, release) = gate();
    let mut first = driver.submit(Blocking::new(code));
    begin(&driver, &mut first);
    has_begun.recv().unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut rest: Vec<_> = (0..100)
        .map(|number| {
            let order = Arc::clone(&order);
            driver.submit(Blocking::new(move || order.lock().unwrap().push(number)))
        })
        .collect();
    rest.iter_mut().for_each(|work| begin(&driver, work));
    assert!(order.lock().unwrap().is_empty());
    // A busy pool does not delay other operations.
    assert_eq!(run(&driver, driver.submit(Nop::new())).unwrap(), 0);

    release.send(()).unwrap();
    run(&driver, first).unwrap().unwrap();
    for work in rest {
        run(&driver, work).unwrap().unwrap();
    }
    assert!(order.lock().unwrap().iter().copied().eq(0..100));
}

#[test]
fn s22_work_that_waits_is_cancelled_and_dropped_at_home() {
    let driver = narrow_driver();
    let deaths = Deaths::default();
    let (code, has_begun, release) = gate();
    let mut first = driver.submit(Blocking::new(code));
    begin(&driver, &mut first);
    has_begun.recv().unwrap();
    let has_run = Arc::new(AtomicUsize::new(0));
    let [mut cancelled, mut dropped] = [(); 2].map(|()| {
        let (mortal, has_run) = (deaths.mortal(), Arc::clone(&has_run));
        driver.submit(Blocking::new(move || {
            has_run.fetch_add(1, Relaxed);
            drop(mortal);
        }))
    });
    begin(&driver, &mut cancelled);
    begin(&driver, &mut dropped);
    cancelled.cancel();
    cancelled.cancel();
    drop(dropped);
    check_code(run(&driver, cancelled), code::CANCELLED);
    release.send(()).unwrap();
    run(&driver, first).unwrap().unwrap();
    drain(&driver);
    deaths.check_here(2);
    assert_eq!(has_run.load(Relaxed), 0);
}

#[test]
fn s22_work_that_runs_goes_on_when_it_is_cancelled() {
    let driver = narrow_driver();
    let (code, has_begun, release) = gate();
    let mut work = driver.submit(Blocking::new(code));
    begin(&driver, &mut work);
    has_begun.recv().unwrap();
    work.cancel();
    release.send(()).unwrap();
    run(&driver, work).unwrap().unwrap();
}

/// The thread writes to the operation long after its future is gone.
#[test]
fn s22_work_that_runs_outlives_its_future() {
    let driver = narrow_driver();
    let deaths = Deaths::default();
    let mortal = deaths.mortal();
    let (code, has_begun, release) = gate();
    let mut work = driver.submit(Blocking::new(move || {
        code();
        ([7_u8; 64], mortal)
    }));
    begin(&driver, &mut work);
    has_begun.recv().unwrap();
    drop(work);
    release.send(()).unwrap();
    drain(&driver);
    deaths.check_here(1);
}

#[test]
fn s22_a_driver_that_dies_waits_for_work_that_runs() {
    let driver = narrow_driver();
    let (code, has_begun, release) = gate();
    let has_ended = Arc::new(AtomicUsize::new(0));
    let ended = Arc::clone(&has_ended);
    let mut work = driver.submit(Blocking::new(move || {
        code();
        ended.store(1, Relaxed);
    }));
    begin(&driver, &mut work);
    has_begun.recv().unwrap();
    let releaser = thread::spawn(move || release.send(()).unwrap());
    drop(driver);
    assert_eq!(has_ended.load(Relaxed), 1);
    releaser.join().unwrap();
    drop(work);
}

/// Memory that the thread uses is leaked: it must stay valid, and never be freed.
#[test]
fn s22_past_its_timeout_a_driver_leaks_memory_of_pool_threads() {
    past_its_timeout_a_driver_leaks(Duration::ZERO);
    past_its_timeout_a_driver_leaks(Duration::from_millis(5));
}

fn past_its_timeout_a_driver_leaks(timeout: Duration) {
    let builder = DriverBuilder::new().pool(ThreadPool::new(1));
    let driver = builder.shutdown_timeout(timeout).build().unwrap();
    let (code, has_begun, release) = gate();
    let (done, is_done) = mpsc::channel();
    let mut work = driver.submit(Blocking::new(move || {
        code();
        done.send(()).unwrap();
        vec![7_u8; 64]
    }));
    begin(&driver, &mut work);
    has_begun.recv().unwrap();
    drop(driver);
    drop(work);
    release.send(()).unwrap();
    is_done.recv_timeout(LONG).unwrap();
}

/// The last handle of a value that is not `Send` is dropped on the driver's thread, while threads
/// run.
#[test]
fn s22_many_jobs_are_dropped_at_any_moment() {
    let driver = DriverBuilder::new()
        .pool(ThreadPool::new(3))
        .build()
        .unwrap();
    let count = Arc::new(());
    let dropped = Rc::new(Cell::new(0));
    for round in 0..500 {
        let count = Arc::clone(&count);
        let mut work = driver.submit(Blocking::new(move || count));
        begin(&driver, &mut work);
        match round % 3 {
            0 => drop(work),
            1 => {
                work.cancel();
                let _ = run(&driver, work);
            }
            _ => drop(run(&driver, work).unwrap().unwrap()),
        }
        dropped.set(dropped.get() + 1);
    }
    drain(&driver);
    drop(driver);
    assert_eq!((Arc::strong_count(&count), dropped.get()), (1, 500));
}

/// With the thread pool in place of the kernel, the thread reads into a buffer whose future is
/// gone.
#[test]
fn s22_a_read_that_is_dropped_while_a_thread_makes_it_keeps_its_buffer() {
    for driver in each_backend() {
        let content = vec![0xaa_u8; 1 << 18];
        let (file, fd) = file(&content);
        for round in 0..50 {
            forget_from(&file, 0);
            let mut read = driver.submit(ReadAt::new(fd.clone(), 0, Vec::with_capacity(1 << 18)));
            let begun = start(&driver, &mut read);
            if round % 2 == 0 {
                driver.turn(Some(Duration::ZERO)).unwrap();
            }
            drop((begun, read));
            let canaries = vec![0x55_u8; 1 << 18];
            drain(&driver);
            assert!(canaries.iter().all(|byte| *byte == 0x55));
        }
    }
}
