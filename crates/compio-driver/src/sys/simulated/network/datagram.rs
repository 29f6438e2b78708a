//! UDP: each datagram has a latency of its own, so later ones may arrive first. One without room is lost.

use std::net::SocketAddr;

use libc::{EAFNOSUPPORT, ECONNREFUSED, EDESTADDRREQ, EHOSTUNREACH, EINVAL, EMSGSIZE, ENETUNREACH};

use super::{Datagram, Protocol, Signal, ancillary::SendData, links::Route, socket::Role};
use crate::{
    request::RawResult,
    sys::simulated::{descriptors::SocketId, requests::Outcome, waiters::Queue, world::State},
};

/// The longest datagram over IPv4, without headers.
const DATAGRAM_MAX: usize = 65_507;

impl State {
    pub(super) fn connect_datagrams(&mut self, id: SocketId, address: SocketAddr) -> RawResult {
        let socket = &self.network.sockets[id];
        if socket.is_v6 != address.is_ipv6() {
            return Err(EAFNOSUPPORT);
        }
        let source = self
            .source_of(socket.host, address.ip())
            .ok_or(ENETUNREACH)?;
        self.bind_to_send(id, source)?;
        if let Some(socket) = self.network.sockets.get_mut(id) {
            socket.remote = Some(address);
        }
        Ok(0)
    }

    /// Sends a datagram, or several of the length in the ancillary data.
    pub(super) fn send_datagrams(
        &mut self,
        id: SocketId,
        bytes: Vec<u8>,
        to: Option<SocketAddr>,
        data: &SendData,
    ) -> RawResult {
        let host = self.network.sockets.get(id).ok_or(libc::EBADF)?.host;
        // Once, because all segments are one send.
        self.hosts[host].completions.check_datagram()?;
        let Some(len) = data.segment else {
            return self.send_datagram(id, bytes, to, data);
        };
        for segment in bytes.chunks(len) {
            self.send_datagram(id, segment.to_vec(), to, data)?;
        }
        Ok(bytes.len() as u32)
    }

    fn send_datagram(
        &mut self,
        id: SocketId,
        bytes: Vec<u8>,
        to: Option<SocketAddr>,
        data: &SendData,
    ) -> RawResult {
        let Some(socket) = self.network.sockets.get_mut(id) else {
            return Err(libc::EBADF);
        };
        if let Some(code) = socket.error.take() {
            return Err(code);
        }
        let (host, is_v6) = (socket.host, socket.is_v6);
        let tos = data.tos.unwrap_or(socket.options.tos as u8);
        let address = to.or(socket.remote).ok_or(EDESTADDRREQ)?;
        if is_v6 != address.is_ipv6() {
            return Err(EAFNOSUPPORT);
        }
        if bytes.len() > DATAGRAM_MAX {
            return Err(EMSGSIZE);
        }
        let mut source = self.source_of(host, address.ip()).ok_or(ENETUNREACH)?;
        let to = self.host_of(host, address.ip()).ok_or(EHOSTUNREACH)?;
        self.bind_to_send(id, source)?;
        let local = self.local_of(id);
        let address = if address.ip().is_unspecified() {
            SocketAddr::new(source, address.port())
        } else {
            address
        };
        if !local.ip().is_unspecified() {
            source = local.ip();
        }
        if let Some(wanted) = data.source {
            if !wanted.is_loopback() && wanted != self.hosts[host].address {
                return Err(EINVAL);
            }
            source = wanted;
        }
        let from = SocketAddr::new(source, local.port());
        let len = bytes.len() as u32;
        self.trace.add_bytes(self.now, &bytes);
        let datagram = Datagram {
            address,
            from,
            tos,
            sender: id,
            bytes,
        };
        let signal = Signal::Datagram(Box::new(datagram));
        self.send_signal(Route { from: host, to }, signal);
        Ok(len)
    }

    pub(super) fn on_datagram(&mut self, route: Route, datagram: Datagram) {
        let Datagram {
            address,
            from,
            sender,
            ..
        } = datagram;
        let len = datagram.bytes.len();
        let takes = |id: &SocketId| {
            let remote = self.network.sockets[*id].remote;
            remote.is_none_or(|remote| remote == from)
        };
        let candidates = self.sockets_at(route.to, Protocol::Udp, address);
        let Some(id) = candidates.into_iter().find(takes) else {
            return self.send_signal(route.reversed(), Signal::Unreachable { sender });
        };
        if let Some(socket) = self.network.sockets.get_mut(id)
            && let Role::Datagram(datagrams) = &mut socket.role
            && datagrams.bytes + len <= socket.options.recv_buffer.max(DATAGRAM_MAX)
        {
            datagrams.bytes += len;
            datagrams.queue.push_back(datagram);
        }
        self.retry(id);
    }

    /// As Linux: only a socket with a peer learns of it.
    pub(super) fn on_unreachable(&mut self, sender: SocketId) {
        if let Some(socket) = self.network.sockets.get_mut(sender)
            && socket.remote.is_some()
        {
            socket.error = Some(ECONNREFUSED);
            self.retry(sender);
        }
    }

    /// The first datagram. It stays in the queue if `peeks`.
    pub(super) fn receive_datagram(
        &mut self,
        id: SocketId,
        peeks: bool,
    ) -> Result<Datagram, Outcome> {
        let Some(socket) = self.network.sockets.get_mut(id) else {
            return Err(Outcome::Done(Err(libc::EBADF)));
        };
        if let Some(code) = socket.error.take() {
            return Err(Outcome::Done(Err(code)));
        }
        let Role::Datagram(datagrams) = &mut socket.role else {
            return Err(Outcome::Done(Err(libc::EINVAL)));
        };
        let first = if peeks {
            datagrams.queue.front().cloned()
        } else {
            datagrams.queue.pop_front()
        };
        let Some(datagram) = first else {
            return Err(Outcome::Wait(id, Queue::of_receive(peeks)));
        };
        if !peeks {
            datagrams.bytes -= datagram.bytes.len();
        }
        Ok(datagram)
    }
}
