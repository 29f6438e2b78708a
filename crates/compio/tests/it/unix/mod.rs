//! Tests of unix alone.

#[cfg(all(target_os = "linux", not(compio_portable)))]
mod closed_listener;
mod fairness;
mod fs;
mod lossless;
mod open_options;
mod sigpipe;
