//! The public API of files and directories, on the real file system of every OS.

mod content;
#[cfg(unix)]
mod dir;
mod entries;
mod file;
mod lock;
mod model;
mod names;
mod paths;
mod pipe;
mod support;
