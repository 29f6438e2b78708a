//! Kernels that refuse, interrupt and overflow, and readiness on unix. The head of each file names
//! its rows.

#[cfg(all(target_os = "linux", not(compio_portable)))]
mod fuse;
#[cfg(all(target_os = "linux", not(compio_portable)))]
mod polls;
mod readiness;
#[cfg(all(target_os = "linux", not(compio_portable)))]
mod refusals;
#[cfg(all(target_os = "linux", not(compio_portable)))]
mod replays;
#[cfg(all(target_os = "linux", not(compio_portable)))]
mod selection;
#[cfg(all(target_os = "linux", not(compio_portable)))]
mod storms;
