//! The limit of a test's time. The binaries of this folder include this file.

use std::future::Future;

use compio::{task::block_on, time::timeout};
use compio_testkit::LONG;

/// Runs a test's body, with a limit of time.
pub(crate) fn run<F: Future>(body: F) -> F::Output {
    block_on(bounded(body))
}

/// The future's output, with a limit of time.
pub(crate) async fn bounded<F: Future>(future: F) -> F::Output {
    timeout(LONG, future).await.expect("this takes too long")
}
