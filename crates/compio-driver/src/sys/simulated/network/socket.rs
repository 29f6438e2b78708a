//! The state of sockets, their ports, and their end.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use libc::{EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENOSYS};
use socket2::SockAddr;

use super::{Datagram, Options, Protocol, Signal, links::Route};
use crate::sys::simulated::{
    descriptors::SocketId,
    waiters::Waiters,
    world::{HostId, State},
};

/// The first ephemeral port, and their number.
const PORTS: (u16, u16) = (49152, 16384);

#[derive(Debug)]
pub(in crate::sys::simulated) struct Socket {
    pub(in crate::sys::simulated) host: HostId,
    pub(in crate::sys::simulated) is_v6: bool,
    pub(in crate::sys::simulated) protocol: Protocol,
    /// The number of its descriptors.
    pub(in crate::sys::simulated) handles: u32,
    pub(in crate::sys::simulated) local: Option<SocketAddr>,
    pub(in crate::sys::simulated) remote: Option<SocketAddr>,
    pub(in crate::sys::simulated) options: Options,
    /// `SO_ERROR`.
    pub(in crate::sys::simulated) error: Option<i32>,
    pub(super) role: Role,
    pub(in crate::sys::simulated) waiters: Waiters,
}

#[derive(Debug)]
pub(super) enum Role {
    Idle,
    Listener(Listener),
    Connecting,
    Stream(Stream),
    Datagram(Datagrams),
}

#[derive(Debug)]
pub(super) struct Listener {
    /// Connections that no accept has taken.
    pub(super) queue: VecDeque<SocketId>,
    pub(super) backlog: usize,
}

/// One side of a connection.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) other: SocketId,
    /// The way of its packets.
    pub(super) route: Route,
    /// Bytes that have arrived and were not read.
    pub(super) received: VecDeque<u8>,
    /// Bytes that were read, and of whose room the peer has not learnt.
    pub(super) unannounced: usize,
    /// Bytes that were sent, and of whose room this side has not learnt.
    pub(super) outstanding: usize,
    /// The arrival of the last packet that was sent: later ones do not overtake it.
    pub(super) last_arrival: Duration,
    /// Whether the connect has returned.
    pub(super) is_reported: bool,
    pub(super) has_sent_fin: bool,
    pub(super) has_got_fin: bool,
    pub(super) is_read_shut: bool,
    /// The connection has ended by a reset.
    pub(super) is_reset: bool,
}

/// Datagrams that have arrived.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    pub(super) queue: VecDeque<Datagram>,
    pub(super) bytes: usize,
}

/// The way in which a socket ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sys::simulated) enum End {
    /// By close(2).
    Close,
    /// Its peer gets a reset.
    Reset,
    /// Its peer gets nothing.
    Silence,
}

impl Socket {
    pub(super) fn new(host: HostId, is_v6: bool, protocol: Protocol) -> Self {
        Self {
            host,
            is_v6,
            protocol,
            handles: 0,
            local: None,
            remote: None,
            options: Options::default(),
            error: None,
            role: match protocol {
                Protocol::Tcp => Role::Idle,
                Protocol::Udp => Role::Datagram(Datagrams::default()),
            },
            waiters: Waiters::default(),
        }
    }

    /// Whether packets to this local address are for the socket.
    pub(super) fn takes(&self, address: IpAddr) -> bool {
        self.local.is_some_and(|local| {
            local.ip() == address
                || local.ip().is_unspecified() && (self.is_v6 || address.is_ipv4())
        })
    }
}

impl State {
    /// bind(2).
    pub(in crate::sys::simulated) fn bind_to(
        &mut self,
        id: SocketId,
        address: &SockAddr,
    ) -> Result<(), i32> {
        if self.network.sockets.get(id).is_some() {
            self.bind(id, address.as_socket().ok_or(ENOSYS)?)
        } else {
            self.bind_local(id, address)
        }
    }

    /// Binds a socket of the network.
    pub(super) fn bind(&mut self, id: SocketId, address: SocketAddr) -> Result<(), i32> {
        let socket = &self.network.sockets[id];
        let (host, protocol) = (socket.host, socket.protocol);
        if socket.local.is_some() || socket.is_v6 != address.is_ipv6() {
            return Err(EINVAL);
        }
        let ip = address.ip();
        let is_own = ip.is_unspecified() || ip.is_loopback() || ip == self.hosts[host].address;
        if !is_own {
            return Err(EADDRNOTAVAIL);
        }
        let port = match address.port() {
            0 => self.free_port(host, protocol)?,
            port => port,
        };
        if self.is_taken(id, ip, port) {
            return Err(EADDRINUSE);
        }
        let bound = self.network.bound.entry((host, protocol, port));
        bound.or_default().push(id);
        if let Some(socket) = self.network.sockets.get_mut(id) {
            socket.local = Some(SocketAddr::new(ip, port));
        }
        Ok(())
    }

    /// Binds a socket that connects or sends, unless it is bound.
    pub(super) fn bind_to_send(&mut self, id: SocketId, source: IpAddr) -> Result<(), i32> {
        let Some(local) = self.network.sockets[id].local else {
            return self.bind(id, SocketAddr::new(source, 0));
        };
        if local.ip().is_unspecified()
            && self.network.sockets[id].protocol == Protocol::Tcp
            && let Some(socket) = self.network.sockets.get_mut(id)
        {
            socket.local = Some(SocketAddr::new(source, local.port()));
        }
        Ok(())
    }

    fn free_port(&mut self, host: HostId, protocol: Protocol) -> Result<u16, i32> {
        let (first, count) = PORTS;
        for _ in 0..count {
            let next = &mut self.hosts[host].next_port;
            let port = first + *next;
            *next = (*next + 1) % count;
            if !self.network.bound.contains_key(&(host, protocol, port)) {
                return Ok(port);
            }
        }
        Err(EADDRINUSE)
    }

    fn is_taken(&self, id: SocketId, ip: IpAddr, port: u16) -> bool {
        let socket = &self.network.sockets[id];
        let bound = self
            .network
            .bound
            .get(&(socket.host, socket.protocol, port));
        bound.into_iter().flatten().any(|other| {
            let other = &self.network.sockets[*other];
            let overlaps = other.takes(ip) || ip.is_unspecified();
            overlaps && !(other.options.reuse_port && socket.options.reuse_port)
        })
    }

    /// The sockets that take packets to an address, in the order in which they were bound.
    pub(super) fn sockets_at(
        &self,
        host: HostId,
        protocol: Protocol,
        address: SocketAddr,
    ) -> Vec<SocketId> {
        let bound = self.network.bound.get(&(host, protocol, address.port()));
        let bound = bound.into_iter().flatten().copied();
        bound
            .filter(|id| self.network.sockets[*id].takes(address.ip()))
            .collect()
    }

    /// The local address of a socket of the network.
    pub(super) fn local_of(&self, id: SocketId) -> SocketAddr {
        let socket = &self.network.sockets[id];
        socket.local.unwrap_or_else(|| {
            let ip = if socket.is_v6 {
                IpAddr::V6(Ipv6Addr::UNSPECIFIED)
            } else {
                IpAddr::V4(Ipv4Addr::UNSPECIFIED)
            };
            SocketAddr::new(ip, 0)
        })
    }

    /// One descriptor of the socket less. The last one closes it.
    pub(in crate::sys::simulated) fn close_socket(&mut self, id: SocketId, end: End) {
        let Some(socket) = self.network.sockets.get_mut(id) else {
            return self.close_local(id);
        };
        socket.handles = socket.handles.saturating_sub(1);
        if socket.handles == 0 {
            self.end_socket(id, end);
        }
    }

    /// Ends the socket, and tells its peers.
    fn end_socket(&mut self, id: SocketId, end: End) {
        let Some(socket) = self.network.sockets.remove(id) else {
            return;
        };
        if let Some(local) = socket.local {
            let place = (socket.host, socket.protocol, local.port());
            if let Some(bound) = self.network.bound.get_mut(&place) {
                bound.retain(|other| *other != id);
                if bound.is_empty() {
                    self.network.bound.remove(&place);
                }
            }
        }
        if end != End::Close {
            self.network.senders.remove(&id);
        }
        match socket.role {
            Role::Listener(listener) => {
                for connection in listener.queue {
                    let end = if end == End::Silence { end } else { End::Reset };
                    self.end_socket(connection, end);
                }
            }
            Role::Stream(_) if end == End::Silence => {
                self.network.vanished.insert(id);
            }
            Role::Stream(mut stream) if !stream.is_reset => {
                let is_abortive = end == End::Reset
                    || !stream.received.is_empty()
                    || socket.options.linger == Some(Duration::ZERO);
                let to = stream.other;
                if is_abortive {
                    self.send_in_order(&mut stream, id, Signal::Reset { to });
                } else if !stream.has_sent_fin {
                    self.send_in_order(&mut stream, id, Signal::Fin { to });
                }
            }
            Role::Idle | Role::Connecting | Role::Stream(_) | Role::Datagram(_) => {}
        }
    }
}
