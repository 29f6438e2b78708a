//! Unix datagrams: none is lost or reordered. A send waits while a buffer or a queue is full, as on Linux.

use std::{collections::VecDeque, mem};

use libc::{EBADF, ECONNREFUSED, ECONNRESET, EINVAL, EMSGSIZE, ENOTCONN, EPERM, EPIPE};
use socket2::SockAddr;

use super::{Kind, Role};
use crate::sys::simulated::{
    descriptors::SocketId, requests::Outcome, waiters::Queue, world::State,
};

/// The datagrams that a socket queues beside the first one, except for those of its peer: `net.unix.max_dgram_qlen`.
const QUEUE: usize = 10;

/// The bytes of a send buffer that a datagram takes beside its content.
const OVERHEAD: usize = 576;

#[derive(Debug, Default)]
pub(super) struct Datagrams {
    /// The peer, and its address at the time of the connect.
    pub(super) peer: Option<(SocketId, SockAddr)>,
    pub(super) queue: VecDeque<Datagram>,
    /// The used bytes of the send buffer: of datagrams that no socket has received.
    used: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Datagram {
    sender: SocketId,
    from: Option<SockAddr>,
    bytes: Vec<u8>,
}

impl Datagrams {
    pub(super) fn connected(peer: SocketId, address: SockAddr) -> Self {
        Self {
            peer: Some((peer, address)),
            ..Self::default()
        }
    }

    fn is_connected_to(&self, id: SocketId) -> bool {
        self.peer.as_ref().is_some_and(|(peer, _)| *peer == id)
    }
}

impl State {
    fn datagrams(&self, id: SocketId) -> Option<&Datagrams> {
        match &self.local.get(id).ok()?.role {
            Role::Datagrams(datagrams) => Some(datagrams),
            Role::Idle | Role::Listener(_) | Role::Stream(_) => None,
        }
    }

    fn datagrams_mut(&mut self, id: SocketId) -> Option<&mut Datagrams> {
        match &mut self.local.get_mut(id).ok()?.role {
            Role::Datagrams(datagrams) => Some(datagrams),
            Role::Idle | Role::Listener(_) | Role::Stream(_) => None,
        }
    }

    pub(super) fn connect_datagrams_local(
        &mut self,
        id: SocketId,
        address: &SockAddr,
    ) -> Result<(), i32> {
        let host = self.local.get(id)?.host;
        let at = self.find_local(host, Kind::Datagram, address)?;
        self.check_receiver(at, id)?;
        let peer = Some((at, self.local.get(at)?.address()));
        let datagrams = self.datagrams_mut(id).ok_or(EBADF)?;
        let old = mem::replace(&mut datagrams.peer, peer);
        if let Some((old, _)) = old.filter(|(old, _)| *old != at) {
            self.disconnect_local(id, old);
        }
        Ok(())
    }

    /// The socket has lost its peer, or has got another one. As on Linux, its queue is emptied.
    fn disconnect_local(&mut self, id: SocketId, old: SocketId) {
        let Some(datagrams) = self.datagrams_mut(id) else {
            return;
        };
        let lost = mem::take(&mut datagrams.queue);
        for datagram in &lost {
            self.release_datagram(datagram);
        }
        self.wake_blocked(id);
        let of_old = self.datagrams(old);
        if !lost.is_empty()
            && of_old.is_some_and(|old| old.is_connected_to(id))
            && let Ok(old) = self.local.get_mut(old)
        {
            old.error = Some(ECONNRESET);
        }
        self.wake_local(old);
    }

    /// EPERM if the receiver is connected to another socket.
    fn check_receiver(&self, receiver: SocketId, sender: SocketId) -> Result<(), i32> {
        let datagrams = self.datagrams(receiver).ok_or(ECONNREFUSED)?;
        match datagrams.peer {
            Some((peer, _)) if peer != sender => Err(EPERM),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the receiver has no room in its queue for this sender.
    pub(super) fn is_full(&self, receiver: SocketId, sender: SocketId) -> bool {
        self.datagrams(receiver).is_some_and(|datagrams| {
            receiver != sender
                && !datagrams.is_connected_to(sender)
                && datagrams.queue.len() > QUEUE
        })
    }

    /// Whether the send buffer of the socket has room.
    pub(super) fn has_room_to_send(&self, id: SocketId) -> bool {
        let socket = self.local.get(id);
        let limit = socket.map_or(0, |socket| socket.options.send_buffer);
        self.datagrams(id).is_some_and(|own| own.used < limit)
    }

    pub(super) fn send_datagram_local(
        &mut self,
        id: SocketId,
        bytes: Vec<u8>,
        to: Option<&SockAddr>,
    ) -> Outcome {
        match self.try_send_datagram_local(id, bytes, to) {
            Ok(Some(len)) => Ok(len).into(),
            Ok(None) => Outcome::Wait(id, Queue::Other),
            Err(code) => Err(code).into(),
        }
    }

    /// `None` if there is no room.
    fn try_send_datagram_local(
        &mut self,
        id: SocketId,
        bytes: Vec<u8>,
        to: Option<&SockAddr>,
    ) -> Result<Option<u32>, i32> {
        let sender = self.local.get_mut(id)?;
        let (host, from) = (sender.host, sender.name.clone());
        let limit = sender.options.send_buffer;
        if bytes.len() + 32 > limit {
            return Err(EMSGSIZE);
        }
        if let Some(code) = sender.error.take() {
            return Err(code);
        }
        if sender.is_write_shut {
            return Err(EPIPE);
        }
        if !self.has_room_to_send(id) {
            return Ok(None);
        }
        let peer = self.datagrams(id).and_then(|own| own.peer.as_ref());
        let at = match (to, peer) {
            (Some(address), _) => self.find_local(host, Kind::Datagram, address)?,
            (None, Some((peer, _))) => *peer,
            (None, None) => return Err(ENOTCONN),
        };
        if self.local.get(at).is_err() {
            if let Some(datagrams) = self.datagrams_mut(id) {
                datagrams.peer = None;
            }
            self.disconnect_local(id, at);
            return Err(ECONNREFUSED);
        }
        self.check_receiver(at, id)?;
        if self.local.get(at)?.is_read_shut {
            return Err(EPIPE);
        }
        if self.is_full(at, id) {
            self.local.get_mut(at)?.add_blocked(id);
            return Ok(None);
        }
        self.hosts[host].completions.check_datagram()?;
        self.trace.add_bytes(self.now, &bytes);
        let len = bytes.len();
        if let Some(datagrams) = self.datagrams_mut(id) {
            datagrams.used += len + OVERHEAD;
        }
        if let Some(datagrams) = self.datagrams_mut(at) {
            let sender = id;
            datagrams.queue.push_back(Datagram {
                sender,
                from,
                bytes,
            });
        }
        self.wake_local(at);
        Ok(Some(len as u32))
    }

    /// The sender's buffer has room again.
    pub(super) fn release_datagram(&mut self, datagram: &Datagram) {
        if let Some(sender) = self.datagrams_mut(datagram.sender) {
            sender.used -= datagram.bytes.len() + OVERHEAD;
        }
        self.wake_local(datagram.sender);
    }

    /// The first datagram, and its sender if that has a name. It stays in the queue if `peeks`.
    pub(super) fn receive_datagram_local(
        &mut self,
        id: SocketId,
        peeks: bool,
    ) -> Result<(Option<SockAddr>, Vec<u8>), Outcome> {
        let endpoint = self.local.get_mut(id).map_err(refused)?;
        let is_read_shut = endpoint.is_read_shut;
        if let Some(code) = endpoint.error.take() {
            return Err(refused(code));
        }
        let Role::Datagrams(datagrams) = &mut endpoint.role else {
            return Err(refused(EINVAL));
        };
        let first = if peeks {
            datagrams.queue.front().cloned()
        } else {
            datagrams.queue.pop_front()
        };
        match first {
            Some(datagram) => {
                if !peeks {
                    self.release_datagram(&datagram);
                    self.wake_blocked(id);
                }
                Ok((datagram.from, datagram.bytes))
            }
            None if is_read_shut => Ok((None, Vec::new())),
            None => Err(Outcome::Wait(id, Queue::of_receive(peeks))),
        }
    }
}

fn refused(code: i32) -> Outcome {
    Outcome::Done(Err(code))
}
