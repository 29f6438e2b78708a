//! The ways in which a completion runtime loses data, memory or descriptors, one test each, named
//! after the scenario's number in `docs/soundness.md`.

mod outside;
mod overflow;
mod panics;
pub(crate) mod pool;
mod provided;
mod readiness;
mod reentrancy;
#[cfg(unix)]
mod unix;
mod unpolled;
pub(crate) mod wakes;
