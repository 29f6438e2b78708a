//! Shared helpers of the tests. Each OS has its own submodule.

#[path = "../../support/run.rs"]
mod run;
#[cfg(unix)]
#[path = "unix.rs"]
mod system;
#[cfg(windows)]
#[path = "windows.rs"]
mod system;
#[path = "../../support/tcp.rs"]
mod tcp;

use std::{
    future::{Future, poll_fn},
    io::Write,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Poll, Waker},
};

use compio::{
    fs::{File, OpenOptions},
    task::yield_now,
};

pub(crate) use compio_testkit::{
    LONG,
    buffer::{Canary, Deaths, on_drop, pattern},
    check::{check_code, check_kind},
    future::begin,
    process::is_skipped_on_wine,
    socket::deserted,
    sys::{on_wine, processor_time},
    waker::waker,
};
pub(crate) use run::{bounded, run};
pub(crate) use system::{
    Access, BUFFERS_MAX, Stream, access, allow_gaps, code, is_readable, odd_name, pipe, pipe_in,
    std_streams, streams,
};
pub(crate) use tcp::tcp_pair;

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

/// A file with this content, open for reading and writing, which is deleted when it is closed.
pub(crate) fn scratch(content: &[u8]) -> File {
    let mut named = tempfile::NamedTempFile::new().expect("a file");
    named.write_all(content).expect("room for it");
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).open(named.path());
    file.expect("the same file")
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
