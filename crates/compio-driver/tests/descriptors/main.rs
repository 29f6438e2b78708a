//! No descriptor is leaked, inherited or closed twice.
//!
//! The tests count the descriptors of the whole process, so this is a binary of its own and its
//! tests run one at a time.

#[cfg(unix)]
#[path = "unix.rs"]
mod system;
#[cfg(windows)]
#[path = "windows.rs"]
mod system;

#[cfg(unix)]
mod streams;

use std::{
    env,
    fs::File,
    future::Future,
    net::{TcpListener, TcpStream},
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use compio_driver::{
    BackendKind, Driver, DriverBuilder, Owned, OwnedFd, SharedFd, Submit,
    op::{Accept, Blocking, Close, Nop, Open, Pipe, Recv, Socket},
};
use socket2::{Domain, Type};

use system::{Descriptors, is_as_before, null, open_now};

const LONG: Duration = Duration::from_secs(20);

/// Runs `test` alone, with a driver, and expects the same number of descriptors after it.
fn check(test: impl FnOnce(&Driver)) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    warm_up();
    let without_driver = open_now();
    let driver = Driver::new().unwrap();
    // The descriptors that the driver opens at its first use are open now.
    assert_eq!(run(&driver, driver.submit(Nop::new())).unwrap(), 0);
    let before = open_now();
    test(&driver);
    settle(before);
    drop(driver);
    settle(without_driver);
}

/// A pool thread that has just delivered its result holds the notifier's descriptor for a moment.
#[track_caller]
fn settle(expected: Descriptors) {
    let began = Instant::now();
    while !is_as_before(&open_now(), &expected) && began.elapsed() < LONG {
        thread::yield_now();
    }
    let now = open_now();
    assert!(is_as_before(&now, &expected), "{now:?}, not {expected:?}");
}

/// Some systems open a descriptor at the first use by a process or a thread.
fn warm_up() {
    let driver = Driver::new().unwrap();
    let (fd, listener) = listener();
    let mut accept = driver.submit(Accept::new(fd));
    assert!(poll(&mut accept).is_pending());
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    run(&driver, accept).unwrap();
    let (path, flags) = null();
    run(&driver, driver.submit(Open::new(path, flags, 0))).unwrap();
    run(&driver, driver.submit(Blocking::new(|| ())))
        .unwrap()
        .unwrap();
    drop(driver);
    // See `settle`.
    loop {
        let now = open_now();
        thread::sleep(Duration::from_millis(5));
        if open_now() == now {
            return;
        }
    }
}

fn poll<O: Owned>(submit: &mut Submit<O>) -> Poll<O::Output> {
    Pin::new(submit).poll(&mut Context::from_waker(Waker::noop()))
}

fn run<O: Owned>(driver: &Driver, mut submit: Submit<O>) -> O::Output {
    loop {
        if let Poll::Ready(output) = poll(&mut submit) {
            return output;
        }
        driver.turn(Some(LONG)).unwrap();
    }
}

fn drain(driver: &Driver) {
    while driver.in_flight() > 0 {
        driver.turn(Some(LONG)).unwrap();
    }
}

/// Begins an operation. The readiness backend tries before it waits, and io_uring may lack this
/// operation: then it may complete at once, and nothing is left to cancel.
fn begin<O: Owned>(driver: &Driver, operation: O) -> Option<Submit<O>> {
    let mut submit = driver.submit(operation);
    if poll(&mut submit).is_pending() {
        return Some(submit);
    }
    let tries = driver.backend().kind() != BackendKind::IoUring;
    assert!(tries || env::var_os("COMPIO_URING_WITHOUT").is_some());
    None
}

/// Cancels or drops an operation that opens a descriptor, at every moment.
fn check_given_up<O: Owned>(make: impl Fn() -> O) {
    check(|driver| {
        for _ in 0..20 {
            drop(driver.submit(make()));

            drop(begin(driver, make()));
            drain(driver);

            let submitted = begin(driver, make());
            driver.turn(Some(Duration::ZERO)).unwrap();
            drop(submitted);
            drain(driver);

            if let Some(cancelled) = begin(driver, make()) {
                cancelled.cancel();
                drop(run(driver, cancelled));
            }

            let completed = begin(driver, make());
            drain(driver);
            drop(completed);
        }
    });
}

#[test]
fn s02_a_socket_dropped_at_any_moment_is_closed() {
    check_given_up(tcp_socket);
}

#[test]
fn s02_pipe_dropped_at_any_moment_closes_both_ends() {
    check_given_up(Pipe::new);
}

#[test]
fn s02_a_file_whose_open_is_dropped_at_any_moment_is_closed() {
    let (name, flags) = null();
    check_given_up(|| Open::new(name.clone(), flags, 0));
}

#[test]
fn s10_a_close_dropped_at_any_moment_closes_once() {
    let program = env::current_exe().unwrap();
    check_given_up(|| Close::new(File::open(&program).unwrap().into()));
}

fn tcp_socket() -> Socket {
    Socket::new(Domain::IPV4.into(), Type::STREAM.into(), 0)
}

/// A socket that receives nothing, and its peer, which keeps it open.
fn silent() -> (SharedFd, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (
        SharedFd::from(OwnedFd::from(one)),
        listener.accept().unwrap().0,
    )
}

fn listener() -> (SharedFd, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let fd = OwnedFd::from(listener.try_clone().unwrap());
    (SharedFd::from(fd), listener)
}

/// A loop selects between an accept and another event, and drops the accept each time.
#[test]
fn s01_an_accept_in_a_select_leaks_no_descriptor_at_any_moment() {
    check(|driver| {
        let (fd, listener) = listener();
        let address = listener.local_addr().unwrap();
        for round in 0..60 {
            let mut accept = driver.submit(Accept::new(fd.clone()));
            assert!(poll(&mut accept).is_pending());
            let client = match round % 4 {
                // The cancel request and the accept reach the kernel together.
                0 => None,
                // The kernel waits already. The connection arrives before the cancel request.
                1 => {
                    driver.turn(Some(Duration::ZERO)).unwrap();
                    Some(TcpStream::connect(address).unwrap())
                }
                // The connection arrives before the kernel gets the accept.
                2 => Some(TcpStream::connect(address).unwrap()),
                // The accept has completed, and is never polled again.
                _ => {
                    let client = TcpStream::connect(address).unwrap();
                    drain(driver);
                    Some(client)
                }
            };
            drop(accept);
            drain(driver);
            drop(client);
            // A connection that is still in the backlog belongs to the next accept.
            listener.set_nonblocking(true).unwrap();
            let _ = listener.accept();
            listener.set_nonblocking(false).unwrap();
        }
    });
}

/// A dropped accept stream: the driver has seen some of its completions and not the others.
#[test]
fn s02_a_dropped_accept_stream_leaks_no_queued_connection() {
    check(|driver| {
        for round in 0..20 {
            let (fd, listener) = listener();
            let address = listener.local_addr().unwrap();
            let mut stream = driver.accept_stream(fd);
            let mut next = || stream.poll_next(&mut Context::from_waker(Waker::noop()));
            assert!(next().is_pending());
            driver.turn(Some(Duration::ZERO)).unwrap();
            let mut clients: Vec<_> = (0..round % 4)
                .map(|_| TcpStream::connect(address).unwrap())
                .collect();
            driver.turn(Some(Duration::ZERO)).unwrap();
            if round % 3 == 0 {
                drop(next());
            }
            // Completions that the driver has not seen.
            clients.extend((0..3).map(|_| TcpStream::connect(address).unwrap()));
            drop(stream);
            if round % 2 == 0 {
                drain(driver);
            }
        }
        drain(driver);
    });
}

#[test]
fn s02_an_accept_stream_of_a_dropped_driver_leaks_nothing() {
    check(|_| {
        for is_dropped in [false, true] {
            let driver = Driver::new().unwrap();
            let (fd, listener) = listener();
            let address = listener.local_addr().unwrap();
            let mut stream = driver.accept_stream(fd);
            let mut context = Context::from_waker(Waker::noop());
            assert!(stream.poll_next(&mut context).is_pending());
            driver.turn(Some(Duration::ZERO)).unwrap();
            let _seen = TcpStream::connect(address).unwrap();
            driver.turn(Some(Duration::ZERO)).unwrap();
            let _unseen = TcpStream::connect(address).unwrap();
            if is_dropped {
                drop(stream);
                drop(driver);
            } else {
                drop(driver);
                drop(stream);
            }
        }
    });
}

/// Some closes are queued, some have been submitted, some have never begun.
#[test]
fn s10_pending_closes_of_a_dropped_driver_close() {
    check(|_| {
        let program = env::current_exe().unwrap();
        let driver = Driver::new().unwrap();
        let close =
            |driver: &Driver| driver.submit(Close::new(File::open(&program).unwrap().into()));
        let mut closes: Vec<_> = (0..20).map(|_| close(&driver)).collect();
        let mut over = 0;
        for (index, close) in closes.iter_mut().enumerate() {
            if index % 4 > 0 {
                over += usize::from(poll(close).is_ready());
            }
            if index == 10 {
                driver.turn(Some(Duration::ZERO)).unwrap();
            }
        }
        assert!(over < 20);
        closes.truncate(15);
        drop(driver);
        drop(closes);
    });
}

#[test]
fn s09_a_dropped_driver_closes_descriptors_in_flight() {
    check(|_| {
        let (fd, listener) = listener();
        let address = listener.local_addr().unwrap();
        let driver = DriverBuilder::new().build().unwrap();
        let (reader, _writer) = silent();
        let mut read = driver.submit(Recv::new(reader, vec![0; 8], 0));
        let mut accepts = [(); 3].map(|()| driver.submit(Accept::new(fd.clone())));
        let socket = begin(&driver, tcp_socket());
        assert!(poll(&mut read).is_pending());
        assert!(accepts.iter_mut().all(|accept| poll(accept).is_pending()));
        let _client = TcpStream::connect(address).unwrap();
        let [kept, dropped, _also_kept] = accepts;
        drop(dropped);
        drop(driver);
        drop((read, kept, socket));
    });
}

#[test]
fn s09_a_future_that_outlives_its_driver_leaks_no_descriptor() {
    check(|_| {
        let driver = Driver::new().unwrap();
        let (reader, _writer) = silent();
        let mut begun = driver.submit(Recv::new(reader.clone(), vec![0; 8], 0));
        let new = driver.submit(Recv::new(reader, vec![0; 8], 0));
        assert!(poll(&mut begun).is_pending());
        drop(driver);
        drop((begun, new));
    });
}

#[test]
fn many_drivers_come_and_go() {
    check(|_| {
        for _ in 0..50 {
            let driver = Driver::new().unwrap();
            let _waker = driver.waker();
            assert_eq!(run(&driver, driver.submit(Nop::new())).unwrap(), 0);
        }
    });
}
