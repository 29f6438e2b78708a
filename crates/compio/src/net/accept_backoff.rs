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

use compio_driver::os_calls::clock;

use crate::{
    sys,
    time::{Instant, Sleep, sleep, sleep_until},
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
        let until = is_scarcity(accepted).then(|| clock::now() + PAUSE);
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
