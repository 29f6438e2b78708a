//! The clock of a runtime's timers.
//!
//! It is the system's monotonic clock. With the feature `test-util` a test can pause it: `pausable.rs`. Both files have the
//! same functions, and without the feature each is a constant or the plain reading.
//!
//! The ages of tasks and operations, the waits of the driver and the shutdown of workers do not use it: they read the
//! system's clock. See `docs/decisions/36-paused-time.md`.

#[cfg(feature = "test-util")]
mod pausable;
#[cfg(not(feature = "test-util"))]
mod real;

#[cfg(feature = "test-util")]
pub(crate) use self::pausable::{Advance, TimerClock, now};
#[cfg(not(feature = "test-util"))]
pub(crate) use self::real::now;
