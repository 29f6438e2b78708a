//! Sockets.

#[macro_use]
mod streams;
mod address;
mod connector;
mod split;
mod tcp;
mod udp;
#[cfg(unix)]
mod unix;
