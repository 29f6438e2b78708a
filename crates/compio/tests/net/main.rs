//! Sockets on every system: TCP, UDP, Unix sockets, name resolution, multishot streams.

mod ancillary;
mod closing;
mod connect;
mod datagram_pool;
mod descriptors;
#[cfg(unix)]
mod foreign;
mod halves;
mod incoming;
mod lookup;
mod options;
#[cfg(unix)]
mod passing;
#[cfg(unix)]
mod poll_programs;
mod poll_stream;
mod recv_stream;
mod support;
mod tcp_socket;
mod transfer;
mod try_clone;
mod udp;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
mod unix_datagram;
#[cfg(unix)]
mod unix_socket;
mod zero_copy;
