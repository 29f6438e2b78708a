//! The packets of TCP connections. They arrive in the order in which one side has sent them. Lost ones are repeated: see
//! `retransmission.rs`.

use std::{net::SocketAddr, time::Duration};

use libc::{ECONNREFUSED, ECONNRESET, EHOSTUNREACH, EINPROGRESS, EISCONN, ENETUNREACH, ENOSYS};
use socket2::SockAddr;

use super::{
    Packet, Protocol, Signal,
    links::Route,
    socket::{Role, Socket, Stream},
};
use crate::{
    request::RawResult,
    sys::simulated::{
        descriptors::SocketId, events::Event, requests::Outcome, waiters::Queue, world::State,
    },
};

/// The time for which a host without an answer is tried: of Linux with its default of 6 retries.
const CONNECT_TIME: Duration = Duration::from_secs(127);

/// The bytes of a full segment in Ethernet packets.
const SEGMENT: usize = 1460;

/// The time between the first two attempts to connect. Each further one waits twice as long.
const RETRY_TIME: Duration = Duration::from_secs(1);

impl State {
    /// Sends a packet of a socket. It arrives after all earlier ones of this side.
    pub(super) fn send_in_order(&mut self, stream: &mut Stream, from: SocketId, signal: Signal) {
        let route = stream.route;
        // Queues of links drop datagrams only.
        let Some(at) = self.arrival(route, &signal) else {
            return;
        };
        let at = at.max(stream.last_arrival);
        stream.last_arrival = at;
        let packet = Packet {
            route,
            from,
            signal,
        };
        self.events.add(at, Event::Network(packet));
    }

    /// As [`send_in_order`](Self::send_in_order), of a socket with a connection.
    pub(super) fn send_of(&mut self, id: SocketId, signal: Signal) {
        let Some(route) = self.stream_mut(id).map(|stream| stream.route) else {
            return;
        };
        let Some(at) = self.arrival(route, &signal) else {
            return;
        };
        let Some(stream) = self.stream_mut(id) else {
            return;
        };
        let at = at.max(stream.last_arrival);
        stream.last_arrival = at;
        let packet = Packet {
            route,
            from: id,
            signal,
        };
        self.events.add(at, Event::Network(packet));
    }

    pub(super) fn stream_mut(&mut self, id: SocketId) -> Option<&mut Stream> {
        match &mut self.network.sockets.get_mut(id)?.role {
            Role::Stream(stream) => Some(stream),
            Role::Idle | Role::Listener(_) | Role::Connecting | Role::Datagram(_) => None,
        }
    }

    /// connect(2).
    pub(super) fn connect_to(&mut self, id: SocketId, address: &SockAddr) -> Outcome {
        if self.network.sockets.get(id).is_none() {
            return self.connect_local(id, address);
        }
        match address.as_socket() {
            Some(address) => self.connect(id, address),
            None => Err(ENOSYS).into(),
        }
    }

    fn connect(&mut self, id: SocketId, address: SocketAddr) -> Outcome {
        let Some(socket) = self.network.sockets.get_mut(id) else {
            return Outcome::Done(Err(libc::EBADF));
        };
        match &mut socket.role {
            Role::Datagram(_) => return self.connect_datagrams(id, address).into(),
            Role::Connecting => return Outcome::Wait(id, Queue::Other),
            Role::Stream(stream) => {
                let is_first = !stream.is_reported;
                stream.is_reported = true;
                return if is_first { Ok(0) } else { Err(EISCONN) }.into();
            }
            Role::Listener(_) => return Err(EISCONN).into(),
            Role::Idle => {}
        }
        if let Some(error) = socket.error.take() {
            return Outcome::Done(Err(error));
        }
        match self.begin_connect(id, address) {
            Ok(_) => Outcome::Wait(id, Queue::Other),
            Err(code) => Outcome::Done(Err(code)),
        }
    }

    /// As [`connect_to`](Self::connect_to), without a wait: EINPROGRESS if it would wait.
    pub(in crate::sys::simulated) fn connect_now(
        &mut self,
        id: SocketId,
        address: &SockAddr,
    ) -> RawResult {
        match self.connect_to(id, address) {
            Outcome::Done(answer) => answer,
            Outcome::Wait(..) => Err(EINPROGRESS),
        }
    }

    fn begin_connect(&mut self, id: SocketId, address: SocketAddr) -> RawResult {
        let host = self.network.sockets[id].host;
        let source = self.source_of(host, address.ip()).ok_or(ENETUNREACH)?;
        let to = self.host_of(host, address.ip()).ok_or(EHOSTUNREACH)?;
        self.bind_to_send(id, source)?;
        // The unspecified address is this host's loopback, as on Linux.
        let address = match (address.ip().is_unspecified(), source) {
            (true, source) => SocketAddr::new(source, address.port()),
            (false, _) => address,
        };
        if let Some(socket) = self.network.sockets.get_mut(id) {
            socket.role = Role::Connecting;
            socket.remote = Some(address);
        }
        let deadline = self.now + CONNECT_TIME;
        let client = id;
        self.send_signal(Route { from: host, to }, Signal::Syn { client, deadline });
        Ok(0)
    }

    pub(super) fn on_syn(&mut self, route: Route, client: SocketId, deadline: Duration) {
        let Some(socket) = self.network.sockets.get(client) else {
            return;
        };
        let (Role::Connecting, Some(from), Some(address)) =
            (&socket.role, socket.local, socket.remote)
        else {
            return;
        };
        let to = route.to;
        // Without a way back, the answer is lost.
        if !self.passes(route, true) || self.is_blocked(route.reversed()) {
            return self.repeat_syn(route, client, deadline);
        }
        let candidates = self.sockets_at(to, Protocol::Tcp, address);
        let listens = |id: &SocketId| matches!(self.network.sockets[*id].role, Role::Listener(_));
        let listeners: Vec<_> = candidates.into_iter().filter(listens).collect();
        if listeners.is_empty() {
            return self.send_signal(route.reversed(), Signal::Refused { client, deadline });
        }
        let chosen = match listeners.len() {
            1 => 0,
            count => self.network.rng.below(count as u64) as usize,
        };
        let listener = listeners[chosen];
        let has_room = match &self.network.sockets[listener].role {
            Role::Listener(listener) => listener.queue.len() < listener.backlog,
            Role::Idle | Role::Connecting | Role::Stream(_) | Role::Datagram(_) => false,
        };
        if !has_room {
            return self.repeat_syn(route, client, deadline);
        }
        let mut server = Socket::new(to, address.is_ipv6(), Protocol::Tcp);
        server.local = Some(address);
        server.remote = Some(from);
        server.options = self.network.sockets[listener].options.clone();
        server.role = Role::Stream(Stream {
            other: client,
            route: route.reversed(),
            is_reported: true,
            ..Stream::default()
        });
        let server = self.network.sockets.insert(server);
        let established = Signal::Established {
            client,
            server,
            deadline,
        };
        self.send_of(server, established);
        if let Some(socket) = self.network.sockets.get_mut(listener)
            && let Role::Listener(listener) = &mut socket.role
        {
            listener.queue.push_back(server);
        }
        self.retry(listener);
    }

    /// The server does not answer: the client tries again, after 1, 3, 7, … seconds since the begin.
    fn repeat_syn(&mut self, route: Route, client: SocketId, deadline: Duration) {
        let begin = deadline - CONNECT_TIME;
        let mut again = begin + RETRY_TIME;
        let mut wait = RETRY_TIME;
        while again <= self.now {
            wait *= 2;
            again += wait;
        }
        let signal = if again < deadline {
            Signal::Syn { client, deadline }
        } else {
            Signal::ConnectTimeout { client }
        };
        let packet = Packet {
            route,
            from: 0,
            signal,
        };
        // A slow packet may arrive after the deadline.
        let at = again.min(deadline).max(self.now);
        self.events.add(at, Event::Network(packet));
    }

    pub(super) fn on_established(&mut self, route: Route, client: SocketId, server: SocketId) {
        let route = route.reversed();
        match self.network.sockets.get_mut(client) {
            Some(socket) if matches!(socket.role, Role::Connecting) => {
                socket.role = Role::Stream(Stream {
                    other: server,
                    route,
                    ..Stream::default()
                });
                self.retry(client);
            }
            Some(_) | None => self.send_signal(route, Signal::Reset { to: server }),
        }
    }

    /// No socket listens. If the client does not learn of it, it tries again.
    pub(super) fn on_refused(&mut self, route: Route, client: SocketId, deadline: Duration) {
        if self.passes(route, true) {
            return self.on_connect_failed(client, ECONNREFUSED);
        }
        self.repeat_syn(route.reversed(), client, deadline);
    }

    pub(super) fn on_connect_failed(&mut self, client: SocketId, code: i32) {
        let Some(socket) = self.network.sockets.get_mut(client) else {
            return;
        };
        if matches!(socket.role, Role::Connecting) {
            socket.role = Role::Idle;
            socket.remote = None;
            socket.error = Some(code);
            self.retry(client);
        }
    }

    pub(super) fn on_data(&mut self, route: Route, to: SocketId, from: SocketId, bytes: Vec<u8>) {
        let Some(stream) = self.stream_mut(to).filter(|stream| !stream.is_reset) else {
            return self.on_stray(route, from);
        };
        if stream.is_read_shut {
            // As Linux: bytes after a shutdown of the reading side are dropped, and the peer is not told.
            return self.announce_room(to, bytes.len());
        }
        if stream.received.is_empty() {
            stream.received = bytes.into();
        } else {
            stream.received.extend(bytes);
        }
        self.retry(to);
    }

    /// A packet has come to a socket that has ended: its sender's connection is reset.
    fn on_stray(&mut self, route: Route, from: SocketId) {
        if self.stream_mut(from).is_none() {
            return;
        }
        if self.is_blocked(route.reversed()) {
            self.repeat_stray(from, route);
        } else {
            self.send_signal(route.reversed(), Signal::Reset { to: from });
        }
    }

    /// Bytes have left the buffer of received ones. The peer learns of the room in parts of a segment or half of a small buffer, so
    /// that small reads cause no small packets: RFC 9293, section 3.8.6.2.2.
    pub(super) fn announce_room(&mut self, id: SocketId, len: usize) {
        let Some(socket) = self.network.sockets.get_mut(id) else {
            return;
        };
        let Role::Stream(stream) = &mut socket.role else {
            return;
        };
        stream.unannounced += len;
        // Less than each window, so a sender that waits for room gets some once all is read.
        if stream.unannounced >= SEGMENT.min(socket.options.recv_buffer / 2) {
            let (to, len) = (stream.other, std::mem::take(&mut stream.unannounced));
            self.send_of(id, Signal::Credit { to, len });
        }
    }

    pub(super) fn on_credit(&mut self, to: SocketId, len: usize) {
        if let Some(stream) = self.stream_mut(to) {
            stream.outstanding = stream.outstanding.saturating_sub(len);
            self.retry(to);
        }
    }

    pub(super) fn on_fin(&mut self, route: Route, to: SocketId, from: SocketId) {
        // A host that has lost its power does not know the connection. Another one has closed it.
        if self.network.vanished.contains(&to) {
            self.on_stray(route, from);
        }
        if let Some(stream) = self.stream_mut(to) {
            stream.has_got_fin = true;
            self.retry(to);
        }
    }

    pub(super) fn on_reset(&mut self, to: SocketId) {
        let Some(stream) = self.stream_mut(to) else {
            return;
        };
        if stream.is_reset {
            return;
        }
        stream.is_reset = true;
        self.network.senders.remove(&to);
        if let Some(socket) = self.network.sockets.get_mut(to) {
            socket.error = Some(ECONNRESET);
        }
        self.retry(to);
    }
}
