//! The options of a socket. Sizes of buffers and the linger time have effects, the others are stored only.

use std::time::Duration;

/// The default size of each buffer of a socket.
const BUFFER: usize = 64 * 1024;

/// The limits of the size of a buffer.
const BUFFER_MIN: usize = 2 * 1024;
const BUFFER_MAX: usize = 4 * 1024 * 1024;

#[derive(Debug, Clone)]
pub(in crate::sys::simulated) struct Options {
    pub(in crate::sys::simulated) recv_buffer: usize,
    pub(in crate::sys::simulated) send_buffer: usize,
    pub(in crate::sys::simulated) linger: Option<Duration>,
    pub(in crate::sys::simulated) reuse_address: bool,
    pub(in crate::sys::simulated) reuse_port: bool,
    pub(in crate::sys::simulated) keepalive: bool,
    pub(in crate::sys::simulated) broadcast: bool,
    pub(in crate::sys::simulated) nodelay: bool,
    pub(in crate::sys::simulated) quickack: bool,
    pub(in crate::sys::simulated) ttl: u32,
    pub(in crate::sys::simulated) tos: u32,
    pub(in crate::sys::simulated) recv_tos: bool,
    pub(in crate::sys::simulated) recv_packet_info: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            recv_buffer: BUFFER,
            send_buffer: BUFFER,
            linger: None,
            reuse_address: false,
            reuse_port: false,
            keepalive: false,
            broadcast: false,
            nodelay: false,
            quickack: true,
            ttl: 64,
            tos: 0,
            recv_tos: false,
            recv_packet_info: false,
        }
    }
}

impl Options {
    /// The bytes of a stream that may be on the way: both sides of a connection have buffers of the same size.
    pub(in crate::sys::simulated) fn window(&self) -> usize {
        self.send_buffer + self.recv_buffer
    }
}

/// The size that a buffer gets on request.
pub(in crate::sys::simulated) fn bounded(size: usize) -> usize {
    size.clamp(BUFFER_MIN, BUFFER_MAX)
}
