//! The ways in which a completion runtime loses data, memory or descriptors, one test each, named
//! after the scenario's number in `docs/soundness.md`.

mod bursts;
mod home;
mod outside;
mod panics;
mod pool;
mod reentrancy;
mod unpolled;
mod wakes;
