//! Spans and events of tasks and timers, for the feature `tracing`. Those of operations are in the driver.
//!
//! With the feature, `task.rs` has the spans of tasks, `waker.rs` the wakers that report their use, and
//! `timer.rs` the spans of timers. `disabled.rs` has the same interface without the feature: types of size
//! zero, and empty functions.
//!
//! The names of spans, targets and fields are an interface of tokio-console: see `docs/tracing.md`.

#[cfg(not(feature = "tracing"))]
mod disabled;
#[cfg(feature = "tracing")]
mod task;
#[cfg(all(feature = "tracing", feature = "time"))]
mod timer;
#[cfg(feature = "tracing")]
mod waker;

#[cfg(all(not(feature = "tracing"), feature = "time"))]
pub(crate) use self::disabled::TimerTrace;
#[cfg(not(feature = "tracing"))]
pub(crate) use self::disabled::{DropScope, TaskTrace, is_enabled};
#[cfg(feature = "tracing")]
pub(crate) use self::task::{DropScope, TaskTrace, is_enabled};
#[cfg(all(feature = "tracing", feature = "time"))]
pub(crate) use self::timer::TimerTrace;
