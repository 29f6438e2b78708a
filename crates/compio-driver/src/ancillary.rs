//! Ancillary data of messages: descriptors, credentials, and the route of a packet.
//!
//! To the kernel this is a buffer of messages, each with a header, which both sides parse. Its content
//! is as untrusted as any other bytes, with one exception: the descriptors that the kernel has created
//! for this process. The receive takes ownership of them at once, since it knows that they are new.

use std::{fmt, io, mem, net::IpAddr};

use compio_io::buf::IoBuf;

use crate::{
    credentials::UCred,
    os_calls::socket::set_option,
    sys::{
        AsFd, AsRawFd, OwnedFd,
        cmsg::{self, ALIGN, DATA_OFFSET, RIGHTS},
    },
};

/// Ancillary data, which accompanies the bytes of a message.
///
/// For a send, [`add`](Self::add) and [`add_descriptors`](Self::add_descriptors) fill it. For a receive,
/// it needs [capacity](Self::with_capacity).
///
/// ```
/// use compio::driver::ancillary::{AncillaryData, PacketInfo, SocketAncillary};
///
/// let mut ancillary = SocketAncillary::new();
/// let address = "::1".parse().unwrap();
/// let from = AncillaryData::PacketInfo(PacketInfo { address, interface: 0 });
/// ancillary.add(from).unwrap();
/// assert_eq!(ancillary.messages().collect::<Vec<_>>(), [from]);
/// ```
#[derive(Default)]
pub struct SocketAncillary {
    bytes: Vec<u8>,
    /// The descriptors whose numbers are in the bytes.
    descriptors: Vec<OwnedFd>,
    is_truncated: bool,
}

/// A piece of ancillary data, besides descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AncillaryData<'a> {
    /// The destination of a received datagram, or the source of a sent one. Received if
    /// `UdpSocket::set_recv_packet_info` has enabled it.
    ///
    /// # Platform differences
    ///
    /// macOS and FreeBSD do not support it for IPv4.
    PacketInfo(PacketInfo),
    /// The type of service of an IPv4 packet (`IP_TOS`); its two lowest bits are ECN. Received if
    /// `UdpSocket::set_recv_tos_v4` has enabled it.
    ///
    /// # Platform differences
    ///
    /// Windows allows a program to set only the two lowest bits.
    Tos(u8),
    /// The traffic class of an IPv6 packet (`IPV6_TCLASS`); its two lowest bits are ECN. Received if
    /// `UdpSocket::set_recv_tclass_v6` has enabled it.
    ///
    /// # Platform differences
    ///
    /// As for [`Tos`](Self::Tos).
    TrafficClass(u8),
    /// The length of each datagram, in bytes, if one buffer holds several. The last may be shorter.
    /// Received if `UdpSocket::set_gro` has enabled it. If it is missing, and nothing was
    /// [truncated](SocketAncillary::truncated), the buffer holds one datagram.
    ///
    /// # Platform differences
    ///
    /// Linux and Windows only.
    SegmentSize(u16),
    /// The credentials of a Unix socket's sender. Received if `set_passcred` has enabled it.
    ///
    /// # Platform differences
    ///
    /// Linux only.
    Credentials(UCred),
    /// Anything else.
    Other {
        /// The protocol level (`cmsg_level`).
        level: i32,
        /// The type of the message (`cmsg_type`).
        kind: i32,
        /// The data, in the system's format.
        data: &'a [u8],
    },
}

/// The local interface and address: the destination of a received packet, or the source of a sent one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PacketInfo {
    /// The local address; for a received packet its destination address.
    pub address: IpAddr,
    /// The interface's index, or 0 for any.
    pub interface: u32,
}

/// One message in the system's format.
pub(crate) struct Encoded {
    pub(crate) level: i32,
    pub(crate) kind: i32,
    bytes: [u8; 20],
    len: usize,
}

impl Encoded {
    pub(crate) fn new(level: i32, kind: i32, parts: &[&[u8]]) -> Self {
        let mut bytes = [0; 20];
        let mut len = 0;
        for part in parts {
            bytes[len..len + part.len()].copy_from_slice(part);
            len += part.len();
        }
        Self {
            level,
            kind,
            bytes,
            len,
        }
    }

    pub(crate) fn data(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl SocketAncillary {
    /// Ancillary data without messages and without capacity.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ancillary data without messages, and with a capacity in bytes, headers included: see
    /// [`space`](Self::space).
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
            ..Self::default()
        }
    }

    /// The size in bytes of a message with `data_len` bytes of data.
    ///
    /// A descriptor has 4 bytes of data, other messages up to 20.
    pub const fn space(data_len: usize) -> usize {
        DATA_OFFSET + data_len.next_multiple_of(ALIGN)
    }

    /// The capacity in bytes.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The length of the messages in bytes, headers included.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no message.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether received data exceeded the capacity. The excess is lost, and descriptors in it are
    /// closed.
    pub fn truncated(&self) -> bool {
        self.is_truncated
    }

    /// Drops the data, and closes the descriptors.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.descriptors.clear();
        self.is_truncated = false;
    }

    /// Adds a message to be sent.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported) if the system has no such message.
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if it is a message of descriptors (`SCM_RIGHTS`).
    pub fn add(&mut self, data: AncillaryData<'_>) -> io::Result<()> {
        if let AncillaryData::Other { level, kind, data } = data {
            if Some((level, kind)) == RIGHTS {
                let error = "descriptors cannot be added by number: use `add_descriptors`";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
            }
            self.push(level, kind, data);
            return Ok(());
        }
        let encoded = cmsg::encode(&data).ok_or(io::ErrorKind::Unsupported)?;
        self.push(encoded.level, encoded.kind, encoded.data());
        Ok(())
    }

    /// Adds descriptors to be sent over a Unix socket. The receiver gets new descriptors of the same
    /// files. The added ones are closed with the `SocketAncillary`, which the send returns.
    ///
    /// They need a message of at least one byte.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported) on Windows. The descriptors are closed.
    pub fn add_descriptors(
        &mut self,
        descriptors: impl IntoIterator<Item = OwnedFd>,
    ) -> io::Result<()> {
        let (level, kind) = RIGHTS.ok_or(io::ErrorKind::Unsupported)?;
        let before = self.descriptors.len();
        self.descriptors.extend(descriptors);
        let added = &self.descriptors[before..];
        let numbers: Vec<u8> = added
            .iter()
            .flat_map(|fd| cmsg::number(fd.as_raw_fd()))
            .collect();
        self.push(level, kind, &numbers);
        Ok(())
    }

    /// The messages, except messages with descriptors.
    pub fn messages(&self) -> impl Iterator<Item = AncillaryData<'_>> {
        let is_rights = |data: &AncillaryData<'_>| matches!(data, AncillaryData::Other { level, kind, .. } if Some((*level, *kind)) == RIGHTS);
        parse(&self.bytes).filter(move |data| !is_rights(data))
    }

    /// The received descriptors, or the descriptors to send.
    pub fn descriptors(&self) -> &[OwnedFd] {
        &self.descriptors
    }

    /// Takes the received descriptors. They are closed on exec.
    ///
    /// It also takes descriptors that were added for a send. Their messages are removed and not sent.
    pub fn take_descriptors(&mut self) -> Vec<OwnedFd> {
        let taken = mem::take(&mut self.descriptors);
        if !taken.is_empty() {
            // The bytes have their numbers, which other files may soon get.
            self.forget_numbers();
        }
        taken
    }

    fn forget_numbers(&mut self) {
        let bytes = mem::take(&mut self.bytes);
        let mut kept = Self::with_capacity(bytes.capacity());
        for message in Messages(&bytes) {
            if Some((message.level, message.kind)) != RIGHTS {
                kept.push(message.level, message.kind, message.data);
            }
        }
        self.bytes = mem::take(&mut kept.bytes);
    }

    fn push(&mut self, level: i32, kind: i32, data: &[u8]) {
        let start = self.bytes.len();
        self.bytes
            .extend_from_slice(&cmsg::header(data.len(), level, kind));
        self.bytes.resize(start + DATA_OFFSET, 0);
        self.bytes.extend_from_slice(data);
        self.bytes.resize(start + Self::space(data.len()), 0);
    }

    /// The cleared buffer, for a receive.
    pub(crate) fn into_room(mut self) -> Vec<u8> {
        self.clear();
        mem::take(&mut self.bytes)
    }

    /// Received bytes, with ownership of the descriptors in them.
    ///
    /// # Safety
    ///
    /// The kernel has written the bytes for a receive, and no code has taken the descriptors in them yet.
    pub(crate) unsafe fn adopt(bytes: Vec<u8>, is_truncated: bool) -> Self {
        let mut descriptors = Vec::new();
        for message in Messages(&bytes) {
            if Some((message.level, message.kind)) == RIGHTS {
                // SAFETY: they are new, by this function's contract.
                descriptors.extend(unsafe { cmsg::own_all(message.data) });
            }
        }
        Self {
            bytes,
            descriptors,
            is_truncated,
        }
    }
}

/// For the fuzzer, which replaces the kernel.
#[cfg(fuzzing)]
impl SocketAncillary {
    /// Received data: any bytes, and descriptors whose numbers are not in the bytes.
    #[doc(hidden)]
    pub fn made_of(bytes: &[u8], descriptors: Vec<OwnedFd>) -> Self {
        Self {
            bytes: bytes.to_vec(),
            descriptors,
            is_truncated: false,
        }
    }
}

impl fmt::Debug for SocketAncillary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketAncillary")
            .field("messages", &self.messages().collect::<Vec<_>>())
            .field("descriptors", &self.descriptors)
            .field("truncated", &self.is_truncated)
            .finish_non_exhaustive()
    }
}

// SAFETY: `Vec<u8>` fulfils the same contract, and this type delegates to it.
unsafe impl IoBuf for SocketAncillary {
    fn as_init(&self) -> &[u8] {
        &self.bytes
    }

    fn buf_capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

/// The messages in the system's format, also those with descriptors.
pub(crate) fn parse(bytes: &[u8]) -> impl Iterator<Item = AncillaryData<'_>> {
    Messages(bytes).map(|message| cmsg::decode(message.level, message.kind, message.data))
}

/// A message within the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Message<'a> {
    level: i32,
    kind: i32,
    data: &'a [u8],
}

/// A parser of untrusted bytes.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let (len, level, kind) = cmsg::parse_header(self.0)?;
        if len < DATA_OFFSET || self.0.len() < DATA_OFFSET {
            self.0 = &[];
            return None;
        }
        // On some systems the header of a truncated message has the full length.
        let (message, _) = self.0.split_at(len.min(self.0.len()));
        let next = len.checked_next_multiple_of(ALIGN);
        self.0 = next.and_then(|next| self.0.get(next..)).unwrap_or(&[]);
        Some(Message {
            level,
            kind,
            data: &message[DATA_OFFSET..],
        })
    }
}

/// Sets whether an IPv4 or IPv6 socket receives the [`PacketInfo`] of each datagram.
///
/// # Errors
///
/// [`Unsupported`](io::ErrorKind::Unsupported) if the system lacks the option. Otherwise the OS error of
/// setsockopt(2).
pub fn set_recv_packet_info(socket: &impl AsFd, is_ipv6: bool, on: bool) -> io::Result<()> {
    let option = if is_ipv6 {
        Some(cmsg::PACKET_INFO_V6)
    } else {
        cmsg::PACKET_INFO_V4
    };
    let (level, name) = option.ok_or(io::ErrorKind::Unsupported)?;
    set_option(socket.as_fd(), level, name, on.into())
}

/// Sets whether a UDP socket receives several datagrams of one sender as one buffer.
///
/// Their length is in the ancillary data alone ([`SegmentSize`](AncillaryData::SegmentSize)). A receive
/// without room for it, or without ancillary data, loses the boundaries between the datagrams.
///
/// # Errors
///
/// [`Unsupported`](io::ErrorKind::Unsupported) if the system lacks the option. Otherwise the OS error of
/// setsockopt(2).
pub fn set_gro(socket: &impl AsFd, on: bool) -> io::Result<()> {
    let (level, name, value) = cmsg::COALESCE.ok_or(io::ErrorKind::Unsupported)?;
    let value = if on { value } else { 0 };
    set_option(socket.as_fd(), level, name, value)
}

#[cfg(test)]
mod tests;
