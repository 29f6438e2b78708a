//! The network: packets between hosts, with latencies from the seed.
//!
//! `socket.rs` has the state of sockets, their ports and their end. `requests.rs` executes requests, `connection.rs`
//! the packets of TCP, `datagram.rs` those of UDP, `options.rs` has the options.
//!
//! A packet is an [`Event`] in the queue of the world, also between two sockets of one host. A
//! socket never changes another one directly.

mod connection;
mod datagram;
mod options;
mod requests;
mod socket;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

pub(super) use self::{
    options::{Options, bounded},
    socket::{End, Queue, Socket},
};
use super::{
    descriptors::SocketId,
    events::Event,
    rng::Rng,
    trace::Mark,
    world::{HostId, State},
};

/// The time of a packet between two sockets of one host.
const LOOPBACK: Duration = Duration::from_micros(20);

/// A packet.
#[derive(Debug)]
pub(super) enum Signal {
    /// The begin of a connection.
    Syn {
        to: HostId,
        address: SocketAddr,
        client: SocketId,
        /// The client gives up then.
        deadline: Duration,
    },
    /// The server's side of a connection exists.
    Established {
        client: SocketId,
        server: SocketId,
    },
    /// No socket listens at the address.
    Refused {
        client: SocketId,
    },
    /// No host has answered.
    ConnectTimeout {
        client: SocketId,
    },
    Data {
        to: SocketId,
        from: SocketId,
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
    Datagram {
        to: HostId,
        address: SocketAddr,
        from: SocketAddr,
        sender: SocketId,
        bytes: Vec<u8>,
    },
    /// No socket has taken a datagram.
    Unreachable {
        sender: SocketId,
    },
}

pub(super) struct Network {
    rng: Rng,
    latency: RangeInclusive<Duration>,
    pub(super) sockets: BTreeMap<SocketId, Socket>,
    made: SocketId,
    /// The bound sockets by host, protocol and port.
    bound: BTreeMap<(HostId, Protocol, u16), Vec<SocketId>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Protocol {
    Tcp,
    Udp,
}

impl Network {
    pub(super) fn new(rng: Rng, latency: RangeInclusive<Duration>) -> Self {
        Self {
            rng,
            latency,
            sockets: BTreeMap::new(),
            made: 0,
            bound: BTreeMap::new(),
        }
    }

    /// The time of the next packet between two hosts.
    fn latency(&mut self, is_local: bool) -> Duration {
        if is_local {
            return LOOPBACK;
        }
        let (min, max) = (*self.latency.start(), *self.latency.end());
        let range = max.saturating_sub(min).as_nanos() as u64;
        min + Duration::from_nanos(self.rng.below(range.saturating_add(1)))
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

    /// Sends a packet that may overtake others.
    fn send_signal(&mut self, is_local: bool, signal: Signal) {
        let at = self.now + self.network.latency(is_local);
        self.events.add(at, Event::Network(signal));
    }

    /// A packet arrives.
    pub(super) fn deliver(&mut self, signal: Signal) {
        let (kind, socket) = match &signal {
            Signal::Syn { client, .. } => (1, *client),
            Signal::Established { client, .. } => (2, *client),
            Signal::Refused { client } => (3, *client),
            Signal::ConnectTimeout { client } => (4, *client),
            Signal::Data { to, .. } => (5, *to),
            Signal::Credit { to, .. } => (6, *to),
            Signal::Fin { to } => (7, *to),
            Signal::Reset { to } => (8, *to),
            Signal::Datagram { sender, .. } => (9, *sender),
            Signal::Unreachable { sender } => (10, *sender),
        };
        self.note(Mark::Event, &[kind, socket]);
        self.say_packet(&signal);
        match signal {
            Signal::Syn {
                to,
                address,
                client,
                deadline,
            } => self.on_syn(to, address, client, deadline),
            Signal::Established { client, server } => self.on_established(client, server),
            Signal::Refused { client } => self.on_connect_failed(client, libc::ECONNREFUSED),
            Signal::ConnectTimeout { client } => self.on_connect_failed(client, libc::ETIMEDOUT),
            Signal::Data { to, from, bytes } => self.on_data(to, from, bytes),
            Signal::Credit { to, len } => self.on_credit(to, len),
            Signal::Fin { to } => self.on_fin(to),
            Signal::Reset { to } => self.on_reset(to),
            Signal::Datagram {
                to,
                address,
                from,
                sender,
                bytes,
            } => self.on_datagram(to, address, from, sender, bytes),
            Signal::Unreachable { sender } => self.on_unreachable(sender),
        }
    }
}
