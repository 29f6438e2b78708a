//! Shared code of the scenarios: manual polling, plain sockets, descriptors, and the report.

use std::{
    ffi::CString,
    fs,
    future::poll_fn,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    pin::Pin,
    task::Poll,
    time::{Duration, Instant},
};

use crate::contender::{Contender, Local};

/// Reports the current phase, for the report of a hang or a crash.
pub fn stage(what: &str) {
    println!("STAGE {what}");
    io::stdout().flush().expect("stdout can be written to");
}

/// Prints the observation and ends the process without any destructor: destructors are scenarios of
/// their own.
pub fn report(observation: &str) -> ! {
    println!("RESULT {observation}");
    io::stdout().flush().expect("stdout can be written to");
    // SAFETY: no other code needs to run.
    unsafe { libc::_exit(0) }
}

/// Formats milliseconds.
pub fn ms(duration: Duration) -> String {
    match duration.as_millis() {
        0 => "< 1 ms".into(),
        whole => format!("{whole} ms"),
    }
}

/// Waits with the contender's own timer.
pub async fn pause<C: Contender>(millis: u64) {
    C::sleep(Duration::from_millis(millis)).await;
}

/// Polls a future once.
pub async fn poll_once<T>(future: &mut Local<'_, T>) -> Poll<T> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// A `select` of an operation and the contender's timer: it polls the operation first, and drops it if
/// the timer fires first.
pub async fn within<C: Contender, T>(millis: u64, mut operation: Local<'_, T>) -> Option<T> {
    let mut timer = C::sleep(Duration::from_millis(millis));
    poll_fn(move |cx| {
        if let Poll::Ready(output) = operation.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        timer.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// Runs a future on a new runtime, which is then leaked.
pub fn run<C: Contender, T>(main: impl Future<Output = T>) -> T {
    let mut runtime = C::runtime().expect("the runtime can be made");
    let output = C::block_on(&mut runtime, main);
    std::mem::forget(runtime);
    output
}

/// A connection: the contender's end, and a plain one.
pub async fn connected<C: Contender>() -> (C::Stream, TcpStream) {
    let (listener, address) = C::listen().await.expect("a listener can be made");
    let peer = connect(address);
    let stream = C::accept(&listener).await.expect("the peer has connected");
    (stream, peer)
}

/// A plain client.
pub fn connect(address: SocketAddr) -> TcpStream {
    let peer = TcpStream::connect(address).expect("the listener's queue has room");
    peer.set_nodelay(true).expect("a TCP socket");
    peer
}

/// The number of open descriptors of the process.
pub fn descriptors() -> usize {
    let listed = fs::read_dir("/proc/self/fd").expect("/proc is mounted");
    // The listing has one open itself.
    listed.count() - 1
}

/// Writes to a descriptor with the plain system call. The result does not matter here.
pub fn poke(fd: i32, bytes: &[u8]) {
    // SAFETY: the bytes outlive the call.
    unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
}

/// A second descriptor of the same file description.
pub fn duplicate(fd: i32) -> i32 {
    // SAFETY: a plain call on an fd.
    unsafe { libc::dup(fd) }
}

/// The sent byte stream: each byte encodes its position.
pub fn pattern(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|at| (at % 251) as u8).collect()
}

/// A client's view of its connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    /// A byte of the server.
    Served,
    /// EOF or a reset without a byte.
    Closed,
    /// Neither.
    Silence,
}

/// Reads from a client's connection, with a short timeout.
pub fn look(peer: &mut TcpStream) -> Seen {
    peer.set_read_timeout(Some(Duration::from_millis(2)))
        .expect("not zero");
    match peer.read(&mut [0]) {
        Ok(1..) => Seen::Served,
        Ok(0) => Seen::Closed,
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Seen::Silence,
            _ => Seen::Closed,
        },
    }
}

/// Reads until EOF, or until no more bytes arrive.
pub async fn drain<C: Contender>(stream: &mut C::Stream, into: &mut Vec<u8>, millis: u64) {
    while let Some((Ok(1..), bytes)) =
        within::<C, _>(millis, C::read(stream, Vec::with_capacity(4096))).await
    {
        into.extend(bytes);
    }
}

/// Compares the received bytes with the sent ones.
pub fn compare(sent: usize, received: &[u8]) -> String {
    let order = if received == pattern(0, received.len()) {
        ""
    } else if received.len() == sent {
        ", not what was sent"
    } else {
        ", with gaps"
    };
    match sent.checked_sub(received.len()) {
        Some(0) if order.is_empty() => format!("all {sent} bytes arrived"),
        Some(lost) => format!("{lost} of {sent} bytes lost{order}"),
        None => format!("{} bytes for {sent} sent{order}", received.len()),
    }
}

/// Measures the time of a piece of code.
pub fn timed<T>(code: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let output = code();
    (output, begun.elapsed())
}

/// Boxes a future.
pub fn local<'a, T>(future: impl Future<Output = T> + 'a) -> Local<'a, T> {
    Box::pin(future) as Pin<Box<dyn Future<Output = T> + 'a>>
}

/// A source to read from that stays silent.
pub trait Quiet {
    /// Its path.
    fn path(&self) -> &Path;
}

impl Quiet for (Fifo, fs::File) {
    fn path(&self) -> &Path {
        &self.0.path
    }
}

impl Quiet for Terminal {
    fn path(&self) -> &Path {
        &self.path
    }
}

/// A terminal without input.
pub struct Terminal {
    path: PathBuf,
    _master: fs::File,
}

impl Terminal {
    /// Makes a terminal.
    pub fn new() -> Self {
        let mut options = fs::File::options();
        let master = options.read(true).write(true).open("/dev/ptmx");
        let master = master.expect("/dev/ptmx is there");
        let (unlocked, mut number) = (0, 0);
        // SAFETY: the numbers outlive the calls.
        unsafe {
            libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked);
            libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN, &raw mut number);
        }
        let number: i32 = number;
        Self {
            path: format!("/dev/pts/{number}").into(),
            _master: master,
        }
    }
}

/// A FIFO in a directory of its own.
pub struct Fifo {
    /// Its path.
    pub path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Fifo {
    /// Creates a FIFO that no process has open.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let path = dir.path().join("fifo");
        let name =
            CString::new(path.to_str().expect("a plain name")).expect("a name without zeros");
        // SAFETY: the name is a C string.
        let made = unsafe { libc::mkfifo(name.as_ptr(), 0o600) };
        assert_eq!(made, 0, "a FIFO can be made");
        Self { path, _dir: dir }
    }

    /// Makes a FIFO with both ends open, so that an open succeeds and a read finds no data.
    pub fn held() -> (Self, fs::File) {
        let fifo = Self::new();
        let mut options = fs::File::options();
        let ends = options.read(true).write(true).open(&fifo.path);
        (fifo, ends.expect("the FIFO is there"))
    }
}
