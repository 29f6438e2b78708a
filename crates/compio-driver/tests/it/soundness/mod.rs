//! The ways in which a completion runtime loses data, memory or descriptors, one test each, named
//! after the scenario's number in `docs/soundness.md`.

#[cfg(unix)]
mod kernels;
mod outside;
mod overflow;
mod panics;
pub(crate) mod pool;
mod provided;
mod readiness;
mod reentrancy;
mod unpolled;
pub(crate) mod wakes;
