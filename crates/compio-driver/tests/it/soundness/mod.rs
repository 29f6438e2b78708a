//! The ways in which a completion runtime loses data, memory or descriptors: one test or more for each,
//! named after its number in `docs/soundness.md`. What counts all descriptors of a process is in the
//! binary `descriptors`.

#[cfg(unix)]
mod buffers;
#[cfg(target_os = "linux")]
mod descriptor_types;
mod descriptors;
mod flags;
#[cfg(unix)]
mod kernels;
mod memory;
#[cfg(target_os = "linux")]
mod messages;
mod outside;
mod overflow;
mod panics;
pub(crate) mod pool;
mod provided;
#[cfg(unix)]
mod pushed;
mod readiness;
mod receives;
mod reentrancy;
mod reuse;
mod shutdown;
#[cfg(target_os = "linux")]
mod slow_files;
#[cfg(target_os = "linux")]
mod splice_ends;
#[cfg(unix)]
mod unix;
mod unpolled;
pub(crate) mod wakes;
mod writes;
