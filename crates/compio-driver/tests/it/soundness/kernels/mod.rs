//! Kernels that refuse, interrupt and overflow, and what only unix knows of readiness: each file says
//! which ones.

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
