//! Where the lock comes from: std, or the model checker loom under `--cfg loom`.

#[cfg(not(loom))]
pub(super) use std::sync::{Arc, Mutex, MutexGuard};

#[cfg(loom)]
pub(super) use loom::sync::{Arc, Mutex, MutexGuard};
