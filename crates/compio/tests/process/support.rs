//! Shared helpers of the tests.

use std::{
    fmt::Debug,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    process::ExitStatus,
    task::Poll,
    time::Duration,
};

use compio::{task::block_on, time::timeout};

/// Runs a test's body, with a limit of time.
pub(crate) fn run<F: Future>(body: F) -> F::Output {
    // Processes of other tests, and Wine, take their time.
    let limit = Duration::from_secs(120);
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

/// Waits for both concurrently.
pub(crate) async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut of_a, mut of_b) = (None, None);
    poll_fn(|cx| {
        if of_a.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(cx)
        {
            of_a = Some(output);
        }
        if of_b.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(cx)
        {
            of_b = Some(output);
        }
        if of_a.is_some() && of_b.is_some() {
            Poll::Ready((of_a.take().unwrap(), of_b.take().unwrap()))
        } else {
            Poll::Pending
        }
    })
    .await
}

#[track_caller]
pub(crate) fn check_code(status: ExitStatus, code: i32) {
    assert_eq!(status.code(), Some(code), "{status}");
}

#[track_caller]
pub(crate) fn check_kind<T: Debug>(result: io::Result<T>, kind: io::ErrorKind) {
    let error = result.expect_err("it should fail");
    assert_eq!(error.kind(), kind, "{error}");
}
