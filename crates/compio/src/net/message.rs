//! Received datagrams with sender and ancillary data.

/// Length, sender and completeness of a received datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceivedMessage<A> {
    /// How many bytes were received.
    pub len: usize,
    /// The address of the sender.
    pub address: A,
    /// Whether the datagram was longer than the buffers; the rest is lost. For ancillary data see
    /// [`SocketAncillary::truncated`](super::SocketAncillary::truncated).
    pub truncated: bool,
}
