//! Blocking work.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, ThreadId},
    time::Duration,
};

use compio_driver::{
    Driver, DriverBuilder, Poller, Pool,
    op::{Blocking, Nop},
};

use crate::support::{LONG, begin, check_error, code, drain, driver, run};

/// A driver whose blocking work has one thread.
fn narrow_driver() -> Driver {
    DriverBuilder::new().pool(Pool::new(1)).build().unwrap()
}

/// Blocking work that says when it has begun, and ends when it is told to.
fn gate() -> (impl FnOnce() + Send + 'static, Receiver<()>, Sender<()>) {
    let (begun, has_begun) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let code = move || {
        begun.send(()).unwrap();
        released.recv().unwrap();
    };
    (code, has_begun, release)
}

/// Notes the threads on which it is dropped.
#[derive(Clone, Default)]
struct Deaths(Arc<Mutex<Vec<ThreadId>>>);

struct Mortal(Deaths);

impl Drop for Mortal {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().push(thread::current().id());
    }
}

impl Deaths {
    fn mortal(&self) -> Mortal {
        Mortal(self.clone())
    }

    #[track_caller]
    fn check_here(&self, count: usize) {
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
fn a_panic_is_reported_and_the_thread_lives_on() {
    let driver = narrow_driver();
    for _ in 0..3 {
        let work = driver.submit(Blocking::<_, ()>::new(|| panic!("in the work")));
        let panic = run(&driver, work).unwrap().unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"in the work"));
    }
    let work = driver.submit(Blocking::new(|| 7));
    assert_eq!(run(&driver, work).unwrap().unwrap(), 7);
}

#[test]
fn a_full_pool_queues() {
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
    // A busy pool keeps nobody else from working.
    assert_eq!(run(&driver, driver.submit(Nop::new())).unwrap(), 0);

    release.send(()).unwrap();
    run(&driver, first).unwrap().unwrap();
    for work in rest {
        run(&driver, work).unwrap().unwrap();
    }
    assert!(order.lock().unwrap().iter().copied().eq(0..100));
}

#[test]
fn a_pool_grows_while_there_is_work() {
    let driver = DriverBuilder::new().pool(Pool::new(4)).build().unwrap();
    let barrier = Arc::new(std::sync::Barrier::new(4));
    // None of them ends before all have begun.
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
fn work_that_waits_is_cancelled_and_dropped_at_home() {
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
    check_error(run(&driver, cancelled), code::CANCELLED);
    release.send(()).unwrap();
    run(&driver, first).unwrap().unwrap();
    drain(&driver);
    deaths.check_here(2);
    assert_eq!(has_run.load(Relaxed), 0);
}

#[test]
fn work_that_runs_goes_on_when_it_is_cancelled() {
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
fn work_that_runs_outlives_its_future() {
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
fn large_work_is_boxed_and_runs() {
    let driver = driver();
    let cargo = [7_u8; 4096];
    let work = driver.submit(Blocking::new(move || cargo));
    assert_eq!(run(&driver, work).unwrap().unwrap(), cargo);
}

#[test]
fn two_drivers_share_a_pool_and_take_only_their_own_answers() {
    let pool = Pool::new(1);
    let [one, other] = [(); 2].map(|()| DriverBuilder::new().pool(pool.clone()).build().unwrap());
    let (code, has_begun, release) = gate();
    let mut first = one.submit(Blocking::new(code));
    begin(&one, &mut first);
    has_begun.recv().unwrap();
    // Both are the first flight of their driver's second cell or first: their keys may be alike.
    let (mut of_one, mut of_other) = (
        one.submit(Blocking::new(|| "one")),
        other.submit(Blocking::new(|| "other")),
    );
    begin(&one, &mut of_one);
    begin(&other, &mut of_other);
    let mut again = other.submit(Blocking::new(|| "again"));
    begin(&other, &mut again);
    again.cancel();
    check_error(run(&other, again), code::CANCELLED);
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
    check_error(entry.into_result(), code::CANCELLED);
    release.send(()).unwrap();
    let entry = driver.poll_one(None).unwrap();
    assert_eq!(entry.user_data(), 1);
    entry.into_result().unwrap();
}

#[test]
fn no_answer_is_lost_between_a_look_and_a_sleep() {
    let driver = driver();
    for number in 0..2000 {
        let work = driver.submit(Blocking::new(move || number));
        assert_eq!(run(&driver, work).unwrap().unwrap(), number);
    }
}

#[test]
fn a_driver_that_dies_waits_for_work_that_runs() {
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

/// What the thread uses is leaked: it must stay valid, and never be freed.
#[test]
fn past_its_timeout_a_driver_leaks_what_a_thread_uses() {
    past_its_timeout_a_driver_leaks(Duration::ZERO);
    past_its_timeout_a_driver_leaks(Duration::from_millis(5));
}

fn past_its_timeout_a_driver_leaks(timeout: Duration) {
    let builder = DriverBuilder::new().pool(Pool::new(1));
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

#[test]
fn a_pool_without_threads_is_refused() {
    catch_unwind(AssertUnwindSafe(|| Pool::new(0))).unwrap_err();
}

#[test]
fn work_never_polled_never_runs() {
    let driver = driver();
    let has_run = Arc::new(AtomicUsize::new(0));
    let runs = Arc::clone(&has_run);
    drop(driver.submit(Blocking::new(move || runs.fetch_add(1, Relaxed))));
    drop(driver);
    assert_eq!(Arc::strong_count(&has_run), 1);
    assert_eq!(has_run.load(Relaxed), 0);
}

/// Dropping the last handle of a local thing at home, while threads come and go.
#[test]
fn many_jobs_are_dropped_at_any_moment() {
    let driver = DriverBuilder::new().pool(Pool::new(3)).build().unwrap();
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
