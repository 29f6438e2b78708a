//! The runtime that hyper asks for: its executor and its timer.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use compio::{runtime::SendWrapper, task, time};
use hyper::rt;

/// Spawns the tasks of hyper on this thread's runtime. The futures need not be `Send`.
#[derive(Debug, Clone, Copy, Default)]
pub struct TaskExecutor;

impl<F: Future + 'static> rt::Executor<F> for TaskExecutor {
    #[track_caller]
    fn execute(&self, future: F) {
        task::spawn(async move {
            future.await;
        })
        .detach();
    }
}

/// The timers of this thread's runtime, for hyper.
#[derive(Debug, Clone, Copy, Default)]
pub struct RuntimeTimer;

impl rt::Timer for RuntimeTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Sleep::new(time::sleep(duration)))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Sleep::new(time::sleep_until(deadline)))
    }

    fn now(&self) -> Instant {
        time::now()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn rt::Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Sleep>() {
            Some(mut sleep) => sleep.0.reset(deadline),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

/// A timer of hyper, which requires `Send` and `Sync`. hyper polls it on the connection's thread.
struct Sleep(SendWrapper<time::Sleep>);

impl Sleep {
    fn new(sleep: time::Sleep) -> Self {
        Self(SendWrapper::new(sleep))
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut *self.0).poll(cx)
    }
}

impl rt::Sleep for Sleep {}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
