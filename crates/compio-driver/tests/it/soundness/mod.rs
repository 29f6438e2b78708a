//! Known ways in which a completion-based runtime loses data, memory or descriptors. Each has at
//! least one test, named after its number in `docs/soundness.md`. Tests that count all descriptors
//! of the process are in the binary `descriptors`.

#[cfg(unix)]
mod buffers;
#[cfg(all(target_os = "linux", not(compio_portable)))]
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
#[cfg(all(target_os = "linux", not(compio_portable)))]
mod slow_files;
#[cfg(all(target_os = "linux", not(compio_portable)))]
pub(crate) mod splice_ends;
#[cfg(unix)]
mod unix;
mod unpolled;
pub(crate) mod wakes;
mod writes;
