//! What goes beside the bytes of a message: descriptors, credentials, how a packet came and shall
//! go.
//!
//! To the kernel this is a buffer of messages, each with a header, which both sides take apart. What
//! lies in it is no more trusted than any other bytes, but for one thing: which descriptors the
//! kernel has made for us. So these are taken out at once, by the receive, which knows that they are
//! new.

use std::{fmt, io, mem, net::IpAddr};

use compio_io::buf::IoBuf;

use crate::{
    credentials::UCred,
    sys::{
        self, AsFd, AsRawFd, OwnedFd,
        cmsg::{self, ALIGN, DATA_OFFSET, RIGHTS},
    },
};

/// Ancillary data: what goes beside the bytes of a message.
///
/// It is filled by [`add`](Self::add) and [`add_descriptors`](Self::add_descriptors) to be sent, or
/// has [room](Self::with_capacity) to be received into.
///
/// ```
/// use compio_driver::ancillary::{AncillaryData, PacketInfo, SocketAncillary};
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
    /// Those that the bytes name.
    descriptors: Vec<OwnedFd>,
    is_truncated: bool,
}

/// A piece of ancillary data, besides descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AncillaryData<'a> {
    /// Where a datagram came to, or shall come from. Received if
    /// `UdpSocket::set_recv_packet_info` asked for it.
    ///
    /// # Platform differences
    ///
    /// Not of IPv4 on macOS and FreeBSD.
    PacketInfo(PacketInfo),
    /// The type of service of an IPv4 packet (`IP_TOS`); its two lowest bits are ECN. Received if
    /// `UdpSocket::set_recv_tos_v4` asked for it.
    ///
    /// # Platform differences
    ///
    /// Windows lets nothing but the two lowest bits be chosen.
    Tos(u8),
    /// The traffic class of an IPv6 packet (`IPV6_TCLASS`); its two lowest bits are ECN. Received if
    /// `UdpSocket::set_recv_tclass_v6` asked for it.
    ///
    /// # Platform differences
    ///
    /// As for [`Tos`](Self::Tos).
    TrafficClass(u8),
    /// The length of each datagram, in bytes, of several that are sent or received as one buffer.
    /// The last may be shorter. Received if `UdpSocket::set_gro` asked for it.
    ///
    /// # Platform differences
    ///
    /// On Linux and Windows.
    SegmentSize(u16),
    /// Who has sent a message of a Unix socket. Received if `set_passcred` asked for it.
    ///
    /// # Platform differences
    ///
    /// On Linux.
    Credentials(UCred),
    /// Anything else.
    Other {
        /// The protocol that it belongs to.
        level: i32,
        /// What it is.
        kind: i32,
        /// In the system's format.
        data: &'a [u8],
    },
}

/// The interface and the address of this machine that a packet came to, or shall come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PacketInfo {
    /// Of a received packet, the address that it was sent to.
    pub address: IpAddr,
    /// The interface's index, or 0 for any.
    pub interface: u32,
}

/// The data of one message, as the system has it.
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
    /// No data, and no room.
    pub fn new() -> Self {
        Self::default()
    }

    /// No data, and room for so many bytes of messages with their headers: see
    /// [`space`](Self::space).
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
            ..Self::default()
        }
    }

    /// How many bytes a message takes that has so many bytes of data.
    ///
    /// The data of a descriptor has 4 bytes, that of anything else up to 20.
    pub const fn space(data_len: usize) -> usize {
        DATA_OFFSET + data_len.next_multiple_of(ALIGN)
    }

    /// How many bytes there is room for.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// How many bytes the messages have, with their headers.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no message.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether something was received that there was no room for. It is lost; descriptors among it
    /// are closed.
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
    /// [`Unsupported`](io::ErrorKind::Unsupported) if the system does not have it;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if it names descriptors by number.
    pub fn add(&mut self, data: AncillaryData<'_>) -> io::Result<()> {
        if let AncillaryData::Other { level, kind, data } = data {
            if Some((level, kind)) == RIGHTS {
                let error = "descriptors are added as such";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
            }
            self.push(level, kind, data);
            return Ok(());
        }
        let encoded = cmsg::encode(&data).ok_or(io::ErrorKind::Unsupported)?;
        self.push(encoded.level, encoded.kind, encoded.data());
        Ok(())
    }

    /// Adds descriptors to be sent over a Unix socket. The receiver gets others of the same files;
    /// these are closed with the `SocketAncillary`, which the send gives back.
    ///
    /// They go with the bytes of the message, of which there has to be at least one.
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

    /// The messages, without those that carried descriptors.
    pub fn messages(&self) -> impl Iterator<Item = AncillaryData<'_>> {
        Messages(&self.bytes)
            .filter(|message| Some((message.level, message.kind)) != RIGHTS)
            .map(|message| cmsg::decode(message.level, message.kind, message.data))
    }

    /// The descriptors that were received, or are to be sent.
    pub fn descriptors(&self) -> &[OwnedFd] {
        &self.descriptors
    }

    /// Takes the descriptors that were received. They are closed on exec.
    ///
    /// Those that are to be sent come out, too: what is then sent has neither messages nor
    /// descriptors any more.
    pub fn take_descriptors(&mut self) -> Vec<OwnedFd> {
        let taken = mem::take(&mut self.descriptors);
        if !taken.is_empty() {
            // They are named in it by number, which soon may be another's.
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

    /// The room, emptied, for a receive.
    pub(crate) fn into_room(mut self) -> Vec<u8> {
        self.clear();
        mem::take(&mut self.bytes)
    }

    /// What was received, and the descriptors in it.
    ///
    /// # Safety
    ///
    /// The kernel has written the bytes in answer to a receive, and nobody has looked for descriptors
    /// in them yet.
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

/// For the fuzzer, which is no kernel.
#[cfg(fuzzing)]
impl SocketAncillary {
    /// What was received: any bytes, and descriptors that they do not name.
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

// SAFETY: the vector's contract is this type's.
unsafe impl IoBuf for SocketAncillary {
    fn as_init(&self) -> &[u8] {
        &self.bytes
    }

    fn buf_capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

/// A message as it lies in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Message<'a> {
    level: i32,
    kind: i32,
    data: &'a [u8],
}

/// Takes bytes apart that may be anything.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let (len, level, kind) = cmsg::parse_header(self.0)?;
        if len < DATA_OFFSET || self.0.len() < DATA_OFFSET {
            self.0 = &[];
            return None;
        }
        // One that was cut off says its whole length on some systems.
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

/// Asks for the [`PacketInfo`] of what an IPv4 or IPv6 socket receives.
///
/// # Errors
///
/// The system's; [`Unsupported`](io::ErrorKind::Unsupported) if it does not have it.
pub fn set_recv_packet_info(socket: &impl AsFd, is_ipv6: bool, on: bool) -> io::Result<()> {
    let option = if is_ipv6 {
        Some(cmsg::PACKET_INFO_V6)
    } else {
        cmsg::PACKET_INFO_V4
    };
    let (level, name) = option.ok_or(io::ErrorKind::Unsupported)?;
    sys::set_option(socket.as_fd(), level, name, on.into())
}

/// Lets a UDP socket receive several datagrams of a sender as one buffer.
///
/// # Errors
///
/// The system's; [`Unsupported`](io::ErrorKind::Unsupported) if it does not have it.
pub fn set_gro(socket: &impl AsFd, on: bool) -> io::Result<()> {
    let (level, name, value) = cmsg::COALESCE.ok_or(io::ErrorKind::Unsupported)?;
    let value = if on { value } else { 0 };
    sys::set_option(socket.as_fd(), level, name, value)
}

#[cfg(test)]
mod tests;
