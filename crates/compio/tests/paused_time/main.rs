//! Time that a test pauses and moves. Each test runs on each backend of the system.
//!
//! A test whose clock does not jump waits for hours, and fails by its time limit.

mod advance;
mod holds;
mod jumps;
mod macros;
mod panics;
mod runtimes;
mod support;
