//! Exhausted resources, and the bounds that the documentation names.
//!
//! Each test runs in a separate process: this program calls itself for one test (`support`). So a limit
//! affects no other test, and descriptors and memory can be counted.
#![cfg(target_os = "linux")]

mod ahead;
mod descriptors;
mod locked_memory;
mod peers;
mod signals;
mod support;
mod threads;
mod users;
