//! The layout of control messages, and their types on Windows.

use std::{iter, mem, net::IpAddr, ptr};

use windows_sys::Win32::Networking::WinSock::{
    CMSGHDR, IP_ECN, IP_PKTINFO, IP_TOS, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP, IPV6_ECN,
    IPV6_PKTINFO, IPV6_TCLASS, UDP_COALESCED_INFO, UDP_RECV_MAX_COALESCED_SIZE, UDP_SEND_MSG_SIZE,
};

use super::fd::{OwnedFd, RawFd};
use crate::ancillary::{AncillaryData, Encoded, PacketInfo};

const HEADER_LEN: usize = size_of::<CMSGHDR>();

/// The offset of a message's data.
pub(crate) const DATA_OFFSET: usize = HEADER_LEN.next_multiple_of(ALIGN);

/// The multiple to which the lengths of messages are rounded up.
pub(crate) const ALIGN: usize = align_of::<usize>();

/// No message carries handles.
pub(crate) const RIGHTS: Option<(i32, i32)> = None;

/// The option that requests the destination of IPv4 packets.
pub(crate) const PACKET_INFO_V4: Option<(i32, i32)> = Some((IPPROTO_IP, IP_PKTINFO));

/// The same for IPv6.
pub(crate) const PACKET_INFO_V6: (i32, i32) = (IPPROTO_IPV6, IPV6_PKTINFO);

/// The option for coalesced datagrams, and its value: the maximum number of bytes.
pub(crate) const COALESCE: Option<(i32, i32, i32)> =
    Some((IPPROTO_UDP, UDP_RECV_MAX_COALESCED_SIZE, u16::MAX as i32));

const COALESCED_INFO: i32 = UDP_COALESCED_INFO as i32;

/// The header of a message with so many bytes of data.
pub(crate) fn header(data_len: usize, level: i32, kind: i32) -> [u8; HEADER_LEN] {
    let header = CMSGHDR {
        cmsg_len: DATA_OFFSET + data_len,
        cmsg_level: level,
        cmsg_type: kind,
    };
    // SAFETY: the sizes are equal, and the struct consists of three integers without padding.
    unsafe { mem::transmute(header) }
}

/// The length of the message with its header, its level and its kind; none if there is no header.
pub(crate) fn parse_header(bytes: &[u8]) -> Option<(usize, i32, i32)> {
    let bytes = bytes.get(..HEADER_LEN)?;
    // SAFETY: the slice has the length of the struct of integers, for which all bytes are valid.
    let header: CMSGHDR = unsafe { ptr::read_unaligned(bytes.as_ptr().cast()) };
    Some((header.cmsg_len, header.cmsg_level, header.cmsg_type))
}

/// Nothing: see [`RIGHTS`].
pub(crate) fn number(_: RawFd) -> [u8; 0] {
    []
}

/// Nothing: see [`RIGHTS`].
///
/// # Safety
///
/// None is needed.
pub(crate) unsafe fn own_all(_: &[u8]) -> impl Iterator<Item = OwnedFd> {
    iter::empty()
}

/// None if there is no such message.
pub(crate) fn encode(data: &AncillaryData<'_>) -> Option<Encoded> {
    Some(match *data {
        AncillaryData::PacketInfo(PacketInfo { address, interface }) => match address {
            IpAddr::V4(address) => Encoded::new(
                IPPROTO_IP,
                IP_PKTINFO,
                &[&address.octets(), &interface.to_ne_bytes()],
            ),
            IpAddr::V6(address) => Encoded::new(
                IPPROTO_IPV6,
                IPV6_PKTINFO,
                &[&address.octets(), &interface.to_ne_bytes()],
            ),
        },
        // The system sets the other bits by itself.
        AncillaryData::Tos(tos @ 0..=3) => {
            Encoded::new(IPPROTO_IP, IP_ECN, &[&i32::from(tos).to_ne_bytes()])
        }
        AncillaryData::TrafficClass(class @ 0..=3) => {
            Encoded::new(IPPROTO_IPV6, IPV6_ECN, &[&i32::from(class).to_ne_bytes()])
        }
        AncillaryData::SegmentSize(size) => Encoded::new(
            IPPROTO_UDP,
            UDP_SEND_MSG_SIZE,
            &[&u32::from(size).to_ne_bytes()],
        ),
        AncillaryData::Tos(_)
        | AncillaryData::TrafficClass(_)
        | AncillaryData::Credentials(_)
        | AncillaryData::Other { .. } => return None,
    })
}

pub(crate) fn decode(level: i32, kind: i32, data: &[u8]) -> AncillaryData<'_> {
    let other = AncillaryData::Other { level, kind, data };
    match (level, kind, data) {
        (IPPROTO_IP, IP_PKTINFO, data) => packet_info::<4>(data).unwrap_or(other),
        (IPPROTO_IPV6, IPV6_PKTINFO, data) => packet_info::<16>(data).unwrap_or(other),
        (IPPROTO_IP, IP_TOS | IP_ECN, &[a, b, c, d]) => {
            AncillaryData::Tos(i32::from_ne_bytes([a, b, c, d]) as u8)
        }
        (IPPROTO_IPV6, IPV6_TCLASS | IPV6_ECN, &[a, b, c, d]) => {
            AncillaryData::TrafficClass(i32::from_ne_bytes([a, b, c, d]) as u8)
        }
        (IPPROTO_UDP, COALESCED_INFO | UDP_SEND_MSG_SIZE, &[a, b, c, d]) => {
            AncillaryData::SegmentSize(u32::from_ne_bytes([a, b, c, d]) as u16)
        }
        _ => other,
    }
}

fn packet_info<const N: usize>(data: &[u8]) -> Option<AncillaryData<'static>>
where
    IpAddr: From<[u8; N]>,
{
    let (&address, rest) = data.split_first_chunk::<N>()?;
    let (&interface, _) = rest.split_first_chunk()?;
    Some(AncillaryData::PacketInfo(PacketInfo {
        address: address.into(),
        interface: u32::from_ne_bytes(interface),
    }))
}
