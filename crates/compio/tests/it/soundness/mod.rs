//! Known faults of completion-based runtimes that lose data, memory or descriptors. Each has one or more
//! tests, named after its number in `docs/soundness.md`. Tests that count all descriptors of a process
//! are in the binary `descriptors`.

mod bursts;
mod descriptors;
mod handover;
mod home;
mod memory;
#[cfg(unix)]
mod modes;
mod no_runtime;
mod outer_loop;
mod outside;
mod panics;
mod polled_writes;
mod pool;
mod receives;
mod reentrancy;
mod reuse;
mod shutdown;
mod two_runtimes;
#[cfg(unix)]
mod unix;
mod unpolled;
mod wakes;
#[cfg(target_os = "linux")]
mod whole_files;
mod writes;
