//! The requests of sockets.

use std::{collections::VecDeque, ptr};

use libc::{
    AF_INET, AF_INET6, AF_UNIX, EADDRNOTAVAIL, EAGAIN, ECONNABORTED, EINVAL, EISCONN, EMSGSIZE,
    ENOBUFS, ENOSYS, ENOTCONN, ENOTSOCK, EOPNOTSUPP, EPIPE, MSG_DONTWAIT, MSG_OOB, MSG_PEEK,
    MSG_WAITALL, SHUT_RD, SHUT_WR, SOCK_DGRAM, SOCK_STREAM,
};
use socket2::SockAddr;

use super::{
    Options, Protocol, Signal,
    ancillary::SendData,
    socket::{End, Listener, Role, Socket},
};
use crate::{
    request::{BufferPick, Control, Net, RawFd, RawResult, ready},
    sys::{
        Message, PickBuffer,
        simulated::{
            descriptors::{Object, SocketId, as_answer},
            memory::{
                Parts, address_of, control_of, finish_message, receiver_of, write_datagram,
                write_peer,
            },
            requests::Outcome,
            waiters::Queue,
            world::{HostId, State},
        },
    },
};

impl State {
    /// The socket of a descriptor.
    pub(in crate::sys::simulated) fn socket_of(
        &self,
        host: HostId,
        fd: RawFd,
    ) -> Result<SocketId, i32> {
        match self.descriptors.get(fd, host)?.object {
            Object::Socket(socket) => Ok(socket),
            Object::File(_) | Object::Pipe(_) => Err(ENOTSOCK),
        }
    }

    /// # Safety
    ///
    /// The memory of the request is valid.
    pub(in crate::sys::simulated) unsafe fn net(&mut self, id: SocketId, net: &Net) -> Outcome {
        // SAFETY: passed on from this function.
        unsafe {
            match *net {
                Net::Connect { address, len, .. } => self.connect_to(id, &address_of(address, len)),
                Net::Accept { peer, .. } => match self.accept(id) {
                    Ok(None) => Outcome::Wait(id, Queue::Read),
                    Ok(Some((fd, address))) => {
                        write_peer(peer, &address);
                        Ok(as_answer(fd)).into()
                    }
                    Err(code) => Err(code).into(),
                },
                Net::Recv { span, flags, .. } => {
                    let parts = Parts::one(span.start, span.len as usize);
                    self.receive(id, &parts, flags, ptr::null_mut())
                }
                Net::RecvMsg { message, flags, .. } => {
                    let parts = Parts::of_message(message);
                    self.receive(id, &parts, flags, message)
                }
                Net::RecvPooled { choice, flags, .. } => self.receive_pooled(id, choice, flags),
                Net::Send { span, flags, .. } => {
                    let parts = Parts::one(span.start, span.len as usize);
                    self.send(id, &parts, flags, None)
                }
                Net::SendMsg { message, flags, .. } => {
                    let message = message.cast_mut();
                    self.send(id, &Parts::of_message(message), flags, Some(message))
                }
                // This backend does not support them: see `Capabilities`.
                Net::AcceptMulti { .. }
                | Net::RecvMulti { .. }
                | Net::SendZeroCopy { .. }
                | Net::SendMsgZeroCopy { .. } => Err(EOPNOTSUPP).into(),
            }
        }
    }

    /// # Safety
    ///
    /// The memory of the request is valid.
    pub(in crate::sys::simulated) unsafe fn control(
        &mut self,
        host: HostId,
        control: &Control,
    ) -> RawResult {
        match *control {
            Control::Socket { domain, kind, .. } => {
                self.create_socket(host, domain, kind).map(as_answer)
            }
            Control::Bind { fd, address, len } => {
                let id = self.socket_of(host, fd)?;
                // SAFETY: passed on from this function.
                let address = unsafe { address_of(address, len) };
                self.bind_to(id, &address).map(|()| 0)
            }
            Control::Listen { fd, backlog } => {
                let id = self.socket_of(host, fd)?;
                self.listen(id, backlog)
            }
            Control::Shutdown { fd, how } => {
                let id = self.socket_of(host, fd)?;
                self.shutdown(id, how)
            }
            Control::Pipe { ends } => {
                let pipe = self.create_pipe(host)?;
                // SAFETY: passed on from this function.
                unsafe { ends.write(pipe) };
                Ok(0)
            }
        }
    }

    /// A new socket: ENOSYS unless it is TCP, UDP or a Unix socket.
    pub(in crate::sys::simulated) fn create_socket(
        &mut self,
        host: HostId,
        domain: i32,
        kind: i32,
    ) -> Result<RawFd, i32> {
        let protocol = match kind & 0xf {
            SOCK_STREAM => Protocol::Tcp,
            SOCK_DGRAM => Protocol::Udp,
            _ => return Err(ENOSYS),
        };
        let is_v6 = match domain {
            AF_INET => false,
            AF_INET6 => true,
            AF_UNIX => return self.create_local(host, kind),
            _ => return Err(ENOSYS),
        };
        self.hosts[host].completions.check_descriptor()?;
        let socket = Socket::new(host, is_v6, protocol);
        let id = self.network.sockets.insert(socket);
        self.open_socket(host, id)
    }

    /// One more descriptor of a socket.
    pub(in crate::sys::simulated) fn open_socket(
        &mut self,
        host: HostId,
        id: SocketId,
    ) -> Result<RawFd, i32> {
        let Some(socket) = self.network.sockets.get_mut(id) else {
            return self.open_local(host, id);
        };
        socket.handles += 1;
        self.descriptors.add(host, Object::Socket(id))
    }

    pub(in crate::sys::simulated) fn listen(&mut self, id: SocketId, backlog: i32) -> RawResult {
        let Some(socket) = self.network.sockets.get(id) else {
            return self.listen_local(id, backlog);
        };
        if socket.local.is_none() {
            self.bind(id, self.local_of(id))?;
        }
        let Some(socket) = self.network.sockets.get_mut(id) else {
            return Err(libc::EBADF);
        };
        let backlog = backlog.max(1) as usize;
        match &mut socket.role {
            Role::Idle => {
                let queue = Default::default();
                socket.role = Role::Listener(Listener { queue, backlog });
                Ok(0)
            }
            Role::Listener(listener) => {
                listener.backlog = backlog;
                Ok(0)
            }
            Role::Connecting | Role::Stream(_) => Err(EINVAL),
            Role::Datagram(_) => Err(EOPNOTSUPP),
        }
    }

    /// The next connection of a listener, and its peer. `None` if there is none.
    fn accept(&mut self, id: SocketId) -> Result<Option<(RawFd, SockAddr)>, i32> {
        let Some(socket) = self.network.sockets.get_mut(id) else {
            return self.accept_local(id);
        };
        let host = socket.host;
        let Role::Listener(listener) = &mut socket.role else {
            return Err(EINVAL);
        };
        let Some(&connection) = listener.queue.front() else {
            return Ok(None);
        };
        let completions = &mut self.hosts[host].completions;
        completions.check_descriptor()?;
        listener.queue.pop_front();
        if completions.aborts_accept() {
            self.close_socket(connection, End::Reset);
            return Err(ECONNABORTED);
        }
        let remote = self.network.sockets[connection].remote.ok_or(ENOTCONN)?;
        let fd = self.open_socket(host, connection)?;
        Ok(Some((fd, remote.into())))
    }

    pub(in crate::sys::simulated) fn shutdown(&mut self, id: SocketId, how: i32) -> RawResult {
        let Some(socket) = self.network.sockets.get_mut(id) else {
            return self.shutdown_local(id, how);
        };
        let stream = match &mut socket.role {
            Role::Stream(stream) if !stream.is_reset => stream,
            Role::Datagram(_) if socket.remote.is_some() => return Ok(0),
            Role::Idle
            | Role::Listener(_)
            | Role::Connecting
            | Role::Stream(_)
            | Role::Datagram(_) => return Err(ENOTCONN),
        };
        if how != SHUT_WR {
            stream.is_read_shut = true;
        }
        let to = stream.other;
        if how != SHUT_RD && !std::mem::replace(&mut stream.has_sent_fin, true) {
            self.send_of(id, Signal::Fin { to });
        }
        self.retry(id);
        Ok(0)
    }

    /// # Safety
    ///
    /// The memory is valid; the message is null or valid.
    pub(in crate::sys::simulated) unsafe fn receive(
        &mut self,
        id: SocketId,
        parts: &Parts,
        flags: i32,
        message: *mut Message,
    ) -> Outcome {
        // SAFETY: passed on from this function.
        let outcome = unsafe {
            match self.network.sockets.get(id).map(|socket| socket.protocol) {
                Some(_) if flags & MSG_OOB != 0 => Err(EINVAL).into(),
                Some(Protocol::Tcp) => self.receive_bytes(id, parts, flags, message),
                Some(Protocol::Udp) => self.receive_message(id, parts, flags, message),
                None => self.receive_local(id, parts, flags, message),
            }
        };
        unless_refused(outcome, flags)
    }

    /// # Safety
    ///
    /// As for [`receive`](Self::receive).
    unsafe fn receive_bytes(
        &mut self,
        id: SocketId,
        parts: &Parts,
        flags: i32,
        message: *mut Message,
    ) -> Outcome {
        let peeks = flags & MSG_PEEK != 0;
        let Some(socket) = self.network.sockets.get_mut(id) else {
            return Err(libc::EBADF).into();
        };
        let Role::Stream(stream) = &mut socket.role else {
            return Err(ENOTCONN).into();
        };
        let room = parts.len();
        let is_over = stream.has_got_fin || stream.is_read_shut || stream.is_reset;
        let waits_for_all = flags & MSG_WAITALL != 0
            && stream.received.len() < room.min(socket.options.recv_buffer)
            && !is_over;
        let len = if stream.received.is_empty() || waits_for_all {
            if stream.received.is_empty()
                && let Some(code) = socket.error.take()
            {
                return Err(code).into();
            }
            if room > 0 && !is_over {
                return Outcome::Wait(id, Queue::of_receive(peeks));
            }
            0
        } else {
            let possible = stream.received.len().min(room);
            let len = if flags & (MSG_PEEK | MSG_WAITALL) == 0 {
                self.hosts[socket.host].completions.receive(possible)
            } else {
                possible
            };
            let (first, second) = stream.received.as_slices();
            let first = &first[..first.len().min(len)];
            let second = &second[..len - first.len()];
            // SAFETY: passed on from this function.
            unsafe { parts.write(0, first) + parts.write(first.len(), second) }
        };
        if !peeks && len > 0 {
            stream.received.drain(..len);
            if stream.received.is_empty() {
                // The next packet brings its own memory.
                stream.received = VecDeque::new();
            }
            self.announce_room(id, len);
        }
        // SAFETY: passed on from this function.
        unsafe { finish_message(message, None, &[], 0) };
        Ok(len as u32).into()
    }

    /// # Safety
    ///
    /// As for [`receive`](Self::receive).
    unsafe fn receive_message(
        &mut self,
        id: SocketId,
        parts: &Parts,
        flags: i32,
        message: *mut Message,
    ) -> Outcome {
        let datagram = match self.receive_datagram(id, flags & MSG_PEEK != 0) {
            Ok(received) => received,
            Err(outcome) => return outcome,
        };
        let control: Vec<_> = self.ancillary_of(id, &datagram).collect();
        let from = Some(datagram.from.into());
        // SAFETY: passed on from this function.
        let len = unsafe { write_datagram(&datagram.bytes, from, &control, parts, flags, message) };
        Ok(len).into()
    }

    /// # Safety
    ///
    /// The operation is in flight, and no buffer is picked.
    unsafe fn receive_pooled(
        &mut self,
        id: SocketId,
        choice: *mut BufferPick,
        flags: i32,
    ) -> Outcome {
        // SAFETY: passed on from this function.
        let Some(span) = (unsafe { BufferPick::pick(choice) }) else {
            return Err(ENOBUFS).into();
        };
        let parts = Parts::one(span.start, span.len as usize);
        // SAFETY: the buffer belongs to the operation.
        let outcome = unsafe { self.receive(id, &parts, flags, ptr::null_mut()) };
        let is_filled = matches!(outcome, Outcome::Done(Ok(len)) if len > 0);
        if !is_filled {
            // SAFETY: likewise.
            unsafe { BufferPick::unpick(choice) };
        }
        outcome
    }

    /// # Safety
    ///
    /// The memory is valid, and so is the message.
    pub(in crate::sys::simulated) unsafe fn send(
        &mut self,
        id: SocketId,
        parts: &Parts,
        flags: i32,
        message: Option<*mut Message>,
    ) -> Outcome {
        if flags & MSG_OOB != 0 {
            return Err(ENOSYS).into();
        }
        // SAFETY: passed on from this function.
        let (to, control) = unsafe {
            match message {
                Some(message) => (receiver_of(message), control_of(message)),
                None => (None, [].as_slice()),
            }
        };
        let data = match SendData::of(control) {
            Ok(data) => data,
            Err(code) => return Err(code).into(),
        };
        let outcome = match self.network.sockets.get(id).map(|socket| socket.protocol) {
            Some(Protocol::Tcp) if to.is_some() => Err(EISCONN).into(),
            // SAFETY: passed on from this function.
            Some(Protocol::Tcp) => unsafe { self.send_bytes(id, parts) },
            Some(Protocol::Udp) if parts.len() > u16::MAX as usize => Err(EMSGSIZE).into(),
            Some(Protocol::Udp) => {
                // SAFETY: likewise.
                let bytes = unsafe { parts.read(usize::MAX) };
                let to = to.and_then(|to| to.as_socket());
                self.send_datagrams(id, bytes, to, &data).into()
            }
            // SAFETY: likewise.
            None => unsafe { self.send_local(id, parts, to.as_ref()) },
        };
        unless_refused(outcome, flags)
    }

    /// # Safety
    ///
    /// The memory is valid.
    unsafe fn send_bytes(&mut self, id: SocketId, parts: &Parts) -> Outcome {
        let Some(socket) = self.network.sockets.get_mut(id) else {
            return Err(libc::EBADF).into();
        };
        let Role::Stream(stream) = &mut socket.role else {
            return Err(if socket.remote.is_none() {
                EPIPE
            } else {
                ENOTCONN
            })
            .into();
        };
        if let Some(code) = socket.error.take() {
            return Err(code).into();
        }
        if stream.is_reset || stream.has_sent_fin {
            return Err(EPIPE).into();
        }
        let to = stream.other;
        let limit = socket.options.window();
        let room = limit.saturating_sub(stream.outstanding);
        if parts.len() == 0 {
            return Ok(0).into();
        }
        if room == 0 {
            return Outcome::Wait(id, Queue::Write);
        }
        let possible = room.min(parts.len());
        let len = self.hosts[socket.host].completions.send(possible);
        // SAFETY: passed on from this function.
        let mut bytes = unsafe { parts.read(len) };
        stream.outstanding += bytes.len();
        let route = stream.route;
        self.trace.add_bytes(self.now, &bytes);
        let len = bytes.len() as u32;
        if let Some(place) = self.network.draw_split(route, bytes.len()) {
            let rest = bytes.split_off(place);
            self.send_of(id, Signal::Data { to, bytes });
            bytes = rest;
        }
        self.send_of(id, Signal::Data { to, bytes });
        Ok(len).into()
    }

    /// poll(2) for one socket.
    pub(in crate::sys::simulated) fn poll(&self, id: SocketId, events: u32) -> Outcome {
        match self.ready_events(id) & (events | ready::ERR | ready::HUP) {
            0 => Outcome::Wait(id, Queue::Other),
            found => Ok(found).into(),
        }
    }

    /// The `poll(2)` bits that are true now.
    pub(in crate::sys::simulated) fn ready_events(&self, id: SocketId) -> u32 {
        let Some(socket) = self.network.sockets.get(id) else {
            return self.ready_events_local(id);
        };
        let mut events = 0;
        let mut set = |bit, is_set| events |= if is_set { bit } else { 0 };
        set(ready::ERR, socket.error.is_some());
        match &socket.role {
            Role::Idle => set(ready::OUT | ready::HUP, true),
            Role::Connecting => {}
            Role::Listener(listener) => set(ready::IN, !listener.queue.is_empty()),
            Role::Datagram(datagrams) => {
                set(ready::IN, !datagrams.queue.is_empty());
                set(ready::OUT, true);
            }
            Role::Stream(stream) => {
                let is_over = stream.has_got_fin || stream.is_read_shut || stream.is_reset;
                set(ready::IN, is_over || !stream.received.is_empty());
                let limit = socket.options.window();
                let has_room = stream.outstanding < limit;
                set(ready::OUT, has_room || stream.is_reset);
                let is_closed = stream.has_got_fin && stream.has_sent_fin;
                set(ready::HUP, stream.is_reset || is_closed);
            }
        }
        events
    }

    /// The local address, as getsockname(2) returns it.
    pub(in crate::sys::simulated) fn own_address(&self, id: SocketId) -> Result<SockAddr, i32> {
        if self.network.sockets.get(id).is_some() {
            Ok(self.local_of(id).into())
        } else {
            self.address_of_local(id)
        }
    }

    /// The peer's address, as getpeername(2) returns it.
    pub(in crate::sys::simulated) fn peer_of(&self, id: SocketId) -> Result<SockAddr, i32> {
        let Some(socket) = self.network.sockets.get(id) else {
            return self.peer_of_local(id);
        };
        let remote = match &socket.role {
            Role::Stream(stream) if !stream.is_reset => socket.remote.ok_or(EADDRNOTAVAIL),
            Role::Datagram(_) => socket.remote.ok_or(ENOTCONN),
            Role::Stream(_) | Role::Idle | Role::Connecting | Role::Listener(_) => Err(ENOTCONN),
        };
        remote.map(SockAddr::from)
    }

    /// The options of a socket, and `SO_ERROR`.
    pub(in crate::sys::simulated) fn options_mut(
        &mut self,
        id: SocketId,
    ) -> Result<(&mut Options, &mut Option<i32>), i32> {
        match self.network.sockets.get_mut(id) {
            Some(socket) => Ok((&mut socket.options, &mut socket.error)),
            None => self.local.options_mut(id),
        }
    }

    /// Whether it is a stream socket.
    pub(in crate::sys::simulated) fn is_stream(&self, id: SocketId) -> bool {
        match self.network.sockets.get(id) {
            Some(socket) => socket.protocol == Protocol::Tcp,
            None => self.is_local_stream(id),
        }
    }

    /// Whether it is in the state of listen(2).
    pub(in crate::sys::simulated) fn listens(&self, id: SocketId) -> bool {
        match self.network.sockets.get(id) {
            Some(socket) => matches!(socket.role, Role::Listener(_)),
            None => self.local_listens(id),
        }
    }
}

/// EAGAIN in the place of a wait that the flags forbid.
fn unless_refused(outcome: Outcome, flags: i32) -> Outcome {
    match outcome {
        Outcome::Wait(..) if flags & MSG_DONTWAIT != 0 => Err(EAGAIN).into(),
        Outcome::Wait(..) | Outcome::Done(_) => outcome,
    }
}
