//! Shared code of the scenarios: polling by hand, plain sockets, descriptors, and the report.

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

use crate::contenders::{Contender, Local};

/// Reports the current phase, for the report of a hang or a crash.
pub fn stage(what: &str) {
    println!("STAGE {what}");
    io::stdout().flush().expect("stdout can be written to");
}

/// Tells the observation and ends the process without any destructor: those are scenarios of their own.
pub fn report(observation: &str) -> ! {
    println!("RESULT {observation}");
    io::stdout().flush().expect("stdout can be written to");
    // SAFETY: nothing is to be run any more.
    unsafe { libc::_exit(0) }
}

/// Milliseconds as they are printed.
pub fn ms(duration: Duration) -> String {
    match duration.as_millis() {
        0 => "< 1 ms".into(),
        whole => format!("{whole} ms"),
    }
}

/// Waits on the contender's own timer.
pub async fn pause<C: Contender>(millis: u64) {
    C::sleep(Duration::from_millis(millis)).await;
}

/// Polls a future once.
pub async fn poll_once<T>(future: &mut Local<'_, T>) -> Poll<T> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// A `select` of an operation and the contender's timer: the operation is looked at first, and dropped if
/// the timer was sooner.
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

/// Runs a future on a new runtime, which it leaves alone.
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

/// How many descriptors the process has.
pub fn descriptors() -> usize {
    let listed = fs::read_dir("/proc/self/fd").expect("/proc is mounted");
    // The listing has one itself.
    listed.count() - 1
}

/// Writes to a descriptor by the plain system call. Whether that went well does not matter here.
pub fn poke(fd: i32, bytes: &[u8]) {
    // SAFETY: the bytes are there for the call's time.
    unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
}

/// A second descriptor of the same file description.
pub fn duplicate(fd: i32) -> i32 {
    // SAFETY: a plain call on a number.
    unsafe { libc::dup(fd) }
}

/// The stream of bytes that is sent: each says where it belongs.
pub fn pattern(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|at| (at % 251) as u8).collect()
}

/// A client's view of its connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    /// A byte of the server.
    Served,
    /// An end or a reset without one.
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

/// Reads until the peer's end, or until nothing comes any more.
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

/// Times a piece of code.
pub fn timed<T>(code: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let output = code();
    (output, begun.elapsed())
}

/// Boxes a future.
pub fn local<'a, T>(future: impl Future<Output = T> + 'a) -> Local<'a, T> {
    Box::pin(future) as Pin<Box<dyn Future<Output = T> + 'a>>
}

/// A place to read from that stays silent.
pub trait Quiet {
    /// Where it is.
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
    /// Makes one.
    pub fn new() -> Self {
        let mut options = fs::File::options();
        let master = options.read(true).write(true).open("/dev/ptmx");
        let master = master.expect("/dev/ptmx is there");
        let (unlocked, mut number) = (0, 0);
        // SAFETY: the numbers are there for the calls' time.
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

/// A FIFO in a directory of its own, held open so that it has both ends.
pub struct Fifo {
    /// Where it is.
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

    /// Makes one of which both ends are open, so that an open finds the other and a read has nothing to read.
    pub fn held() -> (Self, fs::File) {
        let fifo = Self::new();
        let mut options = fs::File::options();
        let ends = options.read(true).write(true).open(&fifo.path);
        (fifo, ends.expect("the FIFO is there"))
    }
}
