//! Unix sockets and pipes: they are inside of a host, so they have no packets, latencies and faults of a network.
//!
//! A call takes effect at once, as in a kernel: bytes are in the buffer of the peer when the send returns. A waiting
//! request is attempted again by an [event](super::events::Event), after the time of a packet inside of a host.
//!
//! `names.rs` has paths and abstract names, `stream.rs` streams and pipes, `datagram.rs` datagrams.

mod datagram;
mod names;
mod stream;

use std::{collections::BTreeMap, mem};

use libc::{
    EBADF, EISCONN, ENOTCONN, EOPNOTSUPP, MSG_PEEK, SHUT_RD, SHUT_WR, SOCK_DGRAM, SOCK_STREAM,
};
use socket2::SockAddr;

use self::{
    datagram::Datagrams,
    names::{Place, unnamed},
    stream::{Listener, Stream},
};
use super::{
    descriptors::{Object, SocketId},
    events::Event,
    memory::{Parts, write_datagram},
    network::{LOOPBACK, Options},
    requests::Outcome,
    trace::Mark,
    waiters::{Queue, Waiters},
    world::{HostId, State},
};
use crate::{
    request::{RawFd, RawResult, ready},
    sys::{Message, system_calls::name_of_address},
};

/// The default buffer of a Unix socket, as on Linux.
const BUFFER: usize = 212_992;

/// The numbers of sockets of the network are smaller.
const FIRST_ID: SocketId = 1 << 63;

/// The Unix sockets and pipes of all hosts.
#[derive(Debug, Default)]
pub(super) struct Local {
    endpoints: BTreeMap<SocketId, Endpoint>,
    bound: BTreeMap<Place, SocketId>,
    /// The number of endpoints made so far.
    made: u64,
    /// The number of names that the system has chosen.
    chosen: u32,
}

/// A Unix socket, or an end of a pipe.
#[derive(Debug)]
pub(super) struct Endpoint {
    host: HostId,
    kind: Kind,
    /// The number of its descriptors.
    handles: u32,
    /// Its address, if it has a name. An accepted socket has the name of its listener.
    name: Option<SockAddr>,
    /// Its entry in the table of bound sockets.
    place: Option<Place>,
    options: Options,
    /// `SO_ERROR`.
    error: Option<i32>,
    role: Role,
    is_read_shut: bool,
    is_write_shut: bool,
    pub(super) waiters: Waiters,
    /// An event will attempt the waiting requests.
    is_wake_due: bool,
    /// An event attempts them now.
    is_retried: bool,
    /// The sockets with requests that wait for room in a queue of this one.
    blocked: Vec<SocketId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Stream,
    Datagram,
    PipeReader,
    PipeWriter,
}

#[derive(Debug)]
enum Role {
    Idle,
    Listener(Listener),
    /// A connection, or an end of a pipe.
    Stream(Stream),
    Datagrams(Datagrams),
}

impl Kind {
    /// The kind of a socket by its `SOCK_` constant.
    fn of_socket(kind: i32) -> Result<Self, i32> {
        match kind & 0xf {
            SOCK_STREAM => Ok(Self::Stream),
            SOCK_DGRAM => Ok(Self::Datagram),
            _ => Err(libc::ENOSYS),
        }
    }
}

impl Endpoint {
    fn new(host: HostId, kind: Kind) -> Self {
        let role = match kind {
            Kind::Stream | Kind::PipeReader | Kind::PipeWriter => Role::Idle,
            Kind::Datagram => Role::Datagrams(Datagrams::default()),
        };
        Self {
            host,
            kind,
            handles: 0,
            name: None,
            place: None,
            options: Options {
                recv_buffer: BUFFER,
                send_buffer: BUFFER,
                ..Options::default()
            },
            error: None,
            role,
            is_read_shut: false,
            is_write_shut: false,
            waiters: Waiters::default(),
            is_wake_due: false,
            is_retried: false,
            blocked: Vec::new(),
        }
    }

    fn address(&self) -> SockAddr {
        self.name.clone().unwrap_or_else(unnamed)
    }

    /// Notes that a request of another socket waits for room in a queue of this one.
    fn add_blocked(&mut self, id: SocketId) {
        if !self.blocked.contains(&id) {
            self.blocked.push(id);
        }
    }
}

impl Local {
    pub(super) fn get(&self, id: SocketId) -> Result<&Endpoint, i32> {
        self.endpoints.get(&id).ok_or(EBADF)
    }

    pub(super) fn get_mut(&mut self, id: SocketId) -> Result<&mut Endpoint, i32> {
        self.endpoints.get_mut(&id).ok_or(EBADF)
    }

    /// The options of a socket, and `SO_ERROR`.
    pub(super) fn options_mut(
        &mut self,
        id: SocketId,
    ) -> Result<(&mut Options, &mut Option<i32>), i32> {
        let endpoint = self.get_mut(id)?;
        Ok((&mut endpoint.options, &mut endpoint.error))
    }
}

impl State {
    fn add_endpoint(&mut self, endpoint: Endpoint) -> SocketId {
        self.local.made += 1;
        let id = FIRST_ID + self.local.made;
        self.local.endpoints.insert(id, endpoint);
        id
    }

    /// A new Unix socket.
    pub(super) fn create_local(&mut self, host: HostId, kind: i32) -> Result<RawFd, i32> {
        let endpoint = Endpoint::new(host, Kind::of_socket(kind)?);
        self.hosts[host].completions.check_descriptor()?;
        let id = self.add_endpoint(endpoint);
        self.open_local(host, id)
    }

    /// socketpair(2): two connected Unix sockets.
    pub(super) fn create_pair(&mut self, host: HostId, kind: i32) -> Result<[RawFd; 2], i32> {
        let kind = Kind::of_socket(kind)?;
        self.connected_pair(host, [kind; 2])
    }

    /// pipe(2): the reading and the writing end.
    pub(super) fn create_pipe(&mut self, host: HostId) -> Result<[RawFd; 2], i32> {
        self.connected_pair(host, [Kind::PipeReader, Kind::PipeWriter])
    }

    fn connected_pair(&mut self, host: HostId, kinds: [Kind; 2]) -> Result<[RawFd; 2], i32> {
        self.hosts[host].completions.check_descriptor()?;
        let [one, other] = kinds.map(|kind| self.add_endpoint(Endpoint::new(host, kind)));
        for (id, peer) in [(one, other), (other, one)] {
            let endpoint = self.local.get_mut(id)?;
            endpoint.role = match endpoint.kind {
                Kind::Datagram => Role::Datagrams(Datagrams::connected(peer, unnamed())),
                Kind::Stream | Kind::PipeReader | Kind::PipeWriter => {
                    Role::Stream(Stream::new(peer, unnamed()))
                }
            };
        }
        Ok([self.open_local(host, one)?, self.open_local(host, other)?])
    }

    /// One more descriptor.
    pub(super) fn open_local(&mut self, host: HostId, id: SocketId) -> Result<RawFd, i32> {
        let endpoint = self.local.get_mut(id)?;
        endpoint.handles += 1;
        let object = match endpoint.kind {
            Kind::Stream | Kind::Datagram => Object::Socket(id),
            Kind::PipeReader | Kind::PipeWriter => Object::Pipe(id),
        };
        self.descriptors.add(host, object)
    }

    /// One descriptor less. The last one closes it.
    pub(super) fn close_local(&mut self, id: SocketId) {
        let Ok(endpoint) = self.local.get_mut(id) else {
            return;
        };
        endpoint.handles -= 1;
        if endpoint.handles == 0 {
            self.end_local(id, false);
        }
    }

    /// Ends a socket. Its peer gets a reset if `resets`, or if there is unread data.
    fn end_local(&mut self, id: SocketId, resets: bool) {
        let Some(endpoint) = self.local.endpoints.remove(&id) else {
            return;
        };
        if let Some(place) = endpoint.place {
            self.local.bound.remove(&place);
        }
        match endpoint.role {
            Role::Idle => {}
            Role::Listener(listener) => {
                for connection in listener.queue {
                    self.end_local(connection, true);
                }
            }
            Role::Stream(stream) => {
                let is_unread = endpoint.kind == Kind::Stream && !stream.received.is_empty();
                self.hang_up(stream.peer, resets || is_unread);
            }
            Role::Datagrams(datagrams) => {
                for datagram in datagrams.queue {
                    self.release_datagram(&datagram);
                }
            }
        }
        self.wake_all(endpoint.blocked);
    }

    /// Schedules an attempt of the waiting requests, whose socket has changed.
    fn wake_local(&mut self, id: SocketId) {
        let mut queues = [Queue::Read, Queue::Write, Queue::Other].into_iter();
        // A datagram to its own sender changes a socket that is attempted.
        let is_retried = self.local.get(id).is_ok_and(|endpoint| endpoint.is_retried);
        if !is_retried && !queues.any(|queue| self.has_waiters(id, queue)) {
            return;
        }
        if let Ok(endpoint) = self.local.get_mut(id)
            && !mem::replace(&mut endpoint.is_wake_due, true)
        {
            self.events.add(self.now + LOOPBACK, Event::Local(id));
        }
    }

    fn wake_all(&mut self, ids: Vec<SocketId>) {
        for id in ids {
            self.wake_local(id);
        }
    }

    /// Wakes the sockets that wait for room in a queue of this one.
    fn wake_blocked(&mut self, id: SocketId) {
        if let Ok(endpoint) = self.local.get_mut(id) {
            let blocked = mem::take(&mut endpoint.blocked);
            self.wake_all(blocked);
        }
    }

    /// Attempts the waiting requests.
    pub(super) fn on_local(&mut self, id: SocketId) {
        self.note(Mark::Event, &[12, id]);
        self.say(|state| format!("wake-up of {}", state.socket_name(id)));
        if let Ok(endpoint) = self.local.get_mut(id) {
            endpoint.is_wake_due = false;
            endpoint.is_retried = true;
            self.retry(id);
        }
        if let Ok(endpoint) = self.local.get_mut(id) {
            endpoint.is_retried = false;
        }
    }

    /// # Safety
    ///
    /// The memory is valid.
    pub(super) unsafe fn send_local(
        &mut self,
        id: SocketId,
        parts: &Parts,
        to: Option<&SockAddr>,
    ) -> Outcome {
        let code = match self.local.get(id).map(|endpoint| &endpoint.role) {
            Ok(Role::Datagrams(_)) => {
                // SAFETY: passed on from this function.
                let bytes = unsafe { parts.read(usize::MAX) };
                return self.send_datagram_local(id, bytes, to);
            }
            Ok(Role::Stream(_)) if to.is_none() => {
                // SAFETY: likewise.
                return unsafe { self.send_bytes_local(id, parts) };
            }
            Ok(Role::Stream(_)) => EISCONN,
            Ok(Role::Idle | Role::Listener(_)) if to.is_none() => ENOTCONN,
            Ok(Role::Idle | Role::Listener(_)) => EOPNOTSUPP,
            Err(code) => code,
        };
        Err(code).into()
    }

    /// # Safety
    ///
    /// The memory is valid; the message is null or valid.
    pub(super) unsafe fn receive_local(
        &mut self,
        id: SocketId,
        parts: &Parts,
        flags: i32,
        message: *mut Message,
    ) -> Outcome {
        let kind = self.local.get(id).map(|endpoint| endpoint.kind);
        if kind != Ok(Kind::Datagram) {
            // SAFETY: passed on from this function.
            return unsafe { self.receive_bytes_local(id, parts, flags, message) };
        }
        let (from, bytes) = match self.receive_datagram_local(id, flags & MSG_PEEK != 0) {
            Ok(received) => received,
            Err(outcome) => return outcome,
        };
        // SAFETY: likewise.
        Ok(unsafe { write_datagram(&bytes, from, &[], parts, flags, message) }).into()
    }

    /// shutdown(2).
    pub(super) fn shutdown_local(&mut self, id: SocketId, how: i32) -> RawResult {
        let endpoint = self.local.get_mut(id)?;
        let (reads, writes) = (how != SHUT_WR, how != SHUT_RD);
        endpoint.is_read_shut |= reads;
        endpoint.is_write_shut |= writes;
        if let Role::Stream(stream) = &endpoint.role {
            let peer = stream.peer;
            if let Ok(peer) = self.local.get_mut(peer) {
                peer.is_read_shut |= writes;
                peer.is_write_shut |= reads;
            }
            self.wake_local(peer);
        }
        self.wake_local(id);
        self.wake_blocked(id);
        Ok(0)
    }

    /// The peer's address, as getpeername(2) returns it.
    pub(super) fn peer_of_local(&self, id: SocketId) -> Result<SockAddr, i32> {
        let peer = match &self.local.get(id)?.role {
            Role::Stream(stream) => Some(&stream.peer_address),
            Role::Datagrams(datagrams) => datagrams.peer.as_ref().map(|(_, address)| address),
            Role::Idle | Role::Listener(_) => None,
        };
        peer.cloned().ok_or(ENOTCONN)
    }

    /// The local address, as getsockname(2) returns it.
    pub(super) fn address_of_local(&self, id: SocketId) -> Result<SockAddr, i32> {
        self.local.get(id).map(Endpoint::address)
    }

    /// Host, kind and address of a socket or of an end of a pipe.
    pub(super) fn endpoint_name(&self, id: SocketId) -> String {
        let Ok(endpoint) = self.local.get(id) else {
            return "a socket that has ended".to_owned();
        };
        let host = &self.hosts[endpoint.host].name;
        let kind = match endpoint.kind {
            Kind::Stream => "unix",
            Kind::Datagram => "unix datagram",
            Kind::PipeReader => return format!("{host} pipe reader"),
            Kind::PipeWriter => return format!("{host} pipe writer"),
        };
        let name = endpoint.name.as_ref().and_then(name_of_address);
        format!("{host} {kind} {}", name.as_deref().unwrap_or("(unnamed)"))
    }

    pub(super) fn is_local_stream(&self, id: SocketId) -> bool {
        self.local
            .get(id)
            .is_ok_and(|endpoint| endpoint.kind == Kind::Stream)
    }

    pub(super) fn local_listens(&self, id: SocketId) -> bool {
        let endpoint = self.local.get(id);
        endpoint.is_ok_and(|endpoint| matches!(endpoint.role, Role::Listener(_)))
    }

    /// The `poll(2)` bits that are true now.
    pub(super) fn ready_events_local(&self, id: SocketId) -> u32 {
        let Ok(endpoint) = self.local.get(id) else {
            return ready::NVAL;
        };
        let mut events = 0;
        let mut set = |bit, is_set| events |= if is_set { bit } else { 0 };
        set(ready::ERR, endpoint.error.is_some());
        match &endpoint.role {
            Role::Idle => set(ready::OUT | ready::HUP, true),
            Role::Listener(listener) => set(ready::IN, !listener.queue.is_empty()),
            Role::Stream(stream) => {
                let has_bytes = !stream.received.is_empty();
                let has_room = || self.room_for(endpoint, stream) >= endpoint.kind.room_min();
                match endpoint.kind {
                    Kind::PipeReader => {
                        set(ready::IN, has_bytes);
                        set(ready::HUP, endpoint.is_read_shut);
                    }
                    Kind::PipeWriter => {
                        set(ready::OUT, endpoint.is_write_shut || has_room());
                        set(ready::ERR, endpoint.is_write_shut);
                    }
                    Kind::Stream | Kind::Datagram => {
                        set(ready::IN, has_bytes || endpoint.is_read_shut);
                        set(ready::OUT, endpoint.is_write_shut || has_room());
                        set(ready::HUP, endpoint.is_read_shut && endpoint.is_write_shut);
                    }
                }
            }
            Role::Datagrams(datagrams) => {
                set(
                    ready::IN,
                    !datagrams.queue.is_empty() || endpoint.is_read_shut,
                );
                let peer = datagrams.peer.as_ref().map(|(peer, _)| *peer);
                let is_full = peer.is_some_and(|peer| self.is_full(peer, id));
                set(ready::OUT, !is_full && self.has_room_to_send(id));
            }
        }
        events
    }
}
