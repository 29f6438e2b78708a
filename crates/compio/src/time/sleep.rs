//! Sleeps until a point in time.

use std::{
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use compio_io::coop;

use super::{Duration, Instant, after, now};
use crate::{
    runtime::{self, Inner, TimerKey},
    trace::TimerTrace,
};

/// Waits for `duration`, counted from this call.
///
/// # Cancellation
///
/// Dropping the future removes the timer.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// compio::task::block_on(async {
///     let begin = Instant::now();
///     compio::time::sleep(Duration::from_millis(10)).await;
///     assert!(begin.elapsed() >= Duration::from_millis(10));
/// });
/// ```
#[cfg_attr(feature = "tracing", track_caller)]
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(after(duration))
}

/// Waits until `deadline`; returns at once if it has passed.
///
/// # Cancellation
///
/// Dropping the future removes the timer.
#[cfg_attr(feature = "tracing", track_caller)]
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep::new("Sleep", deadline)
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// # Panics
///
/// If it is polled before its deadline while its runtime does not run on this thread, none has been entered,
/// and no outer loop drives it.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    deadline: Instant,
    /// The runtime and the timer, after a poll that was pending.
    timer: Option<(Rc<Inner>, TimerKey)>,
    trace: TimerTrace,
}

impl Sleep {
    /// A sleep as a part of the type `type_name`.
    #[cfg_attr(feature = "tracing", track_caller)]
    #[inline]
    pub(super) fn new(type_name: &'static str, deadline: Instant) -> Self {
        Self {
            deadline,
            timer: None,
            trace: TimerTrace::new(type_name, deadline),
        }
    }

    /// The time at which it ends.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether the deadline has passed.
    pub fn is_elapsed(&self) -> bool {
        self.deadline <= now()
    }

    /// Moves the deadline. A waiting task is woken at the new one.
    pub fn reset(&mut self, deadline: Instant) {
        self.deadline = deadline;
        self.trace.reset(deadline);
        if let Some((runtime, key)) = self.timer.take() {
            let key = runtime.reset_timer(key, deadline);
            self.timer = key.map(|key| (runtime, key));
        }
    }

    #[inline]
    fn poll_elapsed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some((runtime, key)) = self.timer.take() {
            // The runtime of the earlier poll may never run again.
            if runtime::is_foreign(&runtime) {
                drop(runtime.take_timer(key));
            } else if runtime.renew_timer(key, cx.waker()) {
                runtime.check_attended();
                self.timer = Some((runtime, key));
                return Poll::Pending;
            } else if runtime.has_seen(self.deadline) {
                // It has fired, and the clock need not be read again.
                return Poll::Ready(());
            }
        }
        // A runtime that was shut down removes its timers unfired: the clock decides.
        let now = now();
        if self.deadline <= now {
            return coop::poll_proceed(cx);
        }
        let runtime = runtime::entered_for("timers");
        let key = runtime.set_timer(self.deadline, now, cx.waker().clone());
        self.timer = Some((runtime, key));
        Poll::Pending
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        #[cfg(feature = "tracing")]
        if let Some(entered) = self.trace.enter() {
            let polled = self.poll_elapsed(cx);
            self.trace.report(&entered, polled.is_ready());
            return polled;
        }
        self.poll_elapsed(cx)
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((runtime, key)) = self.timer.take() {
            drop(runtime.take_timer(key));
        }
    }
}

impl std::fmt::Debug for Sleep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
