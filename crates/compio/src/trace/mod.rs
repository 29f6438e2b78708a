//! Spans and events of tasks and timers, for the feature `tracing`. Those of operations are in the driver.
//!
//! `task.rs` has the spans of tasks, `waker.rs` the wakers that report their use, and `timer.rs` the spans of timers.
//! A task has a span if a subscriber wants it at the time of its spawn. Other tasks have neither memory nor code for
//! it: the traced task is another type. A timer always has a place for its spans, of no size without the feature.
//!
//! The names of spans, targets and fields are an interface of tokio-console: see `docs/tracing.md`.

#[cfg(feature = "tracing")]
mod task;
#[cfg(all(feature = "tracing", feature = "time"))]
mod timer;
#[cfg(all(not(feature = "tracing"), feature = "time"))]
mod timer_disabled;
#[cfg(feature = "tracing")]
mod waker;

#[cfg(feature = "tracing")]
pub(crate) use self::task::{TaskTrace, is_enabled};
#[cfg(all(feature = "tracing", feature = "time"))]
pub(crate) use self::timer::TimerTrace;
#[cfg(all(not(feature = "tracing"), feature = "time"))]
pub(crate) use self::timer_disabled::TimerTrace;
