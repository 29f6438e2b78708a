//! A process for each test, its limits, and its resources.

use std::{
    any, env, fs,
    future::poll_fn,
    io::{self, Read, Write},
    iter, mem,
    net::{TcpListener as StdListener, TcpStream as StdStream},
    os::fd::AsRawFd,
    pin::Pin,
    process::{self},
    ptr,
    task::Poll,
    time::{Duration, Instant},
};

use compio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    time::{sleep, timeout},
};
use compio_testkit::{
    allocator::{Counting, LiveBytes},
    process::this_test,
};

pub(crate) use compio_testkit::LONG;

/// Set in a child that runs one scenario.
const ALONE: &str = "COMPIO_LIMITS_ALONE";

/// Runs a test's scenario in a separate process: this program, with that test as its only one.
#[track_caller]
pub(crate) fn alone<F: FnOnce()>(scenario: F) {
    if env::var_os(ALONE).is_some() {
        return scenario();
    }
    // `limits::module::test::{{closure}}`
    let name = any::type_name::<F>();
    let name = name.split_once("::").map_or(name, |(_, name)| name);
    let name = name.trim_end_matches("::{{closure}}");
    let output = this_test(name).env(ALONE, "1").output().expect("a child");
    let (printed, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{}\n{printed}\n{complained}",
        output.status
    );
    print!("{complained}");
}

#[global_allocator]
static ALLOCATOR: Counting<LiveBytes> = Counting(LiveBytes);

/// The number of open descriptors.
pub(crate) fn descriptors() -> usize {
    // The directory's own descriptor is one of the entries.
    fs::read_dir("/proc/self/fd").expect("the list").count() - 1
}

/// The highest number of an open descriptor.
pub(crate) fn highest_descriptor() -> u64 {
    let fds = fs::read_dir("/proc/self/fd").expect("the list");
    let number = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    fds.filter_map(number).max().expect("one at least")
}

/// A resource with a limit.
pub(crate) type Resource = libc::__rlimit_resource_t;

/// Sets the soft limit, at most to the hard limit. Returns the previous one.
pub(crate) fn limit(resource: Resource, to: u64) -> u64 {
    // SAFETY: plain C structs, which outlive the calls.
    unsafe {
        let mut limit: libc::rlimit = mem::zeroed();
        assert_eq!(libc::getrlimit(resource, &raw mut limit), 0);
        let before = limit.rlim_cur;
        limit.rlim_cur = to.min(limit.rlim_max);
        assert_eq!(libc::setrlimit(resource, &raw const limit), 0);
        before
    }
}

/// Raises the limit of descriptors to the hard limit, which must be at least `count`.
#[track_caller]
pub(crate) fn want_descriptors(count: u64) {
    limit(libc::RLIMIT_NOFILE, u64::MAX);
    let before = limit(libc::RLIMIT_NOFILE, u64::MAX);
    assert!(
        before >= count,
        "the hard limit of descriptors is {before}: raise it to {count}"
    );
}

/// While this lives, the process can open few more descriptors.
pub(crate) struct Scarcity {
    before: u64,
    _fillers: Vec<fs::File>,
}

impl Scarcity {
    /// Leaves room for `more` descriptors.
    pub(crate) fn leave(more: usize) -> Self {
        let highest = highest_descriptor();
        // The limit applies to the numbers of descriptors: the fillers take all free ones below the highest.
        let open = || fs::File::open("/dev/null").expect("a descriptor");
        let fillers =
            iter::repeat_with(open).take_while(|filler| filler.as_raw_fd() as u64 <= highest);
        let fillers = fillers.collect();
        Self {
            before: limit(libc::RLIMIT_NOFILE, highest + 1 + more as u64),
            _fillers: fillers,
        }
    }
}

impl Drop for Scarcity {
    fn drop(&mut self) {
        limit(libc::RLIMIT_NOFILE, self.before);
    }
}

/// Gives this process the rights of a user without other processes. Returns false, and prints a line,
/// if that is not permitted.
pub(crate) fn become_nobody() -> bool {
    // Locked memory is counted by user: processes of two tests must not share one.
    let nobody_else: libc::uid_t = 1 << 24 | process::id();
    // SAFETY: the first call takes no list, the second no pointers.
    let became = unsafe {
        libc::geteuid() != 0
            || libc::setgroups(0, ptr::null()) == 0
                && libc::setresuid(nobody_else, nobody_else, nobody_else) == 0
    };
    if !became {
        eprintln!("not tested here: root may not change its user");
    }
    became
}

/// The number of operations in flight.
pub(crate) fn in_flight(runtime: &Runtime) -> usize {
    let state = format!("{runtime:?}");
    let number = state.split("in_flight: ").nth(1).expect("the field");
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

/// Waits for a condition that another side fulfils.
#[track_caller]
pub(crate) fn wait_until(runtime: &Runtime, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONG, "this takes too long: {runtime:?}");
        runtime.block_on(sleep(Duration::from_millis(1)));
    }
}

/// Polls the future once.
pub(crate) async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// The future's output, with a limit of time.
pub(crate) async fn bounded<F: Future>(future: F) -> F::Output {
    timeout(LONG, future).await.expect("this takes too long")
}

/// A connection to a peer that does not belong to the runtime.
pub(crate) fn connection() -> (TcpStream, StdStream) {
    let listener = StdListener::bind("127.0.0.1:0").expect("a port");
    let far = StdStream::connect(listener.local_addr().expect("an address")).expect("a peer");
    let (near, _) = listener.accept().expect("a connection");
    (TcpStream::from_std(near).expect("a stream"), far)
}

/// Checks that bytes go both ways.
pub(crate) async fn check_exchange(near: &mut TcpStream, far: &mut StdStream) {
    far.write_all(b"there").expect("room");
    let (read, bytes) = bounded(near.read_exact([0; 5])).await;
    read.expect("five bytes");
    assert_eq!(&bytes, b"there");
    bounded(near.write_all("and back")).await.0.expect("room");
    let mut bytes = [0; 8];
    far.read_exact(&mut bytes).expect("eight bytes");
    assert_eq!(&bytes, b"and back");
}

/// A listener and its address.
pub(crate) async fn listener() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}
