//! The client, with the server of this crate and with peers that read and write bytes.

mod bodies;
mod draining;
mod hosts;
#[cfg(feature = "http2")]
mod http2;
#[cfg(feature = "http2")]
mod http2_race;
mod limits;
mod peer;
mod pool;
mod race;
#[cfg(feature = "tower")]
mod tower;
mod upgrade;
