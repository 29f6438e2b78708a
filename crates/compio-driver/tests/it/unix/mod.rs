//! Tests for unix, or for Linux: each file says which.

mod backlog;
mod connects;
mod edges;
pub(crate) mod fifos;
mod fs;
mod half_closed;
mod net;
pub(crate) mod numbers;
mod outer_driver;
#[cfg(all(target_os = "linux", not(compio_portable)))]
mod raw;
mod readiness;
#[cfg(all(target_os = "linux", not(compio_portable)))]
mod ring;
#[cfg(all(target_os = "linux", not(compio_portable)))]
pub(crate) mod selection;
#[cfg(all(target_os = "linux", not(compio_portable)))]
mod splices;
mod streams;
pub(crate) mod terminals;
mod threadless;
#[cfg(target_os = "linux")]
mod tun;

/// Whether a ring must not use this opcode. Then a pool thread executes the operation, and cannot
/// be interrupted.
pub(crate) fn is_done_without(name: &str) -> bool {
    std::env::var("COMPIO_URING_WITHOUT").is_ok_and(|names| names.contains(name))
}
