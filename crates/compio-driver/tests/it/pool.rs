//! Blocking work.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread::{self, ThreadId},
};

use compio_driver::{DriverBuilder, Poller, ThreadPool, op::Blocking};

use crate::{
    soundness::pool::{gate, narrow_driver},
    support::{begin, check_code, code, driver, run},
};

/// Records the threads on which it is dropped.
#[derive(Clone, Default)]
pub(crate) struct Deaths(Arc<Mutex<Vec<ThreadId>>>);

pub(crate) struct Mortal(Deaths);

impl Drop for Mortal {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().push(thread::current().id());
    }
}

impl Deaths {
    pub(crate) fn mortal(&self) -> Mortal {
        Mortal(self.clone())
    }

    #[track_caller]
    pub(crate) fn check_here(&self, count: usize) {
        assert_eq!(*self.0.lock().unwrap(), vec![thread::current().id(); count]);
    }
}

#[test]
fn blocking_work_runs_elsewhere() {
    let driver = driver();
    let work = Blocking::new(|| thread::current().id());
    let id = run(&driver, driver.submit(work)).unwrap().unwrap();
    assert_ne!(id, thread::current().id());
}

#[test]
fn the_result_is_dropped_at_home() {
    let driver = driver();
    let deaths = Deaths::default();
    let mortal = deaths.mortal();
    let work = driver.submit(Blocking::new(move || mortal));
    drop(run(&driver, work).unwrap().unwrap());
    deaths.check_here(1);
}

#[test]
fn a_pool_grows_while_there_is_work() {
    let driver = DriverBuilder::new()
        .pool(ThreadPool::new(4))
        .build()
        .unwrap();
    let barrier = Arc::new(std::sync::Barrier::new(4));
    // No closure ends before all have begun.
    let mut works: Vec<_> = (0..4)
        .map(|_| {
            let barrier = Arc::clone(&barrier);
            driver.submit(Blocking::new(move || barrier.wait().is_leader()))
        })
        .collect();
    works.iter_mut().for_each(|work| begin(&driver, work));
    for work in works {
        run(&driver, work).unwrap().unwrap();
    }
}

#[test]
fn large_work_is_boxed_and_runs() {
    let driver = driver();
    let cargo = [7_u8; 4096];
    let work = driver.submit(Blocking::new(move || cargo));
    assert_eq!(run(&driver, work).unwrap().unwrap(), cargo);
}

#[test]
fn two_drivers_share_a_pool_and_take_only_their_own_answers() {
    let pool = ThreadPool::new(1);
    let [one, other] = [(); 2].map(|()| DriverBuilder::new().pool(pool.clone()).build().unwrap());
    let (code, has_begun, release) = gate();
    let mut first = one.submit(Blocking::new(code));
    begin(&one, &mut first);
    has_begun.recv().unwrap();
    // Each operation is its driver's first or second: their ids may be equal.
    let (mut of_one, mut of_other) = (
        one.submit(Blocking::new(|| "one")),
        other.submit(Blocking::new(|| "other")),
    );
    begin(&one, &mut of_one);
    begin(&other, &mut of_other);
    let mut again = other.submit(Blocking::new(|| "again"));
    begin(&other, &mut again);
    again.cancel();
    check_code(run(&other, again), code::CANCELLED);
    release.send(()).unwrap();
    assert_eq!(run(&other, of_other).unwrap().unwrap(), "other");
    assert_eq!(run(&one, of_one).unwrap().unwrap(), "one");
    run(&one, first).unwrap().unwrap();
}

#[test]
fn pushed_work_runs_and_is_cancelled() {
    let driver = narrow_driver();
    let (code, has_begun, release) = gate();
    let (mut first, mut second) = (Blocking::new(code), Blocking::new(|| ()));
    // SAFETY: both stay here until their entries have come.
    unsafe {
        driver.push(&mut first, 1).unwrap();
        driver.push(&mut second, 2).unwrap();
    }
    has_begun.recv().unwrap();
    driver.cancel(1);
    driver.cancel(2);
    let entry = driver.poll_one(None).unwrap();
    assert_eq!(entry.user_data(), 2);
    check_code(entry.into_result(), code::CANCELLED);
    release.send(()).unwrap();
    let entry = driver.poll_one(None).unwrap();
    assert_eq!(entry.user_data(), 1);
    entry.into_result().unwrap();
}

#[test]
fn a_pool_without_threads_is_refused() {
    catch_unwind(AssertUnwindSafe(|| ThreadPool::new(0))).unwrap_err();
}

/// Name resolution that waits for a server has threads of its own, and a limit.
#[test]
fn names_that_hang_leave_threads_for_files() {
    const NAMES: usize = 1_000;
    let pool = ThreadPool::new(1);
    let driver = DriverBuilder::new().pool(pool).build().unwrap();
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let mut names: Vec<_> = (0..NAMES)
        .map(|_| {
            let (released, running, most) = (released.clone(), running.clone(), most.clone());
            driver.submit(Blocking::resolving(move || {
                most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                // Ends when the sender is dropped.
                let _ = released.lock().unwrap().recv();
                running.fetch_sub(1, SeqCst);
            }))
        })
        .collect();
    for name in &mut names {
        begin(&driver, name);
    }
    let other = run(&driver, driver.submit(Blocking::new(|| 42)));
    assert_eq!(other.unwrap().unwrap(), 42);
    // One that waits in the queue can be cancelled.
    let last = names.pop().unwrap();
    last.cancel();
    check_code(run(&driver, last), code::CANCELLED);
    drop(release);
    for name in names {
        run(&driver, name).unwrap().unwrap();
    }
    assert!((1..=32).contains(&most.load(SeqCst)));
}
