//! Operations that go on after their owner was dropped. This crate has no runtime: one registers
//! itself here. Called by `kept`.

use std::{pin::Pin, sync::OnceLock};

/// An operation without an owner.
pub type Detached = Pin<Box<dyn Future<Output = ()>>>;

/// Runs operations without an owner, on the thread that calls it.
static RUNNER: OnceLock<fn(Detached)> = OnceLock::new();

/// Registers the runner of operations whose owner is dropped, such as the last write of a
/// [`PollWriter`](crate::io::PollWriter). A runtime does so when it is made; the first one stays.
///
/// The runner is called on the thread that drops the owner. It polls the future until that is ready, or
/// drops it where there is no runtime. The future then [aborts](crate::io::AsyncWrite::abort) its writer.
#[doc(hidden)]
pub fn set_detached_runner(runner: fn(Detached)) {
    let _ = RUNNER.set(runner);
}

/// Hands the operation to the runtime. Without one it is dropped.
pub(crate) fn detach(operation: Detached) {
    if let Some(runner) = RUNNER.get() {
        runner(operation);
    }
}
