//! A process for each test, its limits, and what it has.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    any, env, fs,
    future::poll_fn,
    io::{self, Read, Write},
    iter, mem,
    net::{TcpListener as StdListener, TcpStream as StdStream},
    os::fd::{AsRawFd, RawFd},
    pin::Pin,
    process::{self, Command},
    ptr,
    sync::atomic::{AtomicIsize, Ordering::Relaxed},
    task::Poll,
    time::{Duration, Instant},
};

use compio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    time::{sleep, timeout},
};

/// Long enough for anything that is going to happen at all.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Set in a child that plays one scenario.
const ALONE: &str = "COMPIO_LIMITS_ALONE";

/// Runs a test's scenario in a process of its own: this program, asked for that test alone.
#[track_caller]
pub(crate) fn alone<F: FnOnce()>(scenario: F) {
    if env::var_os(ALONE).is_some() {
        return scenario();
    }
    // `limits::module::test::{{closure}}`
    let name = any::type_name::<F>();
    let name = name.split_once("::").map_or(name, |(_, name)| name);
    let name = name.trim_end_matches("::{{closure}}");
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]);
    let output = command.env(ALONE, "1").output().expect("a child");
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

/// Counts the bytes that are allocated and not freed.
struct Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);

/// The bytes that are allocated and not freed.
pub(crate) fn live() -> isize {
    LIVE.load(Relaxed)
}

fn count(bytes: usize, sign: isize) {
    LIVE.fetch_add(sign * bytes as isize, Relaxed);
}

// SAFETY: all is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: passed on from this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: passed on from this function.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        count(len, 1);
        count(layout.size(), -1);
        // SAFETY: passed on from this function.
        unsafe { System.realloc(memory, layout, len) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: passed on from this function.
        unsafe { System.dealloc(memory, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many descriptors are open.
pub(crate) fn descriptors() -> usize {
    // That of the list is one.
    fs::read_dir("/proc/self/fd").expect("the list").count() - 1
}

/// A resource of which a process may have so much.
pub(crate) type Resource = libc::__rlimit_resource_t;

/// Sets the limit, up to what nobody may exceed. Returns what it was.
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

/// As many descriptors as may be, of which this many are wanted.
#[track_caller]
pub(crate) fn want_descriptors(count: u64) {
    limit(libc::RLIMIT_NOFILE, u64::MAX);
    let before = limit(libc::RLIMIT_NOFILE, u64::MAX);
    assert!(
        before >= count,
        "no more than {before} descriptors may be had"
    );
}

/// While this lives, there is room for few more descriptors.
pub(crate) struct Scarcity {
    before: u64,
    _fillers: Vec<fs::File>,
}

impl Scarcity {
    /// Leaves room for so many.
    pub(crate) fn leave(more: usize) -> Self {
        let fds = fs::read_dir("/proc/self/fd").expect("the list");
        let number =
            |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
        let highest: RawFd = fds.filter_map(number).max().expect("one at least");
        // The limit is one of numbers: none up to the highest is to be free.
        let open = || fs::File::open("/dev/null").expect("a descriptor");
        let fillers = iter::repeat_with(open).take_while(|filler| filler.as_raw_fd() <= highest);
        let fillers = fillers.collect();
        Self {
            before: limit(libc::RLIMIT_NOFILE, highest as u64 + 1 + more as u64),
            _fillers: fillers,
        }
    }
}

impl Drop for Scarcity {
    fn drop(&mut self) {
        limit(libc::RLIMIT_NOFILE, self.before);
    }
}

/// From now on this process has the rights of somebody of whom there is no other process. If that
/// is not possible, says so.
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
        eprintln!("not tested here: root that may not become anybody else");
    }
    became
}

/// How many operations the kernel has not answered.
pub(crate) fn in_flight(runtime: &Runtime) -> usize {
    let state = format!("{runtime:?}");
    let number = state.split("in_flight: ").nth(1).expect("it says so");
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

/// Waits for something that another side brings about.
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

/// The future's output, which must not keep us waiting for ever.
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

/// Bytes go both ways.
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

/// Where the listener can be reached.
pub(crate) async fn listener() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}
