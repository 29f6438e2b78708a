//! Sockets.

mod address;
mod split;
mod streams;
mod tcp;
mod udp;
mod unix;
