//! The ancillary data that macOS and the BSDs have in common.

use std::net::IpAddr;

use crate::ancillary::{AncillaryData, Encoded, PacketInfo};

/// Not all of them report the destination and interface of IPv4 packets.
pub(crate) const PACKET_INFO_V4: Option<(i32, i32)> = None;

/// The option that reports the destination address and interface of IPv6 packets.
pub(crate) const PACKET_INFO_V6: (i32, i32) = (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO);

/// Each receive returns one datagram.
pub(crate) const COALESCE: Option<(i32, i32, i32)> = None;

/// None if the system has no such message.
pub(crate) fn encode(data: &AncillaryData<'_>) -> Option<Encoded> {
    match *data {
        AncillaryData::PacketInfo(PacketInfo {
            address: IpAddr::V6(address),
            interface,
        }) => Some(Encoded::new(
            libc::IPPROTO_IPV6,
            libc::IPV6_PKTINFO,
            &[&address.octets(), &interface.to_ne_bytes()],
        )),
        AncillaryData::TrafficClass(class) => {
            let value = i32::from(class).to_ne_bytes();
            Some(Encoded::new(
                libc::IPPROTO_IPV6,
                libc::IPV6_TCLASS,
                &[&value],
            ))
        }
        // The systems do not agree on its length.
        AncillaryData::Tos(_)
        | AncillaryData::PacketInfo(_)
        | AncillaryData::SegmentSize(_)
        | AncillaryData::Credentials(_)
        | AncillaryData::Other { .. } => None,
    }
}

pub(crate) fn decode(level: i32, kind: i32, data: &[u8]) -> AncillaryData<'_> {
    let other = AncillaryData::Other { level, kind, data };
    match (level, kind, data) {
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, data) => packet_info(data).unwrap_or(other),
        (libc::IPPROTO_IP, libc::IP_RECVTOS, &[tos]) => AncillaryData::Tos(tos),
        (libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &[a, b, c, d]) => {
            AncillaryData::TrafficClass(i32::from_ne_bytes([a, b, c, d]) as u8)
        }
        _ => other,
    }
}

fn packet_info(data: &[u8]) -> Option<AncillaryData<'static>> {
    let (&address, rest) = data.split_first_chunk::<16>()?;
    let (&interface, _) = rest.split_first_chunk()?;
    Some(AncillaryData::PacketInfo(PacketInfo {
        address: address.into(),
        interface: u32::from_ne_bytes(interface),
    }))
}
