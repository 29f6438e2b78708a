//! Kernels that refuse calls, and calls that are interrupted.
//!
//! A seccomp filter holds for the thread that sets it: each of these tests starts a thread.

use std::{
    cell::Cell,
    io::Write,
    os::{
        fd::FromRawFd,
        unix::{net::UnixStream, thread::JoinHandleExt},
    },
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::Waker,
    thread,
    time::{Duration, Instant},
};

use compio_driver::{
    BackendKind, Driver, DriverBuilder, ThreadPool,
    op::{Blocking, Nop, ReadAt, Recv, Stat, StatFd, WriteAt},
};

use crate::support::{
    Canary, begin, check_attributes, check_code, each_backend, native, pipe, poll_once, poll_with,
    readiness, refuse, run, share, tcp, turn_until, uring,
};

#[test]
fn s26_a_driver_that_is_locked_out_says_so_and_dies() {
    thread::spawn(|| {
        let Some(builder) = uring() else { return };
        let driver = builder.build().unwrap();
        let mut nop = driver.submit(Nop::new());
        refuse(libc::SYS_io_uring_enter, libc::EPERM);
        begin(&driver, &mut nop);
        check_code(driver.turn(None), libc::EPERM);
        check_code(driver.turn(Some(Duration::ZERO)), libc::EPERM);
        locked_out_a_driver_leaks(driver);
        assert!(poll_with(&mut nop, Waker::noop()).is_pending());
    })
    .join()
    .unwrap();
}

/// The kernel may still use the memory: nothing is freed.
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
fn s15_a_kernel_that_is_always_busy_keeps_no_driver_alive() {
    for error in [libc::EAGAIN, libc::EBUSY, libc::EINTR] {
        thread::spawn(move || {
            let Some(builder) = uring() else { return };
            let builder = builder.entries(4);
            let driver = builder.shutdown_timeout(Duration::from_millis(5));
            let driver = driver.build().unwrap();
            refuse(libc::SYS_io_uring_enter, error);
            // More requests than the queue holds, and their cancels: all of them wait in the
            // backend.
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
fn s15_a_storm_of_signals_ends_nothing() {
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

/// Some seccomp filters refuse the call with ENOSYS, others with EPERM.
#[test]
fn s26_a_kernel_without_precise_sleeps_sleeps_long_enough() {
    for error in [libc::ENOSYS, libc::EPERM] {
        thread::spawn(move || {
            refuse(libc::SYS_epoll_pwait2, error);
            let driver = readiness();
            for pause in [Duration::from_micros(100), Duration::from_millis(20)] {
                let began = Instant::now();
                driver.turn(Some(pause)).unwrap();
                assert!(began.elapsed() >= pause);
            }
        })
        .join()
        .unwrap();
    }
}

/// epoll_ctl(2) fails: the limit of watched descriptors is reached, or there is no memory.
#[test]
fn s26_a_kernel_that_watches_nothing_more_says_so() {
    for error in [libc::ENOSPC, libc::ENOMEM] {
        thread::spawn(move || {
            let driver = readiness();
            let (near, mut far) = tcp();
            let near = share(near);
            refuse(libc::SYS_epoll_ctl, error);
            let recv = Recv::new(near.clone(), Vec::with_capacity(8), 0);
            check_code(run(&driver, driver.submit(recv)).0, error);
            assert_eq!(driver.in_flight(), 0);
            // Bytes that have arrived need no watch.
            far.write_all(b"x").unwrap();
            let recv = Recv::new(near, Vec::with_capacity(8), 0);
            turn_until(&driver, || driver.in_flight() == 0);
            thread::sleep(Duration::from_millis(1));
            assert_eq!(run(&driver, driver.submit(recv)).1, b"x");
        })
        .join()
        .unwrap();
    }
}

#[test]
fn s26_a_kernel_without_non_blocking_reads_reads_by_other_calls() {
    for error in [libc::EOPNOTSUPP, libc::ENOSYS] {
        thread::spawn(move || {
            refuse(libc::SYS_preadv2, error);
            let driver = readiness();
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(b"file").unwrap();
            let read = ReadAt::new(share(file), 1, Vec::with_capacity(8));
            assert_eq!(run(&driver, driver.submit(read)).1, b"ile");
            let (near, mut far) = UnixStream::pair().unwrap();
            let mut read = driver.submit(ReadAt::at_cursor(share(near), Vec::with_capacity(8)));
            begin(&driver, &mut read);
            far.write_all(b"x").unwrap();
            assert_eq!(run(&driver, read).1, b"x");
        })
        .join()
        .unwrap();
    }
}

/// Each send waits for its peer with its memory locked, and only root may lock much memory.
#[test]
fn s26_sends_that_would_lock_too_much_memory_copy() {
    thread::spawn(|| {
        lock_as_others_do();
        let Some(builder) = uring() else { return };
        let driver = builder.build().unwrap();
        let sends: Vec<_> = (0..6)
            .map(|_| {
                let (peer, socket) = tcp();
                let send = driver.send_zero_copy(share(socket), vec![7; 4_000_000], 0);
                let (sent, loan) = run(&driver, send);
                assert_ne!(sent.unwrap(), 0);
                (peer, loan)
            })
            .collect();
        for (peer, loan) in sends {
            drop(peer);
            assert_eq!(run(&driver, loan).len(), 4_000_000);
        }
    })
    .join()
    .unwrap();
}

/// From now on this thread has no CAP_IPC_LOCK.
fn lock_as_others_do() {
    const VERSION: u32 = 0x2008_0522;
    const IPC_LOCK: u32 = 14;
    let header = [VERSION, 0];
    let mut sets = [0_u32; 6];
    // SAFETY: header and sets are as large as this version has them, and outlive the calls.
    let results = unsafe {
        let got = libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr());
        sets[0] &= !(1 << IPC_LOCK);
        let set = libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr());
        (got, set)
    };
    assert_eq!(results, (0, 0));
}

/// Before Linux 5.3, and in an older libc, the call is `clone`.
#[test]
fn s51_refused_thread_start_answers_with_its_error() {
    for builder in each_builder() {
        thread::spawn(move || {
            let driver = builder.pool(ThreadPool::new(1)).build().unwrap();
            refuse(libc::SYS_clone3, libc::EPERM);
            refuse(libc::SYS_clone, libc::EPERM);
            let work = driver.submit(Blocking::new(|| ()));
            check_code(run(&driver, work).map(drop), libc::EPERM);
            assert_eq!(driver.in_flight(), 0);
        })
        .join()
        .unwrap();
    }
}

/// Seccomp filters that are older than the call return EPERM as often as ENOSYS.
#[test]
fn s50_refused_calls_for_files_are_made_by_older_ones() {
    for error in [libc::ENOSYS, libc::EPERM] {
        thread::spawn(move || {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(b"file!").unwrap();
            // Before the filter: std remembers that `statx` exists.
            let expected = file.as_file().metadata().unwrap();
            for call in [libc::SYS_preadv2, libc::SYS_pwritev2, libc::SYS_statx] {
                refuse(call, error);
            }
            let driver = DriverBuilder::new()
                .backend(BackendKind::Poll)
                .pool(ThreadPool::new(1));
            let driver = driver.build().unwrap();
            let fd = share(file.reopen().unwrap());
            let read = ReadAt::new(fd.clone(), 1, Vec::with_capacity(8));
            assert_eq!(run(&driver, driver.submit(read)).1, b"ile!");

            let by_fd = run(&driver, driver.submit(StatFd::new(fd))).unwrap();
            let path = native(file.path());
            let by_path = run(&driver, driver.submit(Stat::new(path, true))).unwrap();
            for attributes in [by_fd, by_path] {
                check_attributes(&attributes, &expected);
                assert_eq!(attributes.size(), 5);
                assert_eq!(attributes.modified(), expected.modified().ok());
                assert_eq!(attributes.created(), None);
            }
            let write = WriteAt::at_cursor(share(file.reopen().unwrap()), b"FILE");
            assert_eq!(run(&driver, driver.submit(write)).0.unwrap(), 4);
            // A pipe is read by readiness.
            let (reader, writer) = pipe();
            let write = WriteAt::at_cursor(writer, b"x");
            assert_eq!(run(&driver, driver.submit(write)).0.unwrap(), 1);
            let read = ReadAt::at_cursor(reader, Vec::with_capacity(8));
            assert_eq!(run(&driver, driver.submit(read)).1, b"x");
        })
        .join()
        .unwrap();
    }
}

/// A file that refuses a write is not taken for a kernel that refuses the call.
#[test]
fn s50_write_to_sealed_memory_is_refused_by_file() {
    // SAFETY: the name is a C string; the new descriptor has no other owner.
    let file = unsafe {
        let fd = libc::memfd_create(c"sealed".as_ptr(), libc::MFD_ALLOW_SEALING);
        assert!(fd >= 0);
        libc::fcntl(fd, libc::F_ADD_SEALS, libc::F_SEAL_WRITE);
        std::fs::File::from_raw_fd(fd)
    };
    for driver in each_backend() {
        let fd = share(file.try_clone().unwrap());
        let write = WriteAt::at_cursor(fd, b"x");
        check_code(run(&driver, driver.submit(write)).0, libc::EPERM);
    }
}

fn each_builder() -> Vec<DriverBuilder> {
    let poll = DriverBuilder::new().backend(BackendKind::Poll);
    uring().into_iter().chain([poll]).collect()
}
