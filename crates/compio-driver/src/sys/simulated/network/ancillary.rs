//! Ancillary data of UDP: sources, destinations, types of service, and several datagrams in one send.

use std::net::IpAddr;

use libc::{EINVAL, ENOSYS};

use super::Datagram;
use crate::{
    ancillary::{AncillaryData, PacketInfo, parse},
    sys::{
        cmsg::{COALESCE, PACKET_INFO_V4, PACKET_INFO_V6},
        simulated::{descriptors::SocketId, world::State},
    },
};

/// The indexes of the interfaces of each host.
const LOOPBACK_INDEX: u32 = 1;
const NETWORK_INDEX: u32 = 2;

/// The ancillary data of a send.
#[derive(Debug, Default)]
pub(super) struct SendData {
    pub(super) source: Option<IpAddr>,
    pub(super) tos: Option<u8>,
    /// The length of each datagram, if there are several.
    pub(super) segment: Option<usize>,
}

impl SendData {
    /// ENOSYS for a message of another kind.
    pub(super) fn of(control: &[u8]) -> Result<Self, i32> {
        let mut data = Self::default();
        for message in parse(control) {
            match message {
                AncillaryData::PacketInfo(info) => data.source = Some(info.address),
                AncillaryData::Tos(tos) | AncillaryData::TrafficClass(tos) => data.tos = Some(tos),
                AncillaryData::SegmentSize(0) => return Err(EINVAL),
                AncillaryData::SegmentSize(size) => data.segment = Some(size.into()),
                AncillaryData::Credentials(_) | AncillaryData::Other { .. } => return Err(ENOSYS),
            }
        }
        Ok(data)
    }
}

impl State {
    /// Sets an option of ancillary data. Datagrams are never coalesced.
    pub(in crate::sys::simulated) fn set_ancillary_option(
        &mut self,
        id: SocketId,
        option: (i32, i32),
        is_on: bool,
    ) -> Result<(), i32> {
        let (options, _) = self.options_mut(id)?;
        if Some(option) == PACKET_INFO_V4 || option == PACKET_INFO_V6 {
            options.recv_packet_info = is_on;
            return Ok(());
        }
        let is_coalesce = COALESCE.is_some_and(|(level, name, _)| option == (level, name));
        if is_coalesce { Ok(()) } else { Err(ENOSYS) }
    }

    /// The ancillary data of a received datagram.
    pub(super) fn ancillary_of(
        &self,
        id: SocketId,
        datagram: &Datagram,
    ) -> impl Iterator<Item = AncillaryData<'static>> + use<> {
        let socket = &self.network.sockets[id];
        let address = datagram.address.ip();
        let is_local = self.host_of(socket.host, datagram.from.ip()) == Some(socket.host);
        let interface = if is_local {
            LOOPBACK_INDEX
        } else {
            NETWORK_INDEX
        };
        let info = AncillaryData::PacketInfo(PacketInfo { address, interface });
        let tos = match address {
            IpAddr::V4(_) => AncillaryData::Tos(datagram.tos),
            IpAddr::V6(_) => AncillaryData::TrafficClass(datagram.tos),
        };
        let wanted = [
            (socket.options.recv_packet_info, info),
            (socket.options.recv_tos, tos),
        ];
        let wanted = wanted.into_iter();
        wanted.filter_map(|(is_wanted, data)| is_wanted.then_some(data))
    }
}
