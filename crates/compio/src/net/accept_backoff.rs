//! The back-off after an accept that failed for lack of descriptors or memory.
//!
//! The connection is still in the kernel's queue, so the next accept would fail as fast: a server
//! that continues after each error would busy-loop.

use std::{
    cell::Cell,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use crate::{
    sys,
    time::{self, Instant, Sleep, sleep, sleep_until},
};

/// Short enough for clients that wait to be accepted, and long enough for other tasks to make
/// progress.
const PAUSE: Duration = Duration::from_millis(10);

/// The back-off of a listener, shared by all its accepts.
#[derive(Debug, Default)]
pub(super) struct AcceptBackoff {
    until: Cell<Option<Instant>>,
}

impl AcceptBackoff {
    /// Waits before an accept, if a back-off is set.
    pub(super) async fn wait(&self) {
        if let Some(until) = self.until.get() {
            sleep_until(until).await;
        }
    }

    /// Records the result of an accept: sets or clears the back-off.
    pub(super) fn note<T>(&self, accepted: &io::Result<T>) {
        let until = is_scarcity(accepted).then(|| time::now() + PAUSE);
        self.until.set(until);
    }
}

/// The back-off of an accept stream.
#[derive(Debug, Default)]
pub(super) struct BackoffTimer(Option<Sleep>);

impl BackoffTimer {
    /// Polls for the next connection, after the back-off if one is set.
    pub(super) fn poll_pass<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Some(pause) = &mut self.0 {
            ready!(Pin::new(pause).poll(cx));
            self.0 = None;
        }
        let accepted = ready!(poll(cx));
        self.0 = is_scarcity(&accepted).then(|| sleep(PAUSE));
        Poll::Ready(accepted)
    }
}

fn is_scarcity<T>(accepted: &io::Result<T>) -> bool {
    let code = accepted.as_ref().err().and_then(io::Error::raw_os_error);
    code.is_some_and(|code| sys::OUT_OF_RESOURCES.contains(&code))
}

#[cfg(all(test, feature = "test-util"))]
mod tests {
    use super::{AcceptBackoff, BackoffTimer, PAUSE};
    use crate::{
        runtime::RuntimeBuilder,
        sys,
        time::{advance, now},
    };
    use std::{future::poll_fn, io, task::Poll};

    fn scarcity() -> io::Result<()> {
        Err(io::Error::from_raw_os_error(sys::OUT_OF_RESOURCES[0]))
    }

    #[test]
    fn backoff_waits_in_paused_time() {
        let runtime = RuntimeBuilder::new().start_paused(true).build().unwrap();
        runtime.block_on(async {
            // The system's clock would be behind.
            advance(1_000_000 * PAUSE).await;
            let begin = now();
            let backoff = AcceptBackoff::default();
            backoff.note(&scarcity());
            backoff.wait().await;
            assert_eq!(now() - begin, PAUSE);

            let mut timer = BackoffTimer::default();
            let failed = poll_fn(|cx| timer.poll_pass(cx, |_| Poll::Ready(scarcity())));
            assert!(failed.await.is_err());
            let passed = poll_fn(|cx| timer.poll_pass(cx, |_| Poll::Ready(Ok(()))));
            passed.await.unwrap();
            assert_eq!(now() - begin, 2 * PAUSE);
        });
    }
}
