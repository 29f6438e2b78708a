//! Shared by the tests: a minimal executor, and pairs of descriptors. The items that differ between
//! systems are in a file per system.

#[path = "../../support/driving.rs"]
mod driving;
#[cfg(unix)]
#[path = "unix.rs"]
mod system;
#[cfg(windows)]
#[path = "windows.rs"]
mod system;

use std::{
    cell::Cell,
    future::Future,
    io, panic,
    rc::Rc,
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use compio_driver::{Driver, DriverBuilder, SharedFd, Submit, op::ReadAt};

#[cfg(target_os = "linux")]
pub(crate) use compio_testkit::sys::seccomp::refuse;
#[cfg(all(target_os = "linux", not(compio_portable)))]
pub(crate) use compio_testkit::sys::seccomp::refuse_poll;
pub(crate) use compio_testkit::{
    LONG,
    buffer::{Canary, pattern},
    check::{check_code, check_kind, check_returned},
    process::{is_skipped_on_wine, this_test},
    socket::{deserted, tcp},
    sys::{on_wine, processor_time},
    waker::Bell,
};
pub(crate) use driving::{begin, drain, driver, poll_once, poll_with, run, share, turn_until};
pub(crate) use system::{
    BUFFERS_MAX, HAS_CREATION_TIME, MSG_PEEK, MSG_TRUNC, NEW_FILE, READ, READ_WRITE_CREATE,
    REPORTS_EXCEPTIONS, SENDS_CHANGE_MODE, Stream, check_attributes, check_blocks, code,
    each_backend, fair_driver, file, forget_from, is_inherited, is_no_descriptor, is_woken, native,
    no_descriptors, pipe, pipe_in, pipe_out, streams,
};
#[cfg(unix)]
pub(crate) use system::{HAS_SPLICES, RECEIVES_CLOSED_ON_EXEC, readiness, uring};

/// A driver whose submission queue holds four entries.
pub(crate) fn tiny_driver() -> Driver {
    DriverBuilder::new().entries(4).build().expect("a driver")
}

/// Runs this test in a child process with this environment, and returns its output.
pub(crate) fn ask(test: &str, environment: &[(&str, &str)]) -> String {
    let output = this_test(test)
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
    let thread = thread::spawn(test);
    let began = Instant::now();
    while !thread.is_finished() {
        assert!(began.elapsed() < LONG, "the thread is blocked");
        thread::sleep(Duration::from_millis(1));
    }
    if let Err(panic) = thread.join() {
        panic::resume_unwind(panic);
    }
}

/// Polls the future for the first time. A backend that tries before it waits may complete it at
/// once.
pub(crate) fn start<F: Future + Unpin>(driver: &Driver, future: &mut F) -> Option<F::Output> {
    match poll_once(driver, future) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
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
