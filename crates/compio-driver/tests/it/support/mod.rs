//! Shared by the tests: a minimal executor, and pairs of descriptors. The items that differ between
//! systems are in a file per system.

#[cfg(unix)]
#[path = "unix.rs"]
mod system;
#[cfg(windows)]
#[path = "windows.rs"]
mod system;

use std::{
    cell::Cell,
    env,
    fmt::Debug,
    future::Future,
    io,
    mem::MaybeUninit,
    net::{TcpListener, TcpStream},
    pin::{Pin, pin},
    process::Command,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use compio_driver::{Driver, DriverBuilder, OwnedFd, SharedFd, SockAddr, Submit, op::ReadAt};
use compio_io::buf::{BufResult, IoBuf, IoBufMut};

pub(crate) use system::{
    BUFFERS_MAX, MSG_PEEK, MSG_TRUNC, NEW_FILE, READ, READ_WRITE_CREATE, Stream, check_attributes,
    check_blocks, code, each_backend, fair_driver, file, forget_from, is_inherited,
    is_no_descriptor, is_skipped_on_wine, is_woken, native, no_descriptors, on_wine, pipe, pipe_in,
    pipe_out, processor_time, streams,
};
#[cfg(unix)]
pub(crate) use system::{readiness, uring};
#[cfg(target_os = "linux")]
pub(crate) use system::{refuse, refuse_poll};

/// Longer than any expected event takes, on a busy machine and under Wine, too.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) fn driver() -> Driver {
    Driver::new().expect("a driver")
}

/// A driver whose submission queue holds four entries.
pub(crate) fn tiny_driver() -> Driver {
    DriverBuilder::new().entries(4).build().expect("a driver")
}

/// Runs this test in a child process with this environment, and returns its output.
pub(crate) fn ask(test: &str, environment: &[(&str, &str)]) -> String {
    let output = Command::new(env::current_exe().expect("this program"))
        .args(["--ignored", "--exact", "--nocapture", test])
        .env_remove("COMPIO_BACKEND")
        .env_remove("COMPIO_URING_WITHOUT")
        .envs(environment.iter().copied())
        .output()
        .expect("a child");
    let said = String::from_utf8(output.stdout).expect("a text");
    let line = said.lines().find_map(|line| line.split_once("SAYS "));
    let Some((_, answer)) = line else {
        panic!("{said}{}", String::from_utf8_lossy(&output.stderr));
    };
    answer.to_owned()
}

/// Runs the test on a thread of its own, and fails if that is blocked.
#[track_caller]
pub(crate) fn unblocked(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(test);
    let began = Instant::now();
    while !thread.is_finished() {
        assert!(began.elapsed() < LONG, "the thread is blocked");
        std::thread::sleep(Duration::from_millis(1));
    }
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// An address without a listener: bound for the rest of the process's life, so that no other socket
/// gets it.
pub(crate) fn deserted() -> SockAddr {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap();
    std::mem::forget(socket);
    address
}

/// Two connected TCP sockets.
pub(crate) fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    let one = TcpStream::connect(address).expect("a connection");
    (one, listener.accept().expect("the same connection").0)
}

/// Polls the future once.
pub(crate) fn poll_once<F: Future + Unpin>(driver: &Driver, future: &mut F) -> Poll<F::Output> {
    poll_with(future, &driver.waker())
}

/// Polls the future once, with this waker.
pub(crate) fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Polls the future for the first time, and expects it to wait.
pub(crate) fn begin<F: Future + Unpin>(driver: &Driver, future: &mut F) {
    assert!(poll_once(driver, future).is_pending(), "it should wait");
}

/// Polls the future for the first time. A backend that tries before it waits may complete it at
/// once.
pub(crate) fn start<F: Future + Unpin>(driver: &Driver, future: &mut F) -> Option<F::Output> {
    match poll_once(driver, future) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Runs the future to completion.
pub(crate) fn run<F: Future>(driver: &Driver, future: F) -> F::Output {
    let waker = driver.waker();
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    let began = Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        driver.turn(Some(LONG)).expect("a turn");
        assert!(began.elapsed() < LONG, "this takes too long");
    }
}

/// Turns until the condition holds.
pub(crate) fn turn_until(driver: &Driver, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        driver.turn(Some(LONG)).expect("a turn");
        assert!(began.elapsed() < LONG, "this takes too long");
    }
}

/// Turns until all operations have completed.
pub(crate) fn drain(driver: &Driver) {
    turn_until(driver, || driver.in_flight() == 0);
}

/// A read that has begun and waits.
pub(crate) fn waiting_read(
    driver: &Driver,
    fd: &SharedFd,
    deaths: &Rc<Cell<usize>>,
) -> Submit<ReadAt<Canary>> {
    let mut read = driver.submit(ReadAt::at_cursor(fd.clone(), Canary::new(deaths)));
    begin(driver, &mut read);
    read
}

/// Two connected stream sockets.
pub(crate) fn sockets() -> (SharedFd, SharedFd) {
    let (one, other) = streams();
    (share(one), share(other))
}

pub(crate) fn share(fd: impl Into<OwnedFd>) -> SharedFd {
    SharedFd::from(fd.into())
}

/// Checks that the operation failed with this OS error code.
#[track_caller]
pub(crate) fn check_error<T: Debug>(result: io::Result<T>, code: i32) {
    let error = result.expect_err("it should fail");
    assert_eq!(error.raw_os_error(), Some(code), "{error}");
}

/// Checks that the operation failed with this kind of error.
#[track_caller]
pub(crate) fn check_kind<T: Debug>(result: io::Result<T>, kind: io::ErrorKind) {
    let error = result.expect_err("it should fail");
    assert_eq!(error.kind(), kind, "{error}");
}

/// Checks that the error says that the peer is gone.
#[track_caller]
pub(crate) fn check_gone(error: io::ErrorKind) {
    let kinds = [
        io::ErrorKind::BrokenPipe,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::ConnectionAborted,
    ];
    assert!(kinds.contains(&error), "{error}");
}

/// Checks that the operation failed with this error, and returned the buffer unchanged.
#[track_caller]
pub(crate) fn check_returned<T: Debug>(result: BufResult<T, Vec<u8>>, code: i32, buffer: &[u8]) {
    check_error(result.0, code);
    assert_eq!(result.1, buffer);
}

/// Counts its wakes.
#[derive(Default)]
pub(crate) struct Bell(AtomicUsize);

impl Bell {
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let bell = Arc::new(Self::default());
        let waker = Waker::from(Arc::clone(&bell));
        (bell, waker)
    }

    pub(crate) fn rings(&self) -> usize {
        self.0.load(Relaxed)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// A buffer that counts its drop.
#[derive(Debug)]
pub(crate) struct Canary {
    bytes: Vec<u8>,
    deaths: Rc<Cell<usize>>,
}

impl Canary {
    pub(crate) fn new(deaths: &Rc<Cell<usize>>) -> Self {
        Self::holding(Vec::with_capacity(64), deaths)
    }

    pub(crate) fn holding(bytes: Vec<u8>, deaths: &Rc<Cell<usize>>) -> Self {
        let deaths = Rc::clone(deaths);
        Self { bytes, deaths }
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.deaths.set(self.deaths.get() + 1);
    }
}

// SAFETY: the vector's contract is this type's.
unsafe impl IoBuf for Canary {
    fn as_init(&self) -> &[u8] {
        self.bytes.as_init()
    }

    fn buf_capacity(&self) -> usize {
        self.bytes.buf_capacity()
    }
}

// SAFETY: the vector's contract is this type's.
unsafe impl IoBufMut for Canary {
    unsafe fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: passed on from this function.
        unsafe { self.bytes.as_uninit() }
    }

    unsafe fn set_init(&mut self, len: usize) {
        // SAFETY: passed on from this function.
        unsafe { self.bytes.set_init(len) };
    }
}
