//! Sleeps of the readiness backend, and the turns between them.

use std::{
    io::{self, Write},
    net::TcpListener,
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use compio_driver::{
    AsRawFd, BackendKind, Driver, DriverBuilder, SockAddr,
    op::{
        Accept, Blocking, Connect, Nop, PollOnce, Position, ReadAt, Readiness, Recv, Send, Splice,
    },
};

use crate::support::{
    begin, check_error, drain, each_backend, pipe, poll_once, readiness, refuse, run, share,
    sockets, tcp, turn_until, unblocked,
};

/// Whether an outer loop that waits for the driver's descriptor is woken within this time.
fn is_woken(driver: &Driver, timeout_ms: i32) -> bool {
    let mut entry = libc::pollfd {
        fd: driver.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one entry, which outlives the call.
    let count = unsafe { libc::poll(&raw mut entry, 1, timeout_ms) };
    assert!(count >= 0, "{}", io::Error::last_os_error());
    count > 0
}

/// An outer loop comes to rest: after a few rounds it sleeps.
#[track_caller]
fn check_rest(driver: &Driver) {
    for _ in 0..5 {
        if driver.prepare_to_sleep() && !is_woken(driver, 5) {
            return;
        }
        driver.turn(Some(Duration::ZERO)).unwrap();
    }
    panic!("the outer loop never sleeps");
}

#[test]
fn an_outer_loop_sleeps_again_after_a_wake() {
    for driver in each_backend() {
        check_rest(&driver);
        for _ in 0..3 {
            assert!(driver.prepare_to_sleep());
            let waker = driver.waker();
            thread::spawn(move || waker.wake()).join().unwrap();
            assert!(is_woken(&driver, 5000));
            driver.turn(Some(Duration::ZERO)).unwrap();
            check_rest(&driver);
        }
    }
}

#[test]
fn an_outer_loop_hears_of_readiness_and_of_the_pool() {
    for driver in each_backend() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let mut recv = driver.submit(Recv::new(share(near), Vec::with_capacity(8), 0));
        begin(&driver, &mut recv);
        check_rest(&driver);
        far.write_all(b"x").unwrap();
        assert!(is_woken(&driver, 5000));
        assert_eq!(run(&driver, recv).1, b"x");
        check_rest(&driver);

        let pause = Duration::from_millis(20);
        let mut work = driver.submit(Blocking::new(move || thread::sleep(pause)));
        begin(&driver, &mut work);
        while !driver.prepare_to_sleep() {
            driver.turn(Some(Duration::ZERO)).unwrap();
        }
        assert!(is_woken(&driver, 5000));
        run(&driver, work).unwrap().unwrap();
        check_rest(&driver);
    }
}

/// The outer loop may be another driver.
#[test]
fn a_driver_waits_for_another_one() {
    for outer in each_backend() {
        for inner in each_backend() {
            let (near, mut far) = UnixStream::pair().unwrap();
            let near = share(near);
            for _ in 0..5 {
                let mut recv = inner.submit(Recv::new(near.clone(), Vec::with_capacity(8), 0));
                begin(&inner, &mut recv);
                check_rest(&inner);
                let poll = PollOnce::new(Number(inner.as_raw_fd()), Readiness::READABLE);
                let mut poll = outer.submit(poll);
                begin(&outer, &mut poll);
                outer.turn(Some(Duration::from_millis(1))).unwrap();
                begin(&outer, &mut poll);
                far.write_all(b"x").unwrap();
                run(&outer, poll).unwrap();
                assert_eq!(run(&inner, recv).1, b"x");
            }
        }
    }
}

/// The descriptor of a driver that outlives the operation.
struct Number(compio_driver::RawFd);

impl AsRawFd for Number {
    fn as_raw_fd(&self) -> compio_driver::RawFd {
        self.0
    }
}

// SAFETY: the test keeps the driver.
unsafe impl compio_driver::OwnsFd for Number {}

/// Nobody waits for what the kernel tells of.
#[test]
fn an_outer_loop_sleeps_on_though_something_is_ready() {
    for driver in each_backend() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let near = share(near);
        let mut recv = driver.submit(Recv::new(near.clone(), Vec::with_capacity(8), 0));
        begin(&driver, &mut recv);
        far.write_all(b"x").unwrap();
        assert_eq!(run(&driver, recv).1, b"x");
        for _ in 0..3 {
            far.write_all(b"unread").unwrap();
            check_rest(&driver);
        }
    }
}

#[test]
fn a_batch_larger_than_the_room_for_it() {
    for driver in each_backend() {
        let pairs: Vec<_> = (0..300).map(|_| UnixStream::pair().unwrap()).collect();
        let (near, mut far): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let near: Vec<_> = near.into_iter().map(share).collect();
        for _ in 0..3 {
            let mut waits: Vec<_> = near
                .iter()
                .map(|fd| driver.submit(Recv::new(fd.clone(), Vec::with_capacity(8), 0)))
                .collect();
            for wait in &mut waits {
                begin(&driver, wait);
            }
            driver.turn(Some(Duration::ZERO)).unwrap();
            for far in &mut far {
                far.write_all(b"x").unwrap();
            }
            drain(&driver);
            for wait in waits {
                assert_eq!(run(&driver, wait).1, b"x");
            }
        }
    }
}

/// Somebody who always finds something lets others have their turn.
#[test]
fn instant_answers_come_to_an_end() {
    let driver = readiness();
    let (near, mut far) = UnixStream::pair().unwrap();
    let near = share(near);
    far.write_all(&[7; 1000]).unwrap();
    let mut taken = 0;
    while taken < 1000 {
        let mut at_once = 0;
        let mut last = loop {
            let mut recv = driver.submit(Recv::new(near.clone(), Vec::with_capacity(1), 0));
            if poll_once(&driver, &mut recv).is_pending() {
                break recv;
            }
            at_once += 1;
            assert!(at_once <= 64, "nobody else has a turn");
            if taken + at_once == 1000 {
                return;
            }
        };
        driver.turn(None).unwrap();
        assert!(poll_once(&driver, &mut last).is_ready());
        taken += at_once + 1;
    }
}

#[test]
fn everything_is_given_up_at_the_end() {
    unblocked(|| {
        for driver in each_backend() {
            let (near, _far) = sockets();
            let (empty, writer) = pipe();
            let (_reader, to) = pipe();
            let listener = share(TcpListener::bind("127.0.0.1:0").unwrap());
            let mut recv = driver.submit(Recv::new(near.clone(), vec![0; 8], 0));
            let mut send = driver.submit(Send::new(near.clone(), vec![0; 1 << 24], 0));
            let mut read = driver.submit(ReadAt::at_cursor(empty.clone(), vec![0; 8]));
            let mut accept = driver.submit(Accept::new(listener));
            let poll = PollOnce::new(near, Readiness::PRIORITY);
            let mut poll = driver.submit(poll);
            let cursor = Position::Cursor;
            let mut splice = driver.submit(Splice::new(empty, cursor, to, cursor, 8));
            let mut work = driver.submit(Blocking::new(|| thread::sleep(Duration::from_millis(5))));
            let mut nop = driver.submit(Nop::new());
            // Nobody answers there.
            let address: std::net::SocketAddr = "198.51.100.1:9".parse().unwrap();
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
            let socket = share(std::os::fd::OwnedFd::from(socket.unwrap()));
            let mut connect = driver.submit(Connect::new(socket, SockAddr::from(address)));
            begin(&driver, &mut recv);
            let _ = poll_once(&driver, &mut send);
            begin(&driver, &mut read);
            begin(&driver, &mut accept);
            begin(&driver, &mut poll);
            begin(&driver, &mut work);
            begin(&driver, &mut nop);
            let _ = poll_once(&driver, &mut connect);
            if std::env::var_os("COMPIO_URING_WITHOUT").is_none() {
                begin(&driver, &mut splice);
            }
            driver.turn(Some(Duration::ZERO)).unwrap();
            let began = Instant::now();
            driver.shut_down();
            assert!(began.elapsed() < Duration::from_secs(1));
            assert_eq!(driver.in_flight(), 0);
            check_error(run(&driver, recv).0, libc::ECANCELED);
            check_error(run(&driver, accept), libc::ECANCELED);
            drop((read, poll, splice, work, nop, writer));
        }
    });
}

/// The processor time of this thread.
fn processor_time() -> Duration {
    // SAFETY: `time` is plain data that the call fills in.
    unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
}

#[test]
fn waiting_costs_no_time_of_the_processor() {
    let driver = readiness();
    let (near, mut far) = tcp();
    let near = share(near);
    let mut recv = driver.submit(Recv::new(near.clone(), Vec::with_capacity(8), 0));
    begin(&driver, &mut recv);
    far.write_all(b"x").unwrap();
    assert_eq!(run(&driver, recv).1, b"x");
    let mut recv = driver.submit(Recv::new(near, Vec::with_capacity(8), 0));
    begin(&driver, &mut recv);
    driver.turn(Some(Duration::from_millis(1))).unwrap();
    let (before, enters) = (processor_time(), driver.enters());
    let began = Instant::now();
    driver.turn(Some(Duration::from_millis(100))).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(100));
    assert_eq!(driver.enters() - enters, 1);
    assert!(processor_time() - before < Duration::from_millis(5));
}

/// Which filters of system calls deny in either way.
#[test]
fn a_kernel_without_precise_sleeps_sleeps_long_enough() {
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

#[test]
fn sleeps_may_be_of_any_length() {
    for driver in each_backend() {
        for timeout in [
            Some(Duration::MAX),
            Some(Duration::from_secs(1 << 33)),
            None,
        ] {
            let (waker, has_woken) = (driver.waker(), Arc::new(AtomicBool::new(false)));
            let woken = Arc::clone(&has_woken);
            let thread = thread::spawn(move || {
                thread::sleep(Duration::from_millis(5));
                has_woken.store(true, Relaxed);
                waker.wake();
            });
            let before = driver.enters();
            while !woken.load(Relaxed) {
                driver.turn(timeout).unwrap();
            }
            assert!(driver.enters() - before < 5, "it does not sleep");
            thread.join().unwrap();
        }
        let began = Instant::now();
        driver.turn(Some(Duration::from_nanos(1))).unwrap();
        assert!(began.elapsed() < Duration::from_secs(1));
    }
}

/// The limit of watched descriptors, or the memory for it, is used up.
#[test]
fn a_kernel_that_watches_nothing_more_says_so() {
    for error in [libc::ENOSPC, libc::ENOMEM] {
        thread::spawn(move || {
            let driver = readiness();
            let (near, mut far) = tcp();
            let near = share(near);
            refuse(libc::SYS_epoll_ctl, error);
            let recv = Recv::new(near.clone(), Vec::with_capacity(8), 0);
            check_error(run(&driver, driver.submit(recv)).0, error);
            assert_eq!(driver.in_flight(), 0);
            // What is there needs no watch.
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
fn a_kernel_without_reads_that_never_wait_reads_by_other_means() {
    for error in [libc::EOPNOTSUPP, libc::ENOSYS] {
        thread::spawn(move || {
            refuse(libc::SYS_preadv2, error);
            let builder = DriverBuilder::new().backend(BackendKind::Poll);
            let driver = builder.build().unwrap();
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
