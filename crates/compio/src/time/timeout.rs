//! A future that is given only so much time.

use std::{
    error::Error,
    fmt,
    future::{Future, IntoFuture},
    io,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::{Duration, Instant, Sleep, after, sleep_until};

/// Gives a future `duration`, counted from this call.
///
/// If the future is ready when the time is up, its output wins.
///
/// # Errors
///
/// [`Elapsed`], if the time was up first.
///
/// # Cancellation
///
/// When the time is up, the future is kept until the timeout itself is dropped, which cancels it:
/// what an operation does that is cancelled but succeeds all the same is said at each operation.
///
/// ```
/// use std::{future, time::Duration};
///
/// compio::task::block_on(async {
///     let never = compio::time::timeout(Duration::from_millis(1), future::pending::<()>());
///     assert!(never.await.is_err());
///     let soon = compio::time::timeout(Duration::from_secs(10), async { 42 });
///     assert_eq!(soon.await, Ok(42));
/// });
/// ```
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    timeout_at(after(duration), future)
}

/// Gives a future until `deadline`. See [`timeout`].
///
/// # Errors
///
/// [`Elapsed`], if the time was up first.
///
/// # Cancellation
///
/// As for [`timeout`].
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout {
        future: future.into_future(),
        sleep: sleep_until(deadline),
    }
}

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`].
    #[must_use = "futures do nothing unless awaited"]
    #[derive(Debug)]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        sleep: Sleep,
    }
}

impl<F> Timeout<F> {
    /// The future inside, for instance to go on with it after the time was up.
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(this.sleep).poll(cx).map(|()| Err(Elapsed(())))
    }
}

/// The time was up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed(());

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time was up")
    }
}

impl Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(_: Elapsed) -> Self {
        io::ErrorKind::TimedOut.into()
    }
}
