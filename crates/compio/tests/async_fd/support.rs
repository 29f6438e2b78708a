//! Shared helpers of the tests.

use std::{future::poll_fn, pin::Pin, task::Poll, time::Duration};

use compio::{task::block_on, time::timeout};

/// Runs a test's body, with a limit of time.
pub(crate) fn run<F: Future>(body: F) -> F::Output {
    let limit = Duration::from_secs(60);
    block_on(async { timeout(limit, body).await.expect("this takes too long") })
}

/// Polls the future once, and expects it to wait.
pub(crate) async fn begin<F: Future>(mut future: Pin<&mut F>) {
    poll_fn(|cx| {
        assert!(
            future.as_mut().poll(cx).is_pending(),
            "it should have to wait"
        );
        Poll::Ready(())
    })
    .await;
}
