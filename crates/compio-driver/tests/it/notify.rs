//! Waking a driver from other threads.

use std::{
    sync::mpsc,
    task::Waker,
    thread,
    time::{Duration, Instant},
};

use compio_driver::{
    AsRawFd, Poller, SpinPolicy,
    op::{Blocking, Nop, ReadAt},
};

use crate::{
    soundness::wakes::driver_with,
    support::{
        LONG, begin, drain, driver, is_woken, pipe, pipe_in, poll_once, poll_with, processor_time,
        run,
    },
};

/// Wakes must be safe with every spin policy.
pub(crate) const POLICIES: [SpinPolicy; 3] =
    [SpinPolicy::Off, SpinPolicy::Adaptive, SpinPolicy::Always];

#[test]
fn driver_with_operation_or_wake_is_not_idle() {
    let driver = driver();
    assert!(driver.is_idle());
    let mut nop = driver.submit(Nop::new());
    assert!(poll_with(&mut nop, Waker::noop()).is_pending());
    assert!(!driver.is_idle());
    drain(&driver);
    assert!(driver.is_idle());
    driver.waker().wake();
    assert!(!driver.is_idle());
    driver.turn(Some(Duration::ZERO)).unwrap();
    assert!(driver.is_idle());
}

#[test]
fn a_wake_does_not_end_an_operation() {
    let driver = driver();
    let (reader, _writer) = pipe();
    let mut read = driver.submit(ReadAt::at_cursor(reader, vec![0; 8]));
    begin(&driver, &mut read);
    for _ in 0..10 {
        driver.waker().wake();
        driver.turn(Some(LONG)).unwrap();
        assert!(poll_once(&driver, &mut read).is_pending());
    }
    drop(read);
    drain(&driver);
}

#[test]
fn an_outer_loop_is_woken_by_other_threads() {
    let driver = driver_with(SpinPolicy::Off);
    for _ in 0..500 {
        let waker = driver.waker();
        while !driver.prepare_to_sleep() {
            driver.turn(Some(Duration::ZERO)).unwrap();
        }
        let thread = thread::spawn(move || waker.wake());
        assert!(is_woken(&driver, LONG));
        driver.turn(Some(Duration::ZERO)).unwrap();
        thread.join().unwrap();
    }
}

#[test]
fn an_outer_loop_sees_blocking_work_and_completions() {
    let driver = driver();
    let (reader, writer) = pipe();
    let mut read = driver.submit(ReadAt::at_cursor(reader, vec![0; 8]));
    begin(&driver, &mut read);
    let (release, released) = mpsc::channel::<()>();
    let mut work = driver.submit(Blocking::new(move || released.recv().unwrap()));
    begin(&driver, &mut work);
    while !driver.prepare_to_sleep() {
        driver.turn(Some(Duration::ZERO)).unwrap();
    }
    assert!(!is_woken(&driver, Duration::ZERO));
    release.send(()).unwrap();
    assert!(is_woken(&driver, LONG));
    while poll_once(&driver, &mut work).is_pending() {
        driver.turn(Some(Duration::ZERO)).unwrap();
    }

    while !driver.prepare_to_sleep() {
        driver.turn(Some(Duration::ZERO)).unwrap();
    }
    drop(writer);
    assert!(is_woken(&driver, LONG));
    while poll_once(&driver, &mut read).is_pending() {
        driver.turn(Some(Duration::ZERO)).unwrap();
    }
}

/// A driver that has lent its descriptor to an outer loop can still sleep by itself.
#[test]
fn a_driver_of_an_outer_loop_sleeps_as_well() {
    let driver = driver_with(SpinPolicy::Off);
    for _ in 0..10 {
        let nop = driver.submit(Nop::new());
        run(&driver, nop).unwrap();
        while !driver.prepare_to_sleep() {
            driver.turn(Some(Duration::ZERO)).unwrap();
        }
    }
    let (before, began) = (driver.enters(), Instant::now());
    while began.elapsed() < Duration::from_millis(50) {
        driver.turn(Some(Duration::from_millis(50))).unwrap();
    }
    let count = driver.enters() - before;
    assert!(count <= 10, "{count}");
}

#[test]
fn a_driver_that_was_woken_does_not_let_the_outer_loop_sleep() {
    let driver = driver();
    driver.waker().wake();
    assert!(!driver.prepare_to_sleep());
    driver.turn(Some(LONG)).unwrap();
    driver.turn(Some(Duration::ZERO)).unwrap();
    assert!(driver.prepare_to_sleep());
}

/// Waits for a pipe until `timeout` is over or another thread writes to it after 200 ms, and checks
/// that the wait uses almost no CPU time.
fn check_idle(policy: SpinPolicy, timeout: Duration) {
    let driver = driver_with(policy);
    let (reader, writer) = pipe_in();
    let mut op = ReadAt::at_cursor(reader.as_raw_fd(), vec![0; 8]);
    // SAFETY: the operation and its descriptor stay here until the entry has come.
    unsafe { driver.push(&mut op, 0) }.unwrap();
    let writing = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        drop(writer);
    });
    let before = processor_time();
    driver
        .poll_one(Some(timeout))
        .unwrap()
        .into_result()
        .unwrap();
    let used = processor_time() - before;
    assert!(
        used < Duration::from_millis(50),
        "{policy:?} {timeout:?}: {used:?}"
    );
    writing.join().unwrap();
}

#[test]
fn an_idle_driver_uses_no_cpu_time() {
    for policy in POLICIES {
        check_idle(policy, LONG);
    }
}

/// A timeout that is longer than the kernel's range does not spin either.
#[test]
fn a_very_long_timeout_does_not_end_early() {
    for timeout in [
        Duration::from_secs(1 << 33),
        Duration::from_secs(9_223_372_036),
        Duration::from_secs(i64::MAX as u64),
        Duration::MAX,
    ] {
        check_idle(SpinPolicy::Off, timeout);
    }
}
