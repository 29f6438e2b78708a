//! The settings of a connection.

use std::time::Duration;

use tungstenite::protocol::WebSocketConfig;

/// The read buffer of the protocol, in bytes. A frame that is longer gets a buffer of its length.
const READ_BUFFER: usize = 4 * 1024;

/// The limit of control frames that wait inside of the protocol, in bytes. A later pong replaces an earlier one.
pub(crate) const CONTROL_MAX: usize = 512;

/// The limits of a connection.
///
/// ```
/// use std::time::Duration;
///
/// use compio_ws::Config;
///
/// let config = Config::new()
///     .max_message_size(64 * 1024)
///     .max_frame_size(16 * 1024)
///     .close_timeout(Duration::from_secs(2));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Config {
    max_message_size: usize,
    max_frame_size: usize,
    pub(crate) max_head_size: usize,
    pub(crate) handshake_timeout: Duration,
    pub(crate) close_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    /// The defaults: messages and frames of 16 MiB, 16 KiB for the head of the handshake, 30 seconds for the
    /// handshake, and 10 seconds for the end.
    pub fn new() -> Self {
        Self {
            max_message_size: 16 << 20,
            max_frame_size: 16 << 20,
            max_head_size: 16 << 10,
            handshake_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(10),
        }
    }

    /// The maximum length of a received message, in bytes: the sum of its fragments. A longer one closes the
    /// connection with the code 1009.
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.max_message_size = bytes;
        self
    }

    /// The maximum payload of a received frame, in bytes. A longer one closes the connection with the code 1009 as
    /// soon as its header has arrived.
    ///
    /// Address space for the whole payload is reserved after the header. Its pages are used as bytes arrive.
    pub fn max_frame_size(mut self, bytes: usize) -> Self {
        self.max_frame_size = bytes;
        self
    }

    /// The maximum length of the HTTP head of the peer's handshake, in bytes.
    pub fn max_head_size(mut self, bytes: usize) -> Self {
        self.max_head_size = bytes;
        self
    }

    /// The time limit of the opening handshake, including the connection of `connect`.
    pub fn handshake_timeout(mut self, limit: Duration) -> Self {
        self.handshake_timeout = limit;
        self
    }

    /// The time limit of [`WebSocket::close`](crate::WebSocket::close).
    pub fn close_timeout(mut self, limit: Duration) -> Self {
        self.close_timeout = limit;
        self
    }

    pub(crate) fn protocol(&self) -> WebSocketConfig {
        WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(CONTROL_MAX)
            .max_message_size(Some(self.max_message_size))
            .max_frame_size(Some(self.max_frame_size))
    }
}
