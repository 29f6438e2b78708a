//! Atomics, cells and locks: std's, or loom's under `--cfg loom`.
//!
//! Loom's `Cell` reports every access that is not ordered after the previous one. So the loom tests
//! also check that state of the home thread stays there.

#[cfg(not(loom))]
pub(crate) use std::{
    cell::Cell,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering},
    },
};

#[cfg(loom)]
pub(crate) use loom::{
    cell::Cell,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering},
    },
};
