//! Readers and writers that follow a script, and helpers of the tests. This file
//! contains no tests.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    io,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use compio_io::{
    buf::{BufResult, IoBuf, IoBufMut},
    io::{AsyncRead, AsyncReadAt, AsyncWrite, AsyncWriteAt},
};
use proptest::{prelude::ProptestConfig, strategy::Strategy};

/// The effect of one operation. After the last step, operations move all they can.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    /// Moves at most this number of bytes.
    Move(usize),
    /// Fails with `Interrupted`.
    Interrupt,
    /// Fails with `ConnectionReset`.
    Fail,
    /// Never completes.
    Hang,
    /// Is pending at the first poll, then does the next step.
    Wait,
}

/// A source, or a sink, and the script of its operations.
#[derive(Debug, Default)]
pub(crate) struct Scripted {
    pub(crate) bytes: Vec<u8>,
    pub(crate) read: usize,
    steps: RefCell<VecDeque<Step>>,
    pub(crate) operations: usize,
    pub(crate) flushed: usize,
    pub(crate) shut_down: usize,
    /// Counts aborts, also after the sink was dropped.
    pub(crate) aborts: Rc<Cell<usize>>,
}

impl Scripted {
    pub(crate) fn new(bytes: &[u8], steps: &[Step]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            steps: RefCell::new(steps.iter().copied().collect()),
            ..Self::default()
        }
    }

    pub(crate) fn sink(steps: &[Step]) -> Self {
        Self::new(&[], steps)
    }

    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.read..]
    }

    /// How many bytes the next operation moves at most.
    async fn step(&self) -> io::Result<usize> {
        loop {
            let step = self.steps.borrow_mut().pop_front();
            return match step {
                Some(Step::Move(len)) => Ok(len),
                Some(Step::Interrupt) => Err(io::ErrorKind::Interrupted.into()),
                Some(Step::Fail) => Err(io::ErrorKind::ConnectionReset.into()),
                Some(Step::Hang) => std::future::pending().await,
                Some(Step::Wait) => {
                    wait_once().await;
                    continue;
                }
                None => Ok(usize::MAX),
            };
        }
    }
}

impl AsyncRead for Scripted {
    async fn read<B: IoBufMut>(&mut self, mut buf: B) -> BufResult<usize, B> {
        self.operations += 1;
        let len = match self.step().await {
            Ok(len) => len.min(self.unread().len()),
            Err(e) => return (Err(e), buf),
        };
        let len = buf.init_from(&self.unread()[..len]);
        self.read += len;
        (Ok(len), buf)
    }
}

impl AsyncWrite for Scripted {
    async fn write<B: IoBuf>(&mut self, buf: B) -> BufResult<usize, B> {
        self.operations += 1;
        match self.step().await {
            Ok(len) => {
                let len = len.min(buf.buf_len());
                self.bytes.extend_from_slice(&buf.as_init()[..len]);
                (Ok(len), buf)
            }
            Err(e) => (Err(e), buf),
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.flushed += 1;
        Ok(())
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.shut_down += 1;
        Ok(())
    }

    fn abort(&mut self) {
        self.aborts.set(self.aborts.get() + 1);
    }
}

/// A file in memory, and the script of its operations.
#[derive(Debug)]
pub(crate) struct ScriptedFile {
    pub(crate) bytes: RefCell<Vec<u8>>,
    script: Scripted,
}

impl ScriptedFile {
    pub(crate) fn new(bytes: &[u8], steps: &[Step]) -> Self {
        Self {
            bytes: RefCell::new(bytes.to_vec()),
            script: Scripted::sink(steps),
        }
    }
}

impl AsyncReadAt for ScriptedFile {
    async fn read_at<B: IoBufMut>(&self, mut buf: B, pos: u64) -> BufResult<usize, B> {
        let most = match self.script.step().await {
            Ok(most) => most,
            Err(e) => return (Err(e), buf),
        };
        let bytes = self.bytes.borrow();
        let rest = bytes.get(pos as usize..).unwrap_or_default();
        (Ok(buf.init_from(&rest[..most.min(rest.len())])), buf)
    }
}

impl AsyncWriteAt for ScriptedFile {
    async fn write_at<B: IoBuf>(&self, buf: B, pos: u64) -> BufResult<usize, B> {
        let len = match self.script.step().await {
            Ok(most) => most.min(buf.buf_len()),
            Err(e) => return (Err(e), buf),
        };
        let (mut bytes, begin) = (self.bytes.borrow_mut(), pos as usize);
        if bytes.len() < begin + len {
            bytes.resize(begin + len, 0);
        }
        bytes[begin..begin + len].copy_from_slice(&buf.as_init()[..len]);
        (Ok(len), buf)
    }
}

/// Polls a future once and drops it.
pub(crate) fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// Is pending at the first poll and ready at the second.
async fn wait_once() {
    let mut waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Polls a future at most this number of times and drops it.
pub(crate) fn poll_times<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    (0..times).find_map(|_| match future.as_mut().poll(&mut cx) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    })
}

/// Drops one future after the other, each once it has been polled, until one is
/// ready.
pub(crate) fn impatiently<T>(mut attempt: impl AsyncFnMut() -> T) -> T {
    for _ in 0..10_000 {
        if let Some(value) = poll_once(attempt()) {
            return value;
        }
    }
    panic!("no future became ready");
}

/// Scripts that make a reader or writer wait a lot.
pub(crate) fn hesitation() -> impl Strategy<Value = Vec<Step>> {
    let step = proptest::prop_oneof![
        2 => (1usize..20).prop_map(Step::Move),
        2 => proptest::strategy::Just(Step::Wait),
        1 => proptest::strategy::Just(Step::Interrupt),
    ];
    proptest::collection::vec(step, 0..60)
}

/// Scripts that a reader or writer survives: short operations and interrupts.
pub(crate) fn stutter() -> impl Strategy<Value = Vec<Step>> {
    let step = proptest::prop_oneof![
        4 => (1usize..20).prop_map(Step::Move),
        1 => proptest::strategy::Just(Step::Interrupt),
    ];
    proptest::collection::vec(step, 0..40)
}

/// Up to `len_max` bytes.
pub(crate) fn bytes(len_max: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(proptest::num::u8::ANY, 0..=len_max)
}

/// Fewer cases where an interpreter runs them.
pub(crate) fn config() -> ProptestConfig {
    ProptestConfig {
        cases: if cfg!(miri) { 6 } else { 256 },
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// A vector with a given length and capacity.
pub(crate) fn vec_of(bytes: &[u8], capacity: usize) -> Vec<u8> {
    let mut vec = Vec::with_capacity(capacity);
    vec.extend_from_slice(bytes);
    vec
}
