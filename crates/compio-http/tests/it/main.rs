//! The server and the client of `compio-http`, with peers of this process and with foreign ones.

#[cfg(feature = "client")]
mod client;
mod deadlines;
mod file_body;
mod http1;
#[cfg(feature = "http2")]
mod http2;
#[cfg(feature = "http2")]
mod http2_hostile;
mod paused_time;
mod shutdown;
mod support;
// The cryptography compiles C code, for which a foreign system needs a compiler of its own.
#[cfg(all(
    target_os = "linux",
    feature = "client",
    feature = "http2",
    feature = "tls"
))]
mod tls;
mod upgrade;
