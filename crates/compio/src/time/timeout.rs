//! Futures with a time limit.

use std::{
    error::Error,
    fmt,
    future::{Future, IntoFuture},
    io,
    pin::Pin,
    task::{Context, Poll},
};

use compio_io::coop::Budget;
use pin_project_lite::pin_project;

use super::{Duration, Instant, Sleep, after, sleep_until};
use crate::runtime::{CancelToken, RunCancellable};

/// Limits a future to `duration`, counted from this call.
///
/// If the future is ready at the deadline, its output is returned.
///
/// # Errors
///
/// [`Elapsed`] if the deadline passes first.
///
/// # Cancellation
///
/// After the deadline the future is kept until the timeout itself is dropped, which cancels it. Each
/// operation documents a late success. Reads of sockets and pipes lose no bytes, and accepts lose no
/// connection: the next one gets them. The buffer is lost, with the bytes that a loop had read into it,
/// and so is the result of a write. [`cancel_after`] loses nothing.
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
#[cfg_attr(feature = "tracing", track_caller)]
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    timeout_at(after(duration), future)
}

/// Limits a future until `deadline`. See [`timeout`].
///
/// # Errors
///
/// [`Elapsed`] if the deadline passes first.
///
/// # Cancellation
///
/// As for [`timeout`].
#[cfg_attr(feature = "tracing", track_caller)]
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout {
        future: future.into_future(),
        sleep: Sleep::new("Timeout", deadline),
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
    /// Returns the inner future, for instance to continue it after the deadline.
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
        // A budget that the future has used up must not keep the deadline from ending it.
        let _budget = Budget::unlimited();
        Pin::new(this.sleep).poll(cx).map(|()| Err(Elapsed(())))
    }
}

/// The error of [`timeout`]: the deadline has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed(());

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline has elapsed")
    }
}

impl Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(_: Elapsed) -> Self {
        io::ErrorKind::TimedOut.into()
    }
}

/// Runs a future with a deadline, `duration` from this call, without losing its result. After the
/// deadline its pending operations are cancelled, as with a [`CancelToken`]. The future then continues
/// to completion with their results: an error that [`is_cancelled`](crate::runtime::is_cancelled)
/// recognizes, or a late success. The buffer is always returned.
///
/// Only operations are cancelled. A future that waits for anything else is not interrupted.
///
/// # Cancellation
///
/// Dropping it drops the future, which cancels it as without a deadline.
///
#[cfg_attr(feature = "net", doc = "```")]
#[cfg_attr(not(feature = "net"), doc = "```ignore")]
/// use std::time::Duration;
///
/// use compio::{
///     io::{AsyncRead, AsyncWriteExt},
///     net::{TcpListener, TcpStream},
///     time::cancel_after,
/// };
///
/// fn main() -> std::io::Result<()> {
///     compio::task::block_on(async {
///         let listener = TcpListener::bind("127.0.0.1:0").await?;
///         let mut client = TcpStream::connect(listener.local_addr()?).await?;
///         let (mut server, _) = listener.accept().await?;
///
///         let patience = Duration::from_millis(1);
///         let (read, buffer) = cancel_after(patience, client.read(Vec::with_capacity(100))).await;
///         assert!(read.is_err());
///
///         // No later bytes are lost, and the buffer can be used again.
///         server.write_all("hello").await.0?;
///         let (read, buffer) = client.read(buffer).await;
///         assert_eq!((read?, &buffer[..]), (5, &b"hello"[..]));
///         Ok(())
///     })
/// }
/// ```
pub fn cancel_after<F: IntoFuture>(duration: Duration, future: F) -> CancelAfter<F::IntoFuture> {
    let token = CancelToken::new();
    CancelAfter {
        future: token.run(future),
        token,
        sleep: sleep_until(after(duration)),
    }
}

pin_project! {
    /// The future of [`cancel_after`].
    #[must_use = "futures do nothing unless awaited"]
    #[derive(Debug)]
    pub struct CancelAfter<F> {
        #[pin]
        future: RunCancellable<F>,
        token: CancelToken,
        sleep: Sleep,
    }
}

impl<F: Future> Future for CancelAfter<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        if let Poll::Ready(output) = this.future.as_mut().poll(cx) {
            return Poll::Ready(output);
        }
        let is_over = {
            // As in `Timeout`.
            let _budget = Budget::unlimited();
            !this.token.is_cancelled() && Pin::new(this.sleep).poll(cx).is_ready()
        };
        if !is_over {
            return Poll::Pending;
        }
        this.token.cancel();
        // Operations that start after the deadline fail at once.
        this.future.poll(cx)
    }
}
