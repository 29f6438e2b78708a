//! No descriptor is lost, inherited or closed twice.
//!
//! The descriptors of the whole process are counted, so this is a binary of its own and its tests
//! take turns.

use std::{
    collections::BTreeSet,
    env,
    ffi::CString,
    fs,
    future::Future,
    net::{TcpListener, TcpStream},
    os::fd::OwnedFd,
    pin::Pin,
    process::Command,
    sync::{Mutex, PoisonError},
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use compio_driver::{
    AsRawFd, BackendKind, Driver, DriverBuilder, Owned, SharedFd, Submit,
    op::{Accept, Close, Nop, Open, ReadAt, Socket},
};

const LONG: Duration = Duration::from_secs(20);

/// The numbers of all open descriptors, that of the listing itself among them.
fn descriptors() -> BTreeSet<String> {
    let entries = fs::read_dir("/proc/self/fd").unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Runs `test`, alone, with a driver, and expects as many descriptors after it as before.
fn check(test: impl FnOnce(&Driver)) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let without_driver = descriptors();
    let driver = Driver::new().unwrap();
    // What the driver opens at its first use is open now.
    assert_eq!(run(&driver, driver.submit(Nop::new())).unwrap(), 0);
    let before = descriptors();
    test(&driver);
    assert_eq!(descriptors(), before);
    drop(driver);
    // A thread of the pool that has just told its answer holds what wakes the driver for a moment.
    let began = Instant::now();
    while descriptors() != without_driver && began.elapsed() < LONG {
        thread::yield_now();
    }
    assert_eq!(descriptors(), without_driver);
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

/// Begins an operation. With a backend that tries before it waits, or without this operation of
/// io_uring, it may be over at once: then nothing is left to be given up.
fn begin<O: Owned>(driver: &Driver, operation: O) -> Option<Submit<O>> {
    let mut submit = driver.submit(operation);
    if poll(&mut submit).is_pending() {
        return Some(submit);
    }
    let tries = driver.backend().kind() == BackendKind::Poll;
    assert!(tries || env::var_os("COMPIO_URING_WITHOUT").is_some());
    None
}

/// An operation that opens something, given up at every moment.
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
fn a_socket_given_up_is_closed() {
    check_given_up(|| Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0));
}

#[test]
fn an_open_given_up_is_closed() {
    let name = CString::new("/dev/null").unwrap();
    check_given_up(|| Open::new(name.clone(), libc::O_RDONLY, 0));
}

#[test]
fn a_close_given_up_has_closed_once() {
    check_given_up(|| {
        let (reader, _) = std::io::pipe().unwrap();
        Close::new(reader.into())
    });
}

fn listener() -> (SharedFd, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let fd = OwnedFd::from(listener.try_clone().unwrap());
    (SharedFd::from(fd), listener)
}

/// A loop that waits for a connection or something else, and loses its patience each time.
#[test]
fn an_accept_in_a_select_leaks_nothing() {
    check(|driver| {
        let (fd, listener) = listener();
        let address = listener.local_addr().unwrap();
        for round in 0..60 {
            let mut accept = driver.submit(Accept::new(fd.clone()));
            assert!(poll(&mut accept).is_pending());
            let client = match round % 4 {
                // The wish to cancel and the accept come to the kernel together.
                0 => None,
                // The kernel waits already, and the connection comes before the wish.
                1 => {
                    driver.turn(Some(Duration::ZERO)).unwrap();
                    Some(TcpStream::connect(address).unwrap())
                }
                // There is a connection before the kernel hears of the accept.
                2 => Some(TcpStream::connect(address).unwrap()),
                // Completed, but never polled again.
                _ => {
                    let client = TcpStream::connect(address).unwrap();
                    drain(driver);
                    Some(client)
                }
            };
            drop(accept);
            drain(driver);
            drop(client);
            // A connection that was left in the queue belongs to the next accept.
            listener.set_nonblocking(true).unwrap();
            let _ = listener.accept();
            listener.set_nonblocking(false).unwrap();
        }
    });
}

/// Closing gives a number free for others: it must not happen while the kernel may still use it.
#[test]
fn a_number_is_not_used_again_under_an_operation() {
    check(|driver| {
        let (reader, _writer) = std::io::pipe().unwrap();
        let reader = SharedFd::from(OwnedFd::from(reader));
        let number = reader.as_raw_fd();
        let mut read = driver.submit(ReadAt::at_cursor(reader, vec![0; 8]));
        assert!(poll(&mut read).is_pending());
        driver.turn(Some(Duration::ZERO)).unwrap();
        drop(read);
        let others: Vec<_> = (0..8)
            .map(|_| fs::File::open("/dev/null").unwrap())
            .collect();
        assert!(others.iter().all(|other| other.as_raw_fd() != number));
        drain(driver);
        assert_eq!(fs::File::open("/dev/null").unwrap().as_raw_fd(), number);
    });
}

#[test]
fn a_driver_that_dies_closes_what_was_in_flight() {
    check(|_| {
        let (fd, listener) = listener();
        let address = listener.local_addr().unwrap();
        let driver = DriverBuilder::new().build().unwrap();
        let (reader, _writer) = std::io::pipe().unwrap();
        let reader = SharedFd::from(OwnedFd::from(reader));
        let mut read = driver.submit(ReadAt::at_cursor(reader, vec![0; 8]));
        let mut accepts = [(); 3].map(|()| driver.submit(Accept::new(fd.clone())));
        let socket = begin(&driver, Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0));
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
fn a_future_that_outlives_its_driver_keeps_no_descriptor_for_ever() {
    check(|_| {
        let driver = Driver::new().unwrap();
        let (reader, _writer) = std::io::pipe().unwrap();
        let reader = SharedFd::from(OwnedFd::from(reader));
        let mut begun = driver.submit(ReadAt::at_cursor(reader.clone(), vec![0; 8]));
        let new = driver.submit(ReadAt::at_cursor(reader, vec![0; 8]));
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

/// The descriptors that a child has.
fn inherited() -> String {
    let output = Command::new("ls").arg("/proc/self/fd").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_child_inherits_nothing() {
    let mut without = String::new();
    check(|driver| {
        if without.is_empty() {
            without = inherited();
        }
        let (fd, listener) = listener();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let name = CString::new("/dev/null").unwrap();
        let open = driver.submit(Open::new(name, libc::O_RDONLY, 0));
        let socket = driver.submit(Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0));
        let _opened = run(driver, open).unwrap();
        let _accepted = run(driver, driver.submit(Accept::new(fd))).unwrap();
        let _socket = run(driver, socket).unwrap();
        assert_eq!(inherited(), without);
    });
}
