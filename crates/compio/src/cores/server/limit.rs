//! The limit of a server's connections.

use std::{
    future::poll_fn,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Poll, Waker},
};

use compio_io::panics::{discard, wake_all};

/// Counts connections, on all workers.
#[derive(Debug)]
pub(super) struct Limit {
    max: usize,
    live: AtomicUsize,
    waiting: Mutex<Vec<Waker>>,
}

/// One connection's part of the limit.
#[derive(Debug)]
pub(super) struct Permit(Arc<Limit>);

impl Limit {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            live: AtomicUsize::new(0),
            waiting: Mutex::default(),
        }
    }

    pub(super) fn try_acquire(self: &Arc<Self>) -> Option<Permit> {
        let more = |live: usize| (live < self.max).then_some(live + 1);
        // Relaxed: the count guards no data. The lock orders it with the list of waiting tasks.
        let counted = self.live.fetch_update(Relaxed, Relaxed, more);
        counted.is_ok().then(|| Permit(Arc::clone(self)))
    }

    /// Waits until there are fewer connections than the limit.
    pub(super) async fn acquire(self: &Arc<Self>) -> Permit {
        poll_fn(|cx| {
            if let Some(permit) = self.try_acquire() {
                return Poll::Ready(permit);
            }
            self.lock().push(cx.waker().clone());
            // A connection that ended before the push has not seen the waker.
            match self.try_acquire() {
                Some(permit) => Poll::Ready(permit),
                None => Poll::Pending,
            }
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let limit = &self.0;
        // Relaxed: as above.
        if limit.live.fetch_sub(1, Relaxed) < limit.max {
            return;
        }
        let waiting = mem::take(&mut *limit.lock());
        if let Some(panic) = wake_all(waiting.into_iter()) {
            // The panic hook has reported it.
            discard(panic);
        }
    }
}
