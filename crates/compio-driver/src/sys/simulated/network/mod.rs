//! The network: packets between hosts, with latencies and faults from the seed.
//!
//! `socket.rs` has the state of sockets, their ports and their end. `requests.rs` executes requests, `connection.rs`
//! the packets of TCP, `datagram.rs` the packets of UDP, `options.rs` has the options, `ancillary.rs`
//! ancillary data.
//!
//! `links.rs` decides when a packet arrives and whether it passes, `faults.rs` has the settings. `retransmission.rs`
//! repeats the lost packets of TCP.
//!
//! A packet is an [`Event`](super::events::Event) in the queue of the world, also between two sockets of one host. A
//! socket never changes another one directly.

mod ancillary;
mod connection;
mod datagram;
mod faults;
mod links;
mod options;
mod requests;
mod retransmission;
mod socket;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

pub use self::{
    faults::{NetworkCounts, NetworkFaults},
    links::LinkState,
};
pub(super) use self::{
    links::LOOPBACK,
    options::{Options, bounded},
    socket::{End, Socket},
};
use self::{
    links::{Links, Route},
    retransmission::Sender,
};
use super::{
    descriptors::SocketId,
    injector::FaultStream,
    rng::Rng,
    table::Table,
    trace::Mark,
    world::{HostId, State},
};

/// A packet on its way.
#[derive(Debug)]
pub(super) struct Packet {
    route: Route,
    /// The socket of a connection that has sent it. 0 for other packets.
    from: SocketId,
    signal: Signal,
}

impl Packet {
    /// The socket of a connection that has sent it: its packets keep their order.
    pub(super) fn sender(&self) -> Option<SocketId> {
        (self.from != 0).then_some(self.from)
    }
}

/// The content of a packet.
#[derive(Debug)]
pub(super) enum Signal {
    /// The begin of a connection.
    Syn {
        client: SocketId,
        /// The client gives up then.
        deadline: Duration,
    },
    /// The server's side of a connection exists.
    Established {
        client: SocketId,
        server: SocketId,
        /// The client gives up then.
        deadline: Duration,
    },
    /// No socket listens at the address.
    Refused {
        client: SocketId,
        /// The client gives up then.
        deadline: Duration,
    },
    /// No host has answered.
    ConnectTimeout {
        client: SocketId,
    },
    /// No packet: a side of a connection repeats its packets.
    Retransmit {
        sender: SocketId,
        timer: u64,
    },
    Data {
        to: SocketId,
        bytes: Vec<u8>,
    },
    /// The peer has read bytes: there is room for more.
    Credit {
        to: SocketId,
        len: usize,
    },
    Fin {
        to: SocketId,
    },
    Reset {
        to: SocketId,
    },
    /// On the heap, because it is longer than the others.
    Datagram(Box<Datagram>),
    /// No socket has taken a datagram.
    Unreachable {
        sender: SocketId,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Datagram {
    pub(super) address: SocketAddr,
    pub(super) from: SocketAddr,
    /// The type of service, or the traffic class.
    tos: u8,
    sender: SocketId,
    pub(super) bytes: Vec<u8>,
}

pub(super) struct Network {
    rng: Rng,
    /// The stream of the faults: they change no draw of latencies.
    fault_stream: FaultStream,
    latency: RangeInclusive<Duration>,
    links: Links,
    /// The sides of connections that repeat packets.
    senders: BTreeMap<SocketId, Sender>,
    /// The connections that ended with the power of their host.
    vanished: BTreeSet<SocketId>,
    /// The number of timers of senders.
    timers: u64,
    pub(super) sockets: Table<Socket>,
    /// The bound sockets by host, protocol and port.
    bound: BTreeMap<(HostId, Protocol, u16), Vec<SocketId>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Protocol {
    Tcp,
    Udp,
}

impl Network {
    pub(super) fn new(
        rng: Rng,
        fault_stream: FaultStream,
        latency: RangeInclusive<Duration>,
    ) -> Self {
        Self {
            rng,
            fault_stream,
            latency,
            links: Links::default(),
            senders: BTreeMap::new(),
            vanished: BTreeSet::new(),
            timers: 0,
            sockets: Table::default(),
            bound: BTreeMap::new(),
        }
    }
}

impl State {
    /// The host that has the address, as another host sees it.
    fn host_of(&self, from: HostId, ip: IpAddr) -> Option<HostId> {
        if ip.is_loopback() || ip.is_unspecified() {
            return Some(from);
        }
        self.addresses.get(&ip).copied()
    }

    /// The address from which a host sends to `to`. `None` if it has none of that family.
    fn source_of(&self, host: HostId, to: IpAddr) -> Option<IpAddr> {
        if to.is_loopback() || to.is_unspecified() {
            return Some(match to {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            });
        }
        let own = self.hosts[host].address;
        (own.is_ipv4() == to.is_ipv4()).then_some(own)
    }

    /// A packet arrives, unless the link loses it.
    pub(super) fn deliver(&mut self, packet: Packet) {
        let (kind, socket) = match &packet.signal {
            Signal::Syn { client, .. } => (1, *client),
            Signal::Established { client, .. } => (2, *client),
            Signal::Refused { client, .. } => (3, *client),
            Signal::ConnectTimeout { client } => (4, *client),
            Signal::Data { to, .. } => (5, *to),
            Signal::Credit { to, .. } => (6, *to),
            Signal::Fin { to } => (7, *to),
            Signal::Reset { to } => (8, *to),
            Signal::Datagram(datagram) => (9, datagram.sender),
            Signal::Unreachable { sender } => (10, *sender),
            Signal::Retransmit { sender, .. } => (11, *sender),
        };
        self.note(Mark::Event, &[kind, socket]);
        self.say_packet(&packet.signal);
        match packet.signal {
            Signal::Established { .. }
            | Signal::Data { .. }
            | Signal::Credit { .. }
            | Signal::Fin { .. } => self.on_segment(packet),
            Signal::Refused { client, deadline } => {
                self.on_refused(packet.route, client, deadline);
            }
            Signal::Reset { .. } | Signal::Datagram(_) | Signal::Unreachable { .. } => {
                if matches!(packet.signal, Signal::Reset { .. }) {
                    self.network.senders.remove(&packet.from);
                }
                if let Some(packet) = self.pass(packet) {
                    self.receive_unrepeated(packet);
                }
            }
            Signal::Syn { client, deadline } => self.on_syn(packet.route, client, deadline),
            Signal::ConnectTimeout { client } => self.on_connect_failed(client, libc::ETIMEDOUT),
            Signal::Retransmit { sender, timer } => self.on_retransmit(sender, timer),
        }
    }

    /// A packet that no sender repeats has arrived.
    fn receive_unrepeated(&mut self, packet: Packet) {
        match packet.signal {
            Signal::Reset { to } => self.on_reset(to),
            Signal::Datagram(datagram) => self.on_datagram(packet.route, *datagram),
            Signal::Unreachable { sender } => self.on_unreachable(sender),
            Signal::Syn { .. }
            | Signal::Established { .. }
            | Signal::Refused { .. }
            | Signal::ConnectTimeout { .. }
            | Signal::Retransmit { .. }
            | Signal::Data { .. }
            | Signal::Credit { .. }
            | Signal::Fin { .. } => {}
        }
    }
}
