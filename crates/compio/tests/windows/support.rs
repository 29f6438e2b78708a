//! Shared helpers of the tests.

use std::{
    fmt::Debug,
    fs::OpenOptions,
    future::{Future, poll_fn},
    io::{self, Write},
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    task::Poll,
    time::Duration,
};

use compio::{
    buf::BufResult,
    net::windows::named_pipe::{ClientOptions, NamedPipeClient, NamedPipeServer, ServerOptions},
    task::block_on,
    time::timeout,
};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleA, GetProcAddress};

/// A limit that only a hang exceeds.
const LONG: Duration = Duration::from_secs(20);

/// Runs a test's body, with a limit of time.
pub(crate) fn run<F: Future>(body: F) -> F::Output {
    block_on(async { timeout(LONG, body).await.expect("this takes too long") })
}

/// Polls the future once, expects it to wait, and drops it.
pub(crate) async fn give_up<F: Future>(future: F) {
    let mut future = pin!(future);
    poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending(), "it should wait");
        Poll::Ready(())
    })
    .await;
}

/// A unique name of a pipe.
pub(crate) fn name() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Relaxed);
    format!(r"\\.\pipe\compio-test-{}-{number}", std::process::id())
}

/// Both ends of a new pipe.
pub(crate) async fn pair() -> (NamedPipeServer, NamedPipeClient) {
    let name = name();
    let server = ServerOptions::new().create(&name).expect("a server");
    let client = ClientOptions::new().open(&name).expect("a client");
    server.connect().await.expect("a connection");
    (server, client)
}

/// Whether this is Wine, which lacks the tested behaviour. The skip is written to the file that
/// `COMPIO_SKIPS` names.
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

/// Checks that the operation failed with this OS error.
#[track_caller]
pub(crate) fn check_code<T: Debug>(result: io::Result<T>, code: i32) {
    let error = result.expect_err("it should fail");
    assert_eq!(error.raw_os_error(), Some(code), "{error}");
}

/// Checks that the operation failed with this kind of error.
#[track_caller]
pub(crate) fn check_kind<T: Debug>(result: io::Result<T>, kind: io::ErrorKind) {
    let error = result.expect_err("it should fail");
    assert_eq!(error.kind(), kind, "{error}");
}

/// Checks that the read returned these bytes.
#[track_caller]
pub(crate) fn check_read((read, buffer): BufResult<usize, Vec<u8>>, expected: &str) {
    assert_eq!(read.expect("a read"), expected.len());
    assert_eq!(String::from_utf8_lossy(&buffer), expected);
}
