//! Tests of the console: screens against files, keys, and the connection over real sockets.

#[cfg(unix)]
mod fake;
mod keys;
#[cfg(unix)]
mod on_sockets;
mod screens;
mod support;
