//! Kernels that refuse, interrupt and overflow, and readiness on unix. The head of each file names
//! its rows.

#[cfg(target_os = "linux")]
mod fuse;
#[cfg(target_os = "linux")]
mod polls;
mod readiness;
#[cfg(target_os = "linux")]
mod refusals;
#[cfg(target_os = "linux")]
mod replays;
#[cfg(target_os = "linux")]
mod selection;
#[cfg(target_os = "linux")]
mod storms;
