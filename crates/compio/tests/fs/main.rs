//! Files and directories, as a user meets them, against the real system, on every system.

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
