//! The public API of files and directories, on the real file system of every OS.

mod content;
#[cfg(unix)]
mod dir;
mod direct;
#[cfg(target_os = "linux")]
mod direct_mounts;
mod entries;
mod file;
mod lock;
mod model;
mod names;
mod paths;
mod pipe;
#[cfg(all(target_os = "linux", not(compio_portable)))]
mod space;
mod support;
#[cfg(all(target_os = "linux", not(compio_portable)))]
mod write_options;
