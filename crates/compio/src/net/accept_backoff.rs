//! The pause after an accept for which there was no descriptor, or no memory.
//!
//! The connection is still in the kernel's queue, so that the next accept would fail as fast: a
//! server that goes on after each error would do nothing else.

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
    time::{Instant, Sleep, sleep, sleep_until},
};

/// Short enough for whoever waits to be accepted, and long enough to do something else meanwhile.
const PAUSE: Duration = Duration::from_millis(10);

/// What a listener remembers for all who accept from it.
#[derive(Debug, Default)]
pub(super) struct AcceptBackoff {
    until: Cell<Option<Instant>>,
}

impl AcceptBackoff {
    /// The pause, if there is one, before an accept.
    pub(super) async fn wait(&self) {
        if let Some(until) = self.until.get() {
            sleep_until(until).await;
        }
    }

    /// What came of that.
    pub(super) fn note<T>(&self, accepted: &io::Result<T>) {
        let until = is_scarcity(accepted).then(|| Instant::now() + PAUSE);
        self.until.set(until);
    }
}

/// The same, for one who accepts again and again.
#[derive(Debug, Default)]
pub(super) struct BackoffTimer(Option<Sleep>);

impl BackoffTimer {
    /// Polls for the next connection, after the pause if there is one.
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
