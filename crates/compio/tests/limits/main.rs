//! What happens where a resource ends, and how far each bound goes that the documentation names.
//!
//! Each test runs in a process of its own: this program calls itself for one test (`support`). So a
//! limit concerns nobody else, and descriptors and memory can be counted.
#![cfg(target_os = "linux")]

mod ahead;
mod descriptors;
mod locked_memory;
mod peers;
mod signals;
mod support;
mod threads;
