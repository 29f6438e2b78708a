//! Shared helpers of the tests.

#[path = "../support/tcp.rs"]
mod tcp;

use std::{cell::RefCell, fmt::Debug, future::Future, io, rc::Rc, thread, time::Duration};

use compio::{
    driver::BackendKind,
    runtime::{Runtime, RuntimeBuilder},
    time::{Instant, now},
};
use compio_testkit::LONG;

pub(crate) use tcp::tcp_pair;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MILLI: Duration = Duration::from_millis(1);
pub(crate) const NANO: Duration = Duration::from_nanos(1);

/// A builder for each backend of this system.
pub(crate) fn builders() -> Vec<RuntimeBuilder> {
    let kinds = [BackendKind::IoUring, BackendKind::Poll, BackendKind::Iocp];
    let builders = kinds.map(|kind| RuntimeBuilder::new().backend(kind));
    let builders: Vec<_> = builders
        .into_iter()
        .filter(|builder| builder.clone().build().is_ok())
        .collect();
    assert!(!builders.is_empty());
    builders
}

/// Runs a test's body in paused time, on each backend. A body that takes long ends the process.
pub(crate) fn run_paused<F: Future<Output = ()>>(body: impl Fn() -> F) {
    for builder in builders() {
        let runtime = builder.start_paused(true).build().expect("a runtime");
        let _limit = Limit::new();
        runtime.block_on(body());
    }
}

pub(crate) fn paused_runtime() -> Runtime {
    let builder = RuntimeBuilder::new().start_paused(true);
    builder.build().expect("a runtime")
}

/// A limit of real time, which no paused clock stops.
pub(crate) struct Limit(std::sync::mpsc::Sender<()>);

impl Limit {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = std::sync::mpsc::channel();
        let test = thread::current().name().map(str::to_owned);
        thread::spawn(move || {
            // It ends by the drop of the sender.
            if receiver.recv_timeout(LONG) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                eprintln!("{test:?} takes too long");
                std::process::abort();
            }
        });
        Self(sender)
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        // The thread ends at its next look; a result would mean that it has ended already.
        let _ = self.0.send(());
    }
}

/// Entries of tasks, with the time since the begin of the log.
#[derive(Clone)]
pub(crate) struct Log<T> {
    begin: Instant,
    entries: Rc<RefCell<Vec<(T, Duration)>>>,
}

impl<T: Clone + Debug + PartialEq> Log<T> {
    pub(crate) fn new() -> Self {
        Self {
            begin: now(),
            entries: Rc::default(),
        }
    }

    pub(crate) fn add(&self, entry: T) {
        let since = now() - self.begin;
        self.entries.borrow_mut().push((entry, since));
    }

    #[track_caller]
    pub(crate) fn check(&self, expected: &[(T, Duration)]) {
        assert_eq!(*self.entries.borrow(), expected);
    }
}

/// The message of the panic of `code`.
pub(crate) fn message_of(code: impl FnOnce()) -> String {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(code));
    let panic = panic.expect_err("it panics");
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => (*panic.downcast::<&str>().expect("a message")).to_owned(),
    }
}

/// A value that another thread sends.
pub(crate) fn channel<T: Send + 'static>() -> (
    std::sync::mpsc::Sender<T>,
    impl FnOnce() -> io::Result<T> + Send + 'static,
) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let receive = move || receiver.recv().map_err(io::Error::other);
    (sender, receive)
}
