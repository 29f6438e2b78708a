//! Readiness of descriptors that have no type of their own.

#[cfg(target_os = "linux")]
mod linux;
mod sockets;
mod support;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;
