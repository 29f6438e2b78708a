//! Bodies of tests that run on the real system and in a simulation. So they check that both are equal.

use std::{future::poll_fn, io, path::PathBuf, pin::pin, task::Poll, time::Duration};

use compio::{task, time};
use compio_testkit::LONG;

use super::run_one;

/// The time of a wait that is expected not to end by itself.
const SHORT: Duration = Duration::from_millis(5);

/// Runs the body in an empty directory of the real system, and in an empty one of a simulated host.
#[track_caller]
pub(super) fn run_both<F>(body: impl Fn(PathBuf) -> F)
where
    F: Future<Output = io::Result<()>> + 'static,
{
    let dir = tempfile::tempdir().unwrap();
    let real = time::timeout(LONG, body(dir.path().to_owned()));
    let ended = task::block_on(real).expect("this takes too long");
    ended.unwrap_or_else(|error| panic!("on the real system: {error}"));
    run_one(body("/tmp".into()));
}

/// Lets other tasks run until they wait.
pub(super) async fn settle() {
    time::sleep(SHORT).await;
}

/// The output, unless the future still waits after many turns of the loop.
pub(super) async fn unless_waits<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..200 {
        let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        task::yield_now().await;
    }
    None
}

/// Checks that the future waits. It is dropped.
pub(super) async fn check_waits<F: Future>(future: F) {
    assert!(
        time::timeout(SHORT, future).await.is_err(),
        "it should wait"
    );
}
