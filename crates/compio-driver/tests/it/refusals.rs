//! Kernels that refuse, and calls that are interrupted.
//!
//! A filter of system calls holds for the thread that sets it: each of these tests has one.

use std::{
    cell::Cell,
    os::unix::thread::JoinHandleExt,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::Waker,
    thread,
    time::Duration,
};

use compio_driver::{
    Driver, DriverBuilder,
    op::{Nop, ReadAt},
};

use crate::support::{
    Canary, begin, check_error, pipe, poll_once, poll_with, refuse, run, turn_until, uring,
};

#[test]
fn a_driver_that_is_locked_out_says_so_and_dies() {
    thread::spawn(|| {
        let Some(builder) = uring() else { return };
        let driver = builder.build().unwrap();
        let mut nop = driver.submit(Nop::new());
        refuse(libc::SYS_io_uring_enter, libc::EPERM);
        begin(&driver, &mut nop);
        check_error(driver.turn(None), libc::EPERM);
        check_error(driver.turn(Some(Duration::ZERO)), libc::EPERM);
        locked_out_a_driver_leaks(driver);
        assert!(poll_with(&mut nop, Waker::noop()).is_pending());
    })
    .join()
    .unwrap();
}

/// The kernel may still have it: nothing is freed.
fn locked_out_a_driver_leaks(driver: Driver) {
    let (reader, _writer) = pipe();
    let deaths = Rc::<Cell<usize>>::default();
    let mut read = driver.submit(ReadAt::at_cursor(reader, Canary::new(&deaths)));
    begin(&driver, &mut read);
    drop(driver);
    drop(read);
    assert_eq!(deaths.get(), 0);
}

#[test]
fn a_kernel_that_is_always_busy_keeps_no_driver_alive() {
    for error in [libc::EAGAIN, libc::EBUSY, libc::EINTR] {
        thread::spawn(move || {
            let Some(builder) = uring() else { return };
            let builder = builder.entries(4);
            let driver = builder.shutdown_timeout(Duration::from_millis(5));
            let driver = driver.build().unwrap();
            refuse(libc::SYS_io_uring_enter, error);
            // More than the queue holds, and cancelled: all of it waits for better times.
            let mut nops: Vec<_> = (0..50).map(|_| driver.submit(Nop::new())).collect();
            nops.iter_mut().for_each(|nop| begin(&driver, nop));
            nops.truncate(25);
            driver.turn(Some(Duration::ZERO)).unwrap();
            assert_eq!(driver.in_flight(), 50);
            locked_out_a_driver_leaks(driver);
        })
        .join()
        .unwrap();
    }
}

extern "C" fn ignore(_: libc::c_int) {}

#[test]
fn a_storm_of_signals_ends_nothing() {
    let has_ended = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&has_ended);
    // SAFETY: the handler does nothing; the struct is plain data.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = ignore as extern "C" fn(libc::c_int) as libc::sighandler_t;
        libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut());
    }
    let victim = thread::spawn(move || {
        let driver = DriverBuilder::new().spin(compio_driver::SpinPolicy::Off);
        let driver = driver.build().unwrap();
        let (reader, writer) = pipe();
        let mut waiting = driver.submit(ReadAt::at_cursor(reader, vec![0; 8]));
        begin(&driver, &mut waiting);
        for _ in 0..1000 {
            assert_eq!(run(&driver, driver.submit(Nop::new())).unwrap(), 0);
            driver.turn(Some(Duration::from_micros(50))).unwrap();
            assert!(poll_once(&driver, &mut waiting).is_pending());
        }
        drop(writer);
        turn_until(&driver, || driver.in_flight() == 0);
        assert_eq!(run(&driver, waiting).0.unwrap(), 0);
        ended.store(true, Relaxed);
    });
    while !has_ended.load(Relaxed) && !victim.is_finished() {
        // SAFETY: the thread has not been joined.
        unsafe { libc::pthread_kill(victim.as_pthread_t(), libc::SIGUSR1) };
        thread::yield_now();
    }
    victim.join().unwrap();
}
