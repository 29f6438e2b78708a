//! 37, 38, 41 and 51: splice ends that seem ready, and user wakers on pool threads.

use std::{
    fs::{File, OpenOptions},
    future::Future,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    pin::pin,
    sync::{Arc, mpsc},
    task::{Context, Wake, Waker},
    time::{Duration, Instant},
};

use compio_driver::{
    BackendKind, DriverBuilder, SharedFd, ThreadPool,
    op::{Blocking, Position, Splice, WriteAt},
};

use crate::support::{LONG, each_backend, poll_once, run, unblocked};

/// A socket with an entry in its error queue, and no bytes.
pub(crate) fn with_error_queue() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(closed.local_addr().unwrap()).unwrap();
    drop(closed);
    let one: libc::c_int = 1;
    // SAFETY: the length matches the bytes, which outlive the call.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_RECVERR,
            (&raw const one).cast(),
            size_of_val(&one) as libc::socklen_t,
        )
    };
    assert_eq!(set, 0);
    add_error(&socket);
    socket
}

/// Adds an entry to the error queue of such a socket.
pub(crate) fn add_error(socket: &UdpSocket) {
    socket.send(b"x").unwrap();
    let began = Instant::now();
    while socket.take_error().unwrap().is_none() {
        assert!(began.elapsed() < LONG, "the kernel reports no error");
        std::thread::yield_now();
    }
}

#[test]
fn s37_splice_from_error_queue_neither_blocks_nor_spins() {
    unblocked(|| {
        for driver in each_backend() {
            for is_nonblocking in [false, true] {
                let socket = with_error_queue();
                socket.set_nonblocking(is_nonblocking).unwrap();
                let (reader, writer) = io::pipe().unwrap();
                let mut splice = driver.submit(Splice::new(
                    SharedFd::from(OwnedFd::from(socket)),
                    Position::Cursor,
                    SharedFd::from(OwnedFd::from(writer)),
                    Position::Cursor,
                    100,
                ));
                assert!(poll_once(&driver, &mut splice).is_pending());
                let (before, began) = (driver.enters(), Instant::now());
                while began.elapsed() < Duration::from_millis(50) {
                    driver.turn(Some(Duration::from_millis(50))).unwrap();
                }
                let enters = driver.enters() - before;
                assert!(enters < 1000, "{enters} enters: {:?}", driver.backend());
                // No thread holds the lock of the pipe.
                drop(reader);
            }
        }
    });
}

#[test]
fn s37_queued_splice_whose_bytes_are_gone_does_not_block() {
    unblocked(|| {
        let builder = DriverBuilder::new().backend(BackendKind::Poll);
        let driver = builder.pool(ThreadPool::new(1)).build().unwrap();
        let (release, blocked) = mpsc::channel::<()>();
        let mut work = driver.submit(Blocking::new(move || blocked.recv_timeout(LONG)));
        assert!(poll_once(&driver, &mut work).is_pending());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let stream = listener.accept().unwrap().0;
        let mut other = stream.try_clone().unwrap();
        peer.write_all(b"1").unwrap();
        // The byte has arrived.
        stream.peek(&mut [0; 1]).unwrap();
        let (reader, writer) = io::pipe().unwrap();
        let mut splice = driver.submit(Splice::new(
            SharedFd::from(OwnedFd::from(stream)),
            Position::Cursor,
            SharedFd::from(OwnedFd::from(writer)),
            Position::Cursor,
            100,
        ));
        assert!(poll_once(&driver, &mut splice).is_pending());
        other.read_exact(&mut [0; 1]).unwrap();
        release.send(()).unwrap();
        run(&driver, work).unwrap().unwrap().unwrap();
        // The pool thread has begun the splice, or finds the socket not ready.
        for _ in 0..5 {
            driver.turn(Some(Duration::from_millis(5))).unwrap();
        }
        drop(reader);
        drop(splice);
    });
}

#[test]
fn s38_private_description_keeps_packet_mode_of_fifo() {
    for driver in each_backend() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: the path is a C string.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        let reader = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path);
        let mut reader = reader.unwrap();
        let writer = OpenOptions::new().write(true).open(&path).unwrap();
        let mode = libc::O_DIRECT;
        // SAFETY: no pointers are passed.
        let set = unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, mode) };
        assert_eq!(set, 0);
        let writer = SharedFd::from(OwnedFd::from(writer));
        for packet in [b"ab", b"cd"] {
            let write = WriteAt::at_cursor(writer.clone(), packet);
            assert_eq!(run(&driver, driver.submit(write)).0.unwrap(), 2);
        }
        let mut bytes = [0; 100];
        let len = reader.read(&mut bytes).unwrap();
        assert_eq!(&bytes[..len], b"ab", "{:?}", driver.backend());
    }
}

/// Panics when it is woken.
struct Panicking;

impl Wake for Panicking {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

#[test]
fn s19_panicking_outer_waker_leaves_pool_working() {
    for driver in each_backend() {
        let pool = ThreadPool::new(1);
        let builder = DriverBuilder::new().backend(driver.backend().kind());
        let driver = builder.pool(pool.clone()).build().unwrap();
        let (release, blocked) = mpsc::channel::<()>();
        let mut work = driver.submit(Blocking::new(move || blocked.recv_timeout(LONG)));
        assert!(poll_once(&driver, &mut work).is_pending());
        driver.set_outer_waker(Some(Waker::from(Arc::new(Panicking))));
        while !driver.prepare_to_sleep() {
            driver.turn(Some(Duration::ZERO)).unwrap();
        }
        // The thread of the pool wakes the outer waker.
        release.send(()).unwrap();
        run(&driver, work).unwrap().unwrap().unwrap();
        let other = DriverBuilder::new().pool(pool).build().unwrap();
        let more = run(&other, other.submit(Blocking::new(|| 5)));
        assert_eq!(more.unwrap().unwrap(), 5);
    }
}

/// Whether the driver's descriptor becomes readable.
fn is_readable(fd: i32) -> bool {
    let mut entry = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one entry, which outlives the call.
    unsafe { libc::poll(&raw mut entry, 1, LONG.as_millis() as i32) == 1 }
}

#[test]
fn s41_request_launched_again_outside_of_a_turn_wakes_outer_loop() {
    for driver in each_backend() {
        let cx = &mut Context::from_waker(Waker::noop());
        // An orphan keeps `settle_orphans` busy.
        let (release, blocked) = mpsc::channel::<()>();
        let (start, started) = mpsc::channel::<()>();
        {
            let work = Blocking::new(move || {
                start.send(()).unwrap();
                blocked.recv_timeout(LONG)
            });
            let mut orphan = pin!(driver.submit(work));
            assert!(orphan.as_mut().poll(cx).is_pending());
            // BlockingCall that has begun cannot be cancelled.
            started.recv().unwrap();
        }
        let (reader, mut writer) = io::pipe().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join("file")).unwrap();
        let mut splice = driver.submit(Splice::new(
            SharedFd::from(OwnedFd::from(reader)),
            Position::Cursor,
            SharedFd::from(OwnedFd::from(file)),
            Position::Cursor,
            10,
        ));
        assert!(poll_once(&driver, &mut splice).is_pending());
        driver.turn(Some(Duration::from_millis(5))).unwrap();
        while !driver.prepare_to_sleep() {
            driver.turn(Some(Duration::ZERO)).unwrap();
        }
        writer.write_all(b"hello").unwrap();
        driver.settle_orphans();
        assert!(is_readable(driver.as_raw_fd()), "{:?}", driver.backend());
        assert_eq!(run(&driver, splice).unwrap(), 5);
        release.send(()).unwrap();
    }
}
