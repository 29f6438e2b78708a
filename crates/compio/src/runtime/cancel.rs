//! Cancelling operations without losing their results.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::current;

/// Cancels the operations of a future without losing their results. They end soon, with an error that
/// [`is_cancelled`](super::is_cancelled) recognizes or with a late success, and return their buffers.
///
/// Dropping a future instead is simpler and often right: the next read of a socket or pipe returns
/// bytes that a dropped read has received. But a drop loses the buffer, with the bytes that a loop
/// has read into it, and the number of bytes of a write.
///
/// The token concerns operations that are started while its [`run`](Self::run) polls a future: not
/// tasks that the future spawns, nor timers. Clones are handles of the same token, which stays on
/// its thread.
///
#[cfg_attr(feature = "net", doc = "```")]
#[cfg_attr(not(feature = "net"), doc = "```ignore")]
/// use compio::{
///     io::AsyncRead,
///     net::{TcpListener, TcpStream},
///     runtime::{CancelToken, is_cancelled},
///     task,
/// };
///
/// fn main() -> std::io::Result<()> {
///     compio::task::block_on(async {
///         let listener = TcpListener::bind("127.0.0.1:0").await?;
///         let mut silent = TcpStream::connect(listener.local_addr()?).await?;
///
///         let token = CancelToken::new();
///         let canceller = token.clone();
///         task::spawn(async move { canceller.cancel() });
///
///         let (read, buffer) = token.run(silent.read(Vec::with_capacity(1000))).await;
///         assert!(is_cancelled(&read.unwrap_err()));
///         assert_eq!(buffer.capacity(), 1000);
///         Ok(())
///     })
/// }
/// ```
#[derive(Debug, Clone, Default)]
pub struct CancelToken(compio_driver::CancelToken);

impl CancelToken {
    /// A token that has not been cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels. It returns at once: the results of the operations report it. From now on no operation
    /// begins with this token.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether [`cancel`](Self::cancel) has been called.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until [`cancel`](Self::cancel) is called.
    ///
    /// # Cancellation
    ///
    /// Has no effect.
    pub async fn cancelled(&self) {
        self.0.cancelled().await;
    }

    /// Runs a future whose operations the token cancels. The future runs to its end in any case, and its
    /// output is returned.
    ///
    /// # Cancellation
    ///
    /// Dropping it drops the future, which cancels as without a token.
    pub fn run<F: IntoFuture>(&self, future: F) -> RunCancellable<F::IntoFuture> {
        RunCancellable {
            token: self.clone(),
            future: future.into_future(),
        }
    }
}

pin_project! {
    /// The future of [`CancelToken::run`].
    #[must_use = "futures do nothing unless awaited"]
    #[derive(Debug)]
    pub struct RunCancellable<F> {
        token: CancelToken,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for RunCancellable<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let runtime = current();
        let _scope = runtime.driver.scope(&this.token.0);
        this.future.poll(cx)
    }
}
