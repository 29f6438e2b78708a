//! Panics of user code (scenario 19). Panics of wakers, buffers and destructors that call the
//! driver are in `reentrancy`.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, panic_any},
    rc::Rc,
    task::Poll,
    thread,
};

use compio_driver::{
    DriverBuilder, ThreadPool,
    op::{Blocking, Nop, ReadAt},
};

use crate::{
    soundness::pool::{gate, narrow_driver},
    support::{Canary, begin, drain, driver, pipe, poll_once, run},
};

#[test]
fn s19_a_panic_in_blocking_work_is_reported_and_the_thread_lives_on() {
    let driver = narrow_driver();
    for _ in 0..3 {
        let work = driver.submit(Blocking::<_, ()>::new(|| panic!("in the work")));
        let panic = run(&driver, work).unwrap().unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"in the work"));
    }
    let work = driver.submit(Blocking::new(|| 7));
    assert_eq!(run(&driver, work).unwrap().unwrap(), 7);
}

/// The shutdown waits for the thread, and the future returns the panic afterwards.
#[test]
fn s19_a_panic_in_blocking_work_during_the_shut_down_is_reported() {
    let driver = narrow_driver();
    let (code, has_begun, release) = gate();
    let mut work = driver.submit(Blocking::<_, ()>::new(move || {
        code();
        panic_any("during the shut-down");
    }));
    begin(&driver, &mut work);
    has_begun.recv().unwrap();
    let releaser = thread::spawn(move || release.send(()).unwrap());
    driver.shut_down();
    releaser.join().unwrap();
    assert_eq!(driver.in_flight(), 0);
    let Poll::Ready(ended) = poll_once(&driver, &mut work) else {
        panic!("it has ended");
    };
    let panic = ended.unwrap().unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"during the shut-down"));
}

/// Panics when it is dropped, and counts that.
struct Bomb(Rc<Cell<usize>>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
        panic_any("a result");
    }
}

/// Like [`Bomb`], and may come from another thread.
struct RemoteBomb;

impl Drop for RemoteBomb {
    fn drop(&mut self) {
        panic_any("a result");
    }
}

#[test]
fn s19_a_panicking_drop_of_a_work_result_harms_no_thread() {
    let driver = DriverBuilder::new()
        .pool(ThreadPool::new(1))
        .build()
        .unwrap();
    let (code, has_begun, release) = gate();
    let mut work = driver.submit(Blocking::new(move || {
        code();
        RemoteBomb
    }));
    begin(&driver, &mut work);
    has_begun.recv().unwrap();
    drop(work);
    release.send(()).unwrap();
    // The driver may pass the panic on or not; the work has ended, and the driver lives.
    while catch_unwind(AssertUnwindSafe(|| drain(&driver))).is_err() {}
    assert_eq!(run(&driver, driver.submit(Nop::new())).unwrap(), 0);
    let work = driver.submit(Blocking::new(|| 7));
    assert_eq!(run(&driver, work).unwrap().unwrap(), 7);
}

/// A buffer whose destructor panics.
struct Explosive(Canary, #[expect(dead_code, reason = "it is dropped")] Bomb);

// SAFETY: the canary's contract is this type's.
unsafe impl compio_io::buf::IoBuf for Explosive {
    fn as_init(&self) -> &[u8] {
        self.0.as_init()
    }

    fn buf_capacity(&self) -> usize {
        self.0.buf_capacity()
    }
}

// SAFETY: the canary's contract is this type's.
unsafe impl compio_io::buf::IoBufMut for Explosive {
    unsafe fn as_uninit(&mut self) -> &mut [std::mem::MaybeUninit<u8>] {
        // SAFETY: passed on from this function.
        unsafe { self.0.as_uninit() }
    }

    unsafe fn set_init(&mut self, len: usize) {
        // SAFETY: passed on from this function.
        unsafe { self.0.set_init(len) };
    }
}

/// A second panic during unwinding would abort the process.
#[test]
fn s19_buffers_that_panic_when_they_are_dropped_do_so_during_unwinding() {
    let (deaths, explosions) = (Rc::<Cell<usize>>::default(), Rc::<Cell<usize>>::default());
    let (counted, counted_explosions) = (Rc::clone(&deaths), Rc::clone(&explosions));
    let panic = catch_unwind(AssertUnwindSafe(move || {
        let (reader, _writer) = pipe();
        let driver = driver();
        for _ in 0..3 {
            let buffer = Explosive(Canary::new(&counted), Bomb(Rc::clone(&counted_explosions)));
            let mut read = driver.submit(ReadAt::at_cursor(reader.clone(), buffer));
            begin(&driver, &mut read);
        }
        panic_any("the first");
    }))
    .unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"the first"));
    assert_eq!((deaths.get(), explosions.get()), (3, 3));
}
