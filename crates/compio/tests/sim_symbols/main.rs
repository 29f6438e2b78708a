//! A binary with `override_libc`. The tests have the prefix `symbols::`, by which the step `asan` excludes them.

#![cfg(target_os = "linux")]

mod symbols;

compio::sim::override_libc!();
