//! The ways in which a completion runtime loses data, memory or descriptors: one test or more for each,
//! named after its number in `docs/soundness.md`. What counts all descriptors of a process is in the
//! binary `descriptors`.

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
