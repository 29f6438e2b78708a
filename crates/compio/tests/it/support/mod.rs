//! Shared helpers of the tests. Each OS has its own submodule.

#[cfg(unix)]
#[path = "unix.rs"]
mod system;
#[cfg(windows)]
#[path = "windows.rs"]
mod system;

use std::{
    cell::Cell,
    fmt::Debug,
    future::{Future, poll_fn},
    io::{self, Write},
    mem::MaybeUninit,
    pin::pin,
    rc::Rc,
    sync::{Arc, Mutex},
    task::{Poll, Wake, Waker},
    time::Duration,
};

use compio::{
    buf::{IoBuf, IoBufMut},
    fs::{File, OpenOptions},
    net::{TcpListener, TcpStream},
    task::{block_on, yield_now},
    time::timeout,
};

pub(crate) use system::{
    Access, BUFFERS_MAX, Stream, access, allow_gaps, code, is_readable, is_skipped_on_wine,
    odd_name, on_wine, pipe, pipe_in, processor_time, std_streams, streams,
};

/// A limit that only a hang exceeds, also on a busy machine and under Wine.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Runs a test's body, with a limit of time.
pub(crate) fn run<F: Future>(body: F) -> F::Output {
    block_on(bounded(body))
}

/// The future's output, with a limit of time.
pub(crate) async fn bounded<F: Future>(future: F) -> F::Output {
    timeout(LONG, future).await.expect("this takes too long")
}

/// The output of the first of two futures.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum First<A, B> {
    Left(A),
    Right(B),
}

/// Waits for one of two futures, the left one if both are ready, and drops the other.
pub(crate) async fn select<A: Future, B: Future>(left: A, right: B) -> First<A::Output, B::Output> {
    let (mut left, mut right) = (pin!(left), pin!(right));
    poll_fn(|cx| {
        if let Poll::Ready(output) = left.as_mut().poll(cx) {
            return Poll::Ready(First::Left(output));
        }
        right.as_mut().poll(cx).map(First::Right)
    })
    .await
}

/// Polls the future once, and expects it to wait.
pub(crate) async fn begin<F: Future + Unpin>(future: &mut F) {
    let mut future = pin!(future);
    poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending(), "it should wait");
        Poll::Ready(())
    })
    .await;
}

/// Two connected ends of a TCP connection.
pub(crate) async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("its address");
    let client = TcpStream::connect(address).await.expect("a connection");
    let (server, peer) = listener.accept().await.expect("its other end");
    assert_eq!(peer, client.local_addr().expect("an address"));
    (client, server)
}

/// A file with this content, open for reading and writing, which is deleted when it is closed.
pub(crate) fn scratch(content: &[u8]) -> File {
    let mut named = tempfile::NamedTempFile::new().expect("a file");
    named.write_all(content).expect("room for it");
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).open(named.path());
    file.expect("the same file")
}

/// Checks that the operation failed with this kind of error.
#[track_caller]
pub(crate) fn check_kind<T: Debug>(result: io::Result<T>, kind: io::ErrorKind) {
    let error = result.expect_err("it should fail");
    assert_eq!(error.kind(), kind, "{error}");
}

/// Checks that the operation failed with this OS error.
#[track_caller]
pub(crate) fn check_code<T: Debug>(result: io::Result<T>, code: i32) {
    let error = result.expect_err("it should fail");
    assert_eq!(error.raw_os_error(), Some(code), "{error}");
}

/// Bytes that identify their position.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 31 % 251) as u8).collect()
}

/// Counts the drops of its guards.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deaths(Rc<Cell<usize>>);

impl Deaths {
    pub(crate) fn count(&self) -> usize {
        self.0.get()
    }

    /// A value whose drop is counted.
    pub(crate) fn guard(&self) -> impl Sized + use<> {
        let deaths = self.clone();
        on_drop(move || deaths.0.set(deaths.0.get() + 1))
    }
}

/// Runs code when it is dropped.
pub(crate) fn on_drop<F: FnOnce()>(code: F) -> impl Sized {
    OnDrop(Some(code))
}

struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(code) = self.0.take() {
            code();
        }
    }
}

/// A buffer whose drop is counted.
#[derive(Debug)]
pub(crate) struct Canary {
    bytes: Vec<u8>,
    deaths: Rc<Cell<usize>>,
}

impl Canary {
    pub(crate) fn new(deaths: &Deaths) -> Self {
        Self {
            bytes: Vec::with_capacity(64),
            deaths: Rc::clone(&deaths.0),
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

/// Runs turns until so many guards are dropped.
pub(crate) async fn until(deaths: &Deaths, count: usize) {
    while deaths.count() < count {
        yield_now().await;
    }
    assert_eq!(deaths.count(), count);
}

/// A flag that one thread raises and another awaits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flag(Arc<Mutex<(bool, Option<Waker>)>>);

impl Flag {
    /// Raises the flag, and wakes the waiting task.
    pub(crate) fn raise(&self) {
        let waker = {
            let mut state = self.0.lock().expect("a lock");
            state.0 = true;
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.0.lock().expect("a lock").0
    }

    /// Waits until the flag is raised, and lowers it.
    pub(crate) async fn taken(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock().expect("a lock");
            if std::mem::take(&mut state.0) {
                return Poll::Ready(());
            }
            state.1 = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// A waker that runs code.
pub(crate) fn waker(code: impl Fn() + Send + Sync + 'static) -> Waker {
    struct Call<F>(F);
    impl<F: Fn() + Send + Sync + 'static> Wake for Call<F> {
        fn wake(self: Arc<Self>) {
            (self.0)();
        }
    }
    Waker::from(Arc::new(Call(code)))
}
