//! TLS over sockets, Unix sockets and memory, with foreign peers.

mod cancel;
mod closing;
mod data;
mod early_data;
mod foreign;
mod handshake;
mod identity;
mod memory;
#[cfg(all(feature = "futures-io", feature = "hyper", feature = "tokio"))]
mod polls;
mod support;
