//! Tests of the console: screens against files, keys, and the connection over real sockets.

#[cfg(unix)]
mod binary;
#[cfg(unix)]
mod client;
#[cfg(unix)]
mod fake;
mod keys;
#[cfg(unix)]
mod malformed;
mod screens;
mod support;
#[cfg(unix)]
mod tmux;
