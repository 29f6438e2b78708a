//! WebSocket connections over sockets, TLS and memory, with hostile peers. Foreign peers are in `cargo xtask services`.

mod cancel;
mod closing;
#[cfg(feature = "futures")]
mod futures;
mod handshake;
mod hostile;
mod messages;
mod pings;
mod support;
#[cfg(all(feature = "tls", target_os = "linux"))]
mod tls;
#[cfg(feature = "http")]
mod upgrade;
