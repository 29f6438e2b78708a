//! Kernels that refuse, and calls that are interrupted.
//!
//! A filter of system calls holds for the thread that sets it: each of these tests has one.

use std::{
    cell::Cell,
    io,
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
    Canary, begin, check_error, driver, pipe, poll_once, poll_with, run, turn_until,
};

/// From now on this system call of this thread fails with this error.
fn refuse(call: libc::c_long, error: i32) {
    let step = |code: u32, if_true, if_false, value: u32| libc::sock_filter {
        code: code as u16,
        jt: if_true,
        jf: if_false,
        k: value,
    };
    let number_at = std::mem::offset_of!(libc::seccomp_data, nr) as u32;
    let mut steps = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, number_at),
        step(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            0,
            1,
            call as u32,
        ),
        step(libc::BPF_RET, 0, 0, libc::SECCOMP_RET_ERRNO | error as u32),
        step(libc::BPF_RET, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: steps.len() as u16,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: the program outlives the call, which copies it.
    let refused = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    };
    assert_eq!(refused, 0, "{}", io::Error::last_os_error());
}

#[test]
fn a_kernel_without_rings_is_told_from_one_that_forbids_them() {
    for (error, kind, advice) in [
        (libc::ENOSYS, io::ErrorKind::Unsupported, "has no io_uring"),
        (
            libc::EPERM,
            io::ErrorKind::PermissionDenied,
            "not permitted",
        ),
        (libc::ENOMEM, io::ErrorKind::OutOfMemory, "ulimit -l"),
    ] {
        thread::spawn(move || {
            refuse(libc::SYS_io_uring_setup, error);
            let refusal = Driver::new().unwrap_err();
            assert_eq!(refusal.kind(), kind);
            assert!(refusal.to_string().contains(advice), "{refusal}");
        })
        .join()
        .unwrap();
    }
}

#[test]
fn a_driver_that_is_locked_out_says_so_and_dies() {
    thread::spawn(|| {
        let driver = driver();
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
            let builder = DriverBuilder::new().entries(4);
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
