//! Shared by the tests: a minimal executor, and pairs of handles.

use std::{
    cell::Cell,
    fmt::Debug,
    fs::{File, OpenOptions},
    future::Future,
    io::{self, Write},
    mem::MaybeUninit,
    os::windows::{fs::OpenOptionsExt, io::OwnedHandle},
    pin::{Pin, pin},
    rc::Rc,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use compio_driver::{
    Driver, OwnedFd, SharedFd,
    os::windows::{NamedPipeFlags, create_named_pipe},
    request::NativePath,
};
use compio_io::buf::{BufResult, IoBuf, IoBufMut};
use windows_sys::Win32::{
    Storage::FileSystem::{FILE_FLAG_OVERLAPPED, PIPE_ACCESS_DUPLEX},
    System::{
        LibraryLoader::{GetModuleHandleA, GetProcAddress},
        Pipes::{PIPE_READMODE_MESSAGE, PIPE_TYPE_BYTE, PIPE_TYPE_MESSAGE},
    },
};

/// Longer than any expected event takes.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) fn driver() -> Driver {
    Driver::new().expect("a driver")
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

/// Polls the future for the first time, and expects it to wait.
pub(crate) fn begin<F: Future + Unpin>(driver: &Driver, future: &mut F) {
    let waker = driver.waker();
    let polled = Pin::new(future).poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending(), "it should wait");
}

/// Turns until all operations have completed.
pub(crate) fn drain(driver: &Driver) {
    let began = Instant::now();
    while driver.in_flight() > 0 {
        driver.turn(Some(LONG)).expect("a turn");
        assert!(began.elapsed() < LONG, "this takes too long");
    }
}

/// A unique name for a pipe.
pub(crate) fn name() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Relaxed);
    format!(
        r"\\.\pipe\compio-driver-test-{}-{number}",
        std::process::id()
    )
}

/// Whether a pipe transfers bytes or messages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Byte,
    Message,
}

/// The server's end of a new pipe.
pub(crate) fn server(name: &str, mode: Mode) -> OwnedHandle {
    let flags = NamedPipeFlags {
        open: PIPE_ACCESS_DUPLEX,
        mode: match mode {
            Mode::Byte => PIPE_TYPE_BYTE,
            Mode::Message => PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE,
        },
        instances_max: 4,
        out_buffer: 4096,
        in_buffer: 4096,
    };
    create_named_pipe(&NativePath::new(name).expect("a name"), flags).expect("a pipe")
}

/// The client's end, for blocking calls.
pub(crate) fn client(name: &str) -> File {
    let mut options = OpenOptions::new();
    options.read(true).write(true).open(name).expect("a client")
}

/// The client's end, for overlapped calls.
pub(crate) fn overlapped_client(name: &str) -> SharedFd {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .custom_flags(FILE_FLAG_OVERLAPPED);
    share(options.open(name).expect("a client"))
}

/// A server's end, and its client for blocking calls.
pub(crate) fn pair(mode: Mode) -> (SharedFd, File) {
    let name = name();
    let server = server(&name, mode);
    (share(server), client(&name))
}

/// A file in a folder of its own, open for overlapped reads and writes.
pub(crate) fn file(content: &str) -> (tempfile::TempDir, SharedFd) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("file");
    std::fs::write(&path, content).expect("a file");
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .custom_flags(FILE_FLAG_OVERLAPPED);
    (dir, share(options.open(path).expect("a file")))
}

pub(crate) fn share(fd: impl Into<OwnedFd>) -> SharedFd {
    SharedFd::from(fd.into())
}

/// Checks that the operation failed with this OS error code.
#[track_caller]
pub(crate) fn check_error<T: Debug>(result: io::Result<T>, code: u32) {
    let error = result.expect_err("it should fail");
    assert_eq!(error.raw_os_error(), Some(code as i32), "{error}");
}

/// Checks that the operation failed with this error, and returned the buffer unchanged.
#[track_caller]
pub(crate) fn check_returned<T: Debug>(result: BufResult<T, Vec<u8>>, code: u32, buffer: &[u8]) {
    check_error(result.0, code);
    assert_eq!(result.1, buffer);
}

/// Checks that the read returned these bytes.
#[track_caller]
pub(crate) fn check_read((read, buffer): BufResult<usize, Vec<u8>>, expected: &str) {
    assert_eq!(read.expect("a read"), expected.len());
    assert_eq!(String::from_utf8_lossy(&buffer), expected);
}

/// Whether this is Wine, which cannot run the test, or the rest of it. The skip is written to the
/// file that `COMPIO_SKIPS` names.
pub(crate) fn skipped_on_wine(test: &str, why: &str) -> bool {
    // SAFETY: both names end with a zero; the module is always loaded.
    let is_wine = unsafe {
        let module = GetModuleHandleA(c"ntdll.dll".as_ptr().cast());
        GetProcAddress(module, c"wine_get_version".as_ptr().cast()).is_some()
    };
    if is_wine && let Some(skips) = std::env::var_os("COMPIO_SKIPS") {
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).open(skips);
        writeln!(file.expect("a file"), "{test}: {why}").expect("a line");
    }
    is_wine
}

/// A buffer that counts its drop.
#[derive(Debug)]
pub(crate) struct Canary {
    bytes: Vec<u8>,
    deaths: Rc<Cell<usize>>,
}

impl Canary {
    pub(crate) fn new(deaths: &Rc<Cell<usize>>) -> Self {
        Self {
            bytes: Vec::with_capacity(64),
            deaths: Rc::clone(deaths),
        }
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
