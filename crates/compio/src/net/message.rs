//! Datagrams that come with more than their bytes.

/// What a datagram was received with, besides its bytes and ancillary data.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceivedMessage<A> {
    /// How many bytes were received.
    pub len: usize,
    /// Who sent them.
    pub address: A,
    /// Whether there were more, which are lost. Of ancillary data,
    /// [`SocketAncillary::truncated`](super::SocketAncillary::truncated) says that.
    pub truncated: bool,
}
