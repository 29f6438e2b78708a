//! Stream sockets and pipes. A side has the bytes that it has not read. The writer looks there for room.

use std::collections::VecDeque;

use libc::{
    EBADF, ECONNREFUSED, ECONNRESET, EINVAL, EISCONN, ENOTCONN, EOPNOTSUPP, EPIPE, MSG_PEEK,
    MSG_WAITALL,
};
use socket2::SockAddr;

use super::{Endpoint, Kind, Role};
use crate::{
    request::{RawFd, RawResult},
    sys::{
        Message,
        simulated::{
            descriptors::SocketId,
            memory::{Parts, finish_message},
            requests::Outcome,
            waiters::Queue,
            world::State,
        },
    },
};

/// The capacity of a pipe, and the longest write that is not split: of Linux.
const PIPE: usize = 64 * 1024;
const PIPE_BUF: usize = 4096;

#[derive(Debug)]
pub(super) struct Listener {
    /// Connections that no accept has taken.
    pub(super) queue: VecDeque<SocketId>,
    backlog: usize,
}

/// One side of a connection, or an end of a pipe.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) peer: SocketId,
    pub(super) peer_address: SockAddr,
    /// Bytes that were not read.
    pub(super) received: VecDeque<u8>,
}

impl Stream {
    pub(super) fn new(peer: SocketId, peer_address: SockAddr) -> Self {
        Self {
            peer,
            peer_address,
            received: VecDeque::new(),
        }
    }
}

impl Kind {
    /// The room that makes it writable.
    pub(super) fn room_min(self) -> usize {
        match self {
            Self::PipeReader | Self::PipeWriter => PIPE_BUF,
            Self::Stream | Self::Datagram => 1,
        }
    }
}

impl State {
    /// listen(2).
    pub(in crate::sys::simulated) fn listen_local(
        &mut self,
        id: SocketId,
        backlog: i32,
    ) -> RawResult {
        let endpoint = self.local.get_mut(id)?;
        let backlog = backlog.max(0) as usize;
        match &mut endpoint.role {
            Role::Idle if endpoint.name.is_none() => return Err(EINVAL),
            Role::Idle => {
                let queue = VecDeque::new();
                endpoint.role = Role::Listener(Listener { queue, backlog });
            }
            Role::Listener(listener) => listener.backlog = backlog,
            Role::Stream(_) => return Err(EINVAL),
            Role::Datagrams(_) => return Err(EOPNOTSUPP),
        }
        Ok(0)
    }

    /// connect(2). Waits if the queue of the listener is full.
    pub(in crate::sys::simulated) fn connect_local(
        &mut self,
        id: SocketId,
        address: &SockAddr,
    ) -> Outcome {
        let connected = match self.local.get(id).map(|endpoint| &endpoint.role) {
            Ok(Role::Datagrams(_)) => self.connect_datagrams_local(id, address).map(Some),
            Ok(Role::Idle) => self.connect_stream(id, address),
            Ok(Role::Stream(_)) => Err(EISCONN),
            Ok(Role::Listener(_)) => Err(EINVAL),
            Err(code) => Err(code),
        };
        match connected {
            Ok(Some(())) => Ok(0).into(),
            Ok(None) => Outcome::Wait(id, Queue::Other),
            Err(code) => Err(code).into(),
        }
    }

    /// `None` if the queue of the listener is full.
    fn connect_stream(&mut self, id: SocketId, address: &SockAddr) -> Result<Option<()>, i32> {
        let client = self.local.get(id)?;
        let (host, own_address) = (client.host, client.address());
        let at = self.find_local(host, Kind::Stream, address)?;
        let endpoint = self.local.get_mut(at)?;
        let (name, options) = (endpoint.name.clone(), endpoint.options.clone());
        let listener_address = endpoint.address();
        let Role::Listener(listener) = &mut endpoint.role else {
            return Err(ECONNREFUSED);
        };
        if listener.queue.len() > listener.backlog {
            endpoint.add_blocked(id);
            return Ok(None);
        }
        let server = self.add_endpoint(Endpoint {
            name,
            options,
            role: Role::Stream(Stream::new(id, own_address)),
            ..Endpoint::new(host, Kind::Stream)
        });
        self.local.get_mut(id)?.role = Role::Stream(Stream::new(server, listener_address));
        if let Role::Listener(listener) = &mut self.local.get_mut(at)?.role {
            listener.queue.push_back(server);
        }
        self.wake_local(at);
        Ok(Some(()))
    }

    /// The next connection of a listener, and its peer. `None` if there is none.
    pub(in crate::sys::simulated) fn accept_local(
        &mut self,
        id: SocketId,
    ) -> Result<Option<(RawFd, SockAddr)>, i32> {
        let endpoint = self.local.get_mut(id)?;
        let host = endpoint.host;
        let Role::Listener(listener) = &mut endpoint.role else {
            return Err(EINVAL);
        };
        let Some(&connection) = listener.queue.front() else {
            return Ok(None);
        };
        self.hosts[host].completions.check_descriptor()?;
        listener.queue.pop_front();
        self.wake_blocked(id);
        let peer = self.peer_of_local(connection)?;
        Ok(Some((self.open_local(host, connection)?, peer)))
    }

    /// The bytes that the peer has room for.
    pub(super) fn room_for(&self, endpoint: &Endpoint, stream: &Stream) -> usize {
        let capacity = match endpoint.kind {
            Kind::PipeReader | Kind::PipeWriter => PIPE,
            Kind::Stream | Kind::Datagram => endpoint.options.send_buffer,
        };
        match self.local.get(stream.peer).map(|peer| &peer.role) {
            Ok(Role::Stream(peer)) => capacity.saturating_sub(peer.received.len()),
            Ok(Role::Idle | Role::Listener(_) | Role::Datagrams(_)) | Err(_) => 0,
        }
    }

    /// # Safety
    ///
    /// The memory is valid.
    pub(super) unsafe fn send_bytes_local(&mut self, id: SocketId, parts: &Parts) -> Outcome {
        let Ok(endpoint) = self.local.get(id) else {
            return Err(EBADF).into();
        };
        let Role::Stream(stream) = &endpoint.role else {
            return Err(ENOTCONN).into();
        };
        let (host, kind, peer, len) = (endpoint.host, endpoint.kind, stream.peer, parts.len());
        match kind {
            Kind::PipeReader => return Err(EBADF).into(),
            Kind::PipeWriter if len == 0 => return Ok(0).into(),
            _ if endpoint.is_write_shut => return Err(EPIPE).into(),
            Kind::Stream | Kind::Datagram | Kind::PipeWriter => {}
        }
        let room = self.room_for(endpoint, stream);
        if room < len.min(kind.room_min()) {
            return Outcome::Wait(id, Queue::Write);
        }
        let possible = room.min(len);
        let len = if kind == Kind::PipeWriter && len <= PIPE_BUF {
            possible
        } else {
            self.hosts[host].completions.send(possible)
        };
        // SAFETY: passed on from this function.
        let bytes = unsafe { parts.read(len) };
        self.trace.add_bytes(self.now, &bytes);
        if let Some(peer) = self.stream_of_local(peer) {
            peer.received.extend(&bytes);
        }
        self.wake_local(peer);
        Ok(bytes.len() as u32).into()
    }

    /// # Safety
    ///
    /// The memory is valid; the message is null or valid.
    pub(super) unsafe fn receive_bytes_local(
        &mut self,
        id: SocketId,
        parts: &Parts,
        flags: i32,
        message: *mut Message,
    ) -> Outcome {
        let peeks = flags & MSG_PEEK != 0;
        let room = parts.len();
        let wants_more = flags & MSG_WAITALL != 0 && self.may_get_more(id, room);
        let Ok(endpoint) = self.local.get_mut(id) else {
            return Err(EBADF).into();
        };
        let Role::Stream(stream) = &mut endpoint.role else {
            return Err(EINVAL).into();
        };
        if endpoint.kind == Kind::PipeWriter {
            return Err(EBADF).into();
        }
        let is_empty = stream.received.is_empty();
        if is_empty && let Some(code) = endpoint.error.take() {
            return Err(code).into();
        }
        if room > 0 && !endpoint.is_read_shut && (is_empty || wants_more) {
            return Outcome::Wait(id, Queue::of_receive(peeks));
        }
        let possible = stream.received.len().min(room);
        let len = if flags & (MSG_PEEK | MSG_WAITALL) == 0 {
            self.hosts[endpoint.host].completions.receive(possible)
        } else {
            possible
        };
        let (first, second) = stream.received.as_slices();
        let first = &first[..first.len().min(len)];
        let second = &second[..len - first.len()];
        // SAFETY: passed on from this function.
        let len = unsafe { parts.write(0, first) + parts.write(first.len(), second) };
        if !peeks && len > 0 {
            stream.received.drain(..len);
            let peer = stream.peer;
            self.wake_local(peer);
        }
        // SAFETY: likewise.
        unsafe { finish_message(message, None, &[], 0) };
        Ok(len as u32).into()
    }

    /// Whether a receive of this length can get more bytes than there are: the peer has room to send.
    fn may_get_more(&self, id: SocketId, len: usize) -> bool {
        let of = |id| match self.local.get(id) {
            Ok(endpoint) => match &endpoint.role {
                Role::Stream(stream) => Some((endpoint, stream)),
                Role::Idle | Role::Listener(_) | Role::Datagrams(_) => None,
            },
            Err(_) => None,
        };
        of(id).is_some_and(|(_, stream)| {
            let peer = of(stream.peer);
            let has_room = peer.is_some_and(|(peer, sent)| self.room_for(peer, sent) > 0);
            stream.received.len() < len && has_room
        })
    }

    fn stream_of_local(&mut self, id: SocketId) -> Option<&mut Stream> {
        match &mut self.local.get_mut(id).ok()?.role {
            Role::Stream(stream) => Some(stream),
            Role::Idle | Role::Listener(_) | Role::Datagrams(_) => None,
        }
    }

    /// The peer of a socket has ended.
    pub(super) fn hang_up(&mut self, id: SocketId, resets: bool) {
        let Ok(endpoint) = self.local.get_mut(id) else {
            return;
        };
        endpoint.is_read_shut = true;
        endpoint.is_write_shut = true;
        if resets {
            endpoint.error = Some(ECONNRESET);
        }
        self.wake_local(id);
    }
}
