//! The ancillary data of Linux.

use std::net::IpAddr;

use crate::{
    ancillary::{AncillaryData, Encoded, PacketInfo},
    credentials::UCred,
};

/// The option that reports the destination address and interface of IPv4 packets.
pub(crate) const PACKET_INFO_V4: Option<(i32, i32)> = Some((libc::IPPROTO_IP, libc::IP_PKTINFO));

/// The same for IPv6.
pub(crate) const PACKET_INFO_V6: (i32, i32) = (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO);

/// The option and the value that coalesce several datagrams into one receive.
pub(crate) const COALESCE: Option<(i32, i32, i32)> = Some((libc::SOL_UDP, libc::UDP_GRO, 1));

/// None if the system has no such message.
pub(crate) fn encode(data: &AncillaryData<'_>) -> Option<Encoded> {
    Some(match *data {
        AncillaryData::PacketInfo(PacketInfo { address, interface }) => match address {
            IpAddr::V4(address) => Encoded::new(
                libc::IPPROTO_IP,
                libc::IP_PKTINFO,
                // The interface, the local address, and the destination in the packet's header.
                &[&interface.to_ne_bytes(), &address.octets(), &[0; 4]],
            ),
            IpAddr::V6(address) => Encoded::new(
                libc::IPPROTO_IPV6,
                libc::IPV6_PKTINFO,
                &[&address.octets(), &interface.to_ne_bytes()],
            ),
        },
        AncillaryData::Tos(tos) => {
            let value = i32::from(tos).to_ne_bytes();
            Encoded::new(libc::IPPROTO_IP, libc::IP_TOS, &[&value])
        }
        AncillaryData::TrafficClass(class) => {
            let value = i32::from(class).to_ne_bytes();
            Encoded::new(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &[&value])
        }
        AncillaryData::SegmentSize(size) => {
            Encoded::new(libc::SOL_UDP, libc::UDP_SEGMENT, &[&size.to_ne_bytes()])
        }
        AncillaryData::Credentials(UCred { uid, gid, pid }) => Encoded::new(
            libc::SOL_SOCKET,
            libc::SCM_CREDENTIALS,
            &[
                &pid.unwrap_or(0).to_ne_bytes(),
                &uid.to_ne_bytes(),
                &gid.to_ne_bytes(),
            ],
        ),
        AncillaryData::Other { .. } => return None,
    })
}

pub(crate) fn decode(level: i32, kind: i32, data: &[u8]) -> AncillaryData<'_> {
    let other = AncillaryData::Other { level, kind, data };
    match (level, kind, data) {
        (libc::IPPROTO_IP, libc::IP_PKTINFO, data) => packet_info_v4(data).unwrap_or(other),
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, data) => packet_info_v6(data).unwrap_or(other),
        (libc::IPPROTO_IP, libc::IP_TOS, &[tos]) => AncillaryData::Tos(tos),
        (libc::IPPROTO_IP, libc::IP_TOS, &[a, b, c, d]) => {
            AncillaryData::Tos(i32::from_ne_bytes([a, b, c, d]) as u8)
        }
        (libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &[a, b, c, d]) => {
            AncillaryData::TrafficClass(i32::from_ne_bytes([a, b, c, d]) as u8)
        }
        (libc::SOL_UDP, libc::UDP_SEGMENT, &[a, b]) => {
            AncillaryData::SegmentSize(u16::from_ne_bytes([a, b]))
        }
        (libc::SOL_UDP, libc::UDP_GRO, &[a, b, c, d]) => {
            AncillaryData::SegmentSize(i32::from_ne_bytes([a, b, c, d]) as u16)
        }
        (libc::SOL_SOCKET, libc::SCM_CREDENTIALS, data) => credentials(data).unwrap_or(other),
        _ => other,
    }
}

fn packet_info_v4(data: &[u8]) -> Option<AncillaryData<'static>> {
    let (&interface, rest) = data.split_first_chunk()?;
    let (&local, rest) = rest.split_first_chunk::<4>()?;
    let (&header, _) = rest.split_first_chunk::<4>()?;
    // A message to be sent has no packet header yet.
    let address = if header == [0; 4] { local } else { header };
    Some(AncillaryData::PacketInfo(PacketInfo {
        address: address.into(),
        interface: u32::from_ne_bytes(interface),
    }))
}

fn packet_info_v6(data: &[u8]) -> Option<AncillaryData<'static>> {
    let (&address, rest) = data.split_first_chunk::<16>()?;
    let (&interface, _) = rest.split_first_chunk()?;
    Some(AncillaryData::PacketInfo(PacketInfo {
        address: address.into(),
        interface: u32::from_ne_bytes(interface),
    }))
}

fn credentials(data: &[u8]) -> Option<AncillaryData<'static>> {
    let (&pid, rest) = data.split_first_chunk()?;
    let (&uid, rest) = rest.split_first_chunk()?;
    let (&gid, _) = rest.split_first_chunk()?;
    let pid = i32::from_ne_bytes(pid);
    Some(AncillaryData::Credentials(UCred {
        uid: u32::from_ne_bytes(uid),
        gid: u32::from_ne_bytes(gid),
        pid: (pid > 0).then_some(pid),
    }))
}
