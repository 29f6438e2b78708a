//! The lock: std's, or loom's under `--cfg loom`.

#[cfg(not(loom))]
pub(super) use std::sync::{Arc, Mutex, MutexGuard};

#[cfg(loom)]
pub(super) use loom::sync::{Arc, Mutex, MutexGuard};
