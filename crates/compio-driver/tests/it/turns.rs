//! Sleeps of the driver and of an outer loop, and the turns between them.

use std::{
    io::Write,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use compio_driver::{
    Driver, SharedFd, SockAddr,
    op::{Accept, Blocking, Connect, Nop, PollOnce, ReadAt, Readiness, Recv, Send},
};

use crate::support::{
    LONG, begin, check_code, code, each_backend, is_woken, pipe, poll_once, processor_time, run,
    share, sockets, streams, tcp, unblocked,
};

/// Checks that an outer loop sleeps after a few rounds.
#[track_caller]
pub(crate) fn check_rest(driver: &Driver) {
    for _ in 0..5 {
        if driver.prepare_to_sleep() && !is_woken(driver, Duration::from_millis(5)) {
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
            assert!(is_woken(&driver, LONG));
            driver.turn(Some(Duration::ZERO)).unwrap();
            check_rest(&driver);
        }
    }
}

#[test]
fn an_outer_loop_is_woken_by_readiness_and_by_the_thread_pool() {
    for driver in each_backend() {
        let (near, mut far) = streams();
        let mut recv = driver.submit(Recv::new(share(near), Vec::with_capacity(8), 0));
        begin(&driver, &mut recv);
        check_rest(&driver);
        far.write_all(b"x").unwrap();
        assert!(is_woken(&driver, LONG));
        assert_eq!(run(&driver, recv).1, b"x");
        check_rest(&driver);

        let pause = Duration::from_millis(20);
        let mut work = driver.submit(Blocking::new(move || thread::sleep(pause)));
        begin(&driver, &mut work);
        while !driver.prepare_to_sleep() {
            driver.turn(Some(Duration::ZERO)).unwrap();
        }
        assert!(is_woken(&driver, LONG));
        run(&driver, work).unwrap().unwrap();
        check_rest(&driver);
    }
}

/// Readiness that no operation waits for does not wake the outer loop.
#[test]
fn an_outer_loop_sleeps_on_though_something_is_ready() {
    for driver in each_backend() {
        let (near, mut far) = streams();
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

/// A task whose operations complete inline yields to other tasks in the end.
#[test]
fn inline_completions_are_limited() {
    for driver in each_backend() {
        let (near, mut far) = streams();
        let near = share(near);
        far.write_all(&[7; 1000]).unwrap();
        let mut taken = 0;
        while taken < 1000 {
            taken += take_instant_ones(&driver, &near, 1000 - taken);
        }
    }
}

/// Receives single bytes up to the first receive that is pending, and that one, too.
fn take_instant_ones(driver: &Driver, near: &SharedFd, left: usize) -> usize {
    for at_once in 0..left {
        assert!(at_once <= 64, "the other tasks have no turn");
        let mut recv = driver.submit(Recv::new(near.clone(), Vec::with_capacity(1), 0));
        if poll_once(driver, &mut recv).is_pending() {
            assert_eq!(run(driver, recv).0.unwrap(), 1);
            return at_once + 1;
        }
    }
    left
}

#[test]
fn every_kind_of_operation_is_cancelled_at_shutdown() {
    unblocked(|| {
        for driver in each_backend() {
            let (near, _far) = sockets();
            let (empty, writer) = pipe();
            let listener = share(TcpListener::bind("127.0.0.1:0").unwrap());
            let mut recv = driver.submit(Recv::new(near.clone(), vec![0; 8], 0));
            let mut send = driver.submit(Send::new(near.clone(), vec![0; 1 << 24], 0));
            let mut read = driver.submit(ReadAt::at_cursor(empty, vec![0; 8]));
            let mut accept = driver.submit(Accept::new(listener));
            let poll = PollOnce::new(near, Readiness::READABLE);
            let mut poll = driver.submit(poll);
            let mut work = driver.submit(Blocking::new(|| thread::sleep(Duration::from_millis(5))));
            let mut nop = driver.submit(Nop::new());
            // No host has this address.
            let address: std::net::SocketAddr = "198.51.100.1:9".parse().unwrap();
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
            let socket = share(socket.unwrap());
            let mut connect = driver.submit(Connect::new(socket, SockAddr::from(address)));
            begin(&driver, &mut recv);
            let _ = poll_once(&driver, &mut send);
            begin(&driver, &mut read);
            begin(&driver, &mut accept);
            begin(&driver, &mut poll);
            begin(&driver, &mut work);
            begin(&driver, &mut nop);
            let _ = poll_once(&driver, &mut connect);
            driver.turn(Some(Duration::ZERO)).unwrap();
            let began = Instant::now();
            driver.shut_down();
            assert!(began.elapsed() < Duration::from_secs(1));
            assert_eq!(driver.in_flight(), 0);
            check_code(run(&driver, recv).0, code::CANCELLED);
            check_code(run(&driver, accept), code::CANCELLED);
            drop((read, poll, work, nop, writer));
        }
    });
}

#[test]
fn waiting_uses_no_cpu_time() {
    for driver in each_backend() {
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
        let (began, pause) = (Instant::now(), Duration::from_millis(100));
        while began.elapsed() < pause {
            driver.turn(Some(pause)).unwrap();
        }
        assert!(driver.enters() - enters <= 3, "it does not sleep");
        assert!(processor_time() - before < Duration::from_millis(50));
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
