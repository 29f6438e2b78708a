//! Retransmissions of TCP. A side of a connection with a lost packet, or with data whose acknowledgement was lost, has a
//! [`Sender`]. Other sides have none: their packets arrive in order.
//!
//! Packets of a side that arrive after a lost one wait in its queue, and arrive with its retransmission. So no byte of a stream is lost,
//! duplicated or reordered.
//!
//! The sender is independent of the socket, because the kernel repeats packets after a close.

use std::{
    collections::{VecDeque, btree_map::Entry},
    time::Duration,
};

use libc::ETIMEDOUT;

use super::{Packet, Signal, links::Route, socket::Role};
use crate::sys::simulated::{descriptors::SocketId, events::Event, world::State};

/// The time of the first retransmission, and the longest one: of Linux.
const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(120);

/// The number of retransmissions before the connection fails, `tcp_retries2` of Linux: together 924.6 seconds.
const RETRIES: u32 = 15;

/// One side of a connection, with packets that are not acknowledged.
#[derive(Debug)]
pub(super) struct Sender {
    route: Route,
    /// Packets that have not arrived, in the order of the stream.
    queue: VecDeque<Signal>,
    /// Packets have arrived, but their acknowledgement has not.
    is_unacknowledged: bool,
    /// Packets have arrived at a socket that has ended, and its reset was lost.
    is_stray: bool,
    attempts: u32,
    /// The number of its timer. Others are void.
    timer: u64,
}

impl Sender {
    /// Whether the connection fails without an answer. An acknowledgement gets none.
    fn needs_answer(&self) -> bool {
        let is_credit = |signal: &Signal| matches!(signal, Signal::Credit { .. });
        self.is_unacknowledged || !self.queue.iter().all(is_credit)
    }

    fn timeout(&self) -> Duration {
        let doubled = FIRST.saturating_mul(1 << self.attempts.min(RETRIES));
        doubled.min(LONGEST)
    }
}

impl State {
    /// A packet of a connection arrives, or is lost.
    pub(super) fn on_segment(&mut self, packet: Packet) {
        let Packet {
            route,
            from,
            signal,
        } = packet;
        if let Some(sender) = self.network.senders.get_mut(&from)
            && !sender.queue.is_empty()
        {
            sender.queue.push_back(signal);
            return;
        }
        let may_be_lost = !matches!(signal, Signal::Credit { .. });
        if self.passes(route, may_be_lost) {
            return self.receive_segment(from, route, signal);
        }
        if let Signal::Established {
            client, deadline, ..
        } = signal
        {
            let packet = Packet {
                route,
                from,
                signal: Signal::ConnectTimeout { client },
            };
            self.events
                .add(deadline.max(self.now), Event::Network(packet));
        }
        // A sender without room sends probes, and they get no answer.
        if let Signal::Credit { to, .. } = signal
            && !self.has_room(to)
        {
            self.sender(to, route.reversed()).is_unacknowledged = true;
        }
        self.sender(from, route).queue.push_back(signal);
    }

    /// The sender of a socket. A new one has a timer.
    fn sender(&mut self, id: SocketId, route: Route) -> &mut Sender {
        if let Entry::Vacant(entry) = self.network.senders.entry(id) {
            entry.insert(Sender {
                route,
                queue: VecDeque::new(),
                is_unacknowledged: false,
                is_stray: false,
                attempts: 0,
                timer: 0,
            });
            self.start_timer(id, FIRST);
        }
        self.network.senders.get_mut(&id).expect("it exists now")
    }

    fn start_timer(&mut self, id: SocketId, time: Duration) {
        self.network.timers += 1;
        let timer = self.network.timers;
        let Some(sender) = self.network.senders.get_mut(&id) else {
            return;
        };
        sender.timer = timer;
        let signal = Signal::Retransmit { sender: id, timer };
        let route = sender.route;
        let packet = Packet {
            route,
            from: id,
            signal,
        };
        // One event is both the end of the timer and the arrival of the packet.
        let travel = self.network.draw_latency();
        self.events
            .add(self.now + time + travel, Event::Network(packet));
    }

    /// After a hold: all packets of the link arrive.
    pub(super) fn retransmit_now(&mut self, route: Route) {
        let senders = self.network.senders.iter();
        let senders: Vec<_> = senders
            .filter(|(_, sender)| sender.route == route || sender.route.reversed() == route)
            .map(|(id, _)| *id)
            .collect();
        for id in senders {
            self.start_timer(id, Duration::ZERO);
        }
    }

    fn receive_segment(&mut self, from: SocketId, route: Route, signal: Signal) {
        let gets_answer = matches!(signal, Signal::Data { .. } | Signal::Fin { .. });
        if matches!(signal, Signal::Data { .. }) && self.network.draw_reset(route) {
            return self.reset_both(from, &signal);
        }
        match signal {
            Signal::Established { client, server, .. } => {
                self.on_established(route, client, server)
            }
            Signal::Data { to, bytes } => self.on_data(route, to, from, bytes),
            Signal::Credit { to, len } => self.on_credit(to, len),
            Signal::Fin { to } => self.on_fin(route, to, from),
            Signal::Syn { .. }
            | Signal::Refused { .. }
            | Signal::ConnectTimeout { .. }
            | Signal::Retransmit { .. }
            | Signal::Reset { .. }
            | Signal::Datagram(_)
            | Signal::Unreachable { .. } => {}
        }
        if gets_answer && self.is_blocked(route.reversed()) {
            self.sender(from, route).is_unacknowledged = true;
        }
    }

    /// A device between two hosts ends their connection.
    fn reset_both(&mut self, from: SocketId, signal: &Signal) {
        self.on_reset(from);
        if let Signal::Data { to, .. } = signal {
            self.on_reset(*to);
        }
    }

    /// A socket that has ended could not send a reset for a packet.
    pub(super) fn repeat_stray(&mut self, from: SocketId, route: Route) {
        self.sender(from, route).is_stray = true;
    }

    /// A retransmission arrives, or is lost again.
    pub(super) fn on_retransmit(&mut self, id: SocketId, timer: u64) {
        let senders = &mut self.network.senders;
        if senders.get(&id).is_none_or(|sender| sender.timer != timer) {
            return;
        }
        let Some(mut sender) = senders.remove(&id) else {
            return;
        };
        let route = sender.route;
        self.network.links.counts.retransmissions += 1;
        let needs_answer = sender.needs_answer();
        if self.passes(route, needs_answer) {
            for signal in std::mem::take(&mut sender.queue) {
                self.receive_segment(id, route, signal);
            }
            // Made by these packets.
            if let Some(other) = self.network.senders.remove(&id) {
                sender.is_stray |= other.is_stray;
            }
            if !needs_answer || !self.is_blocked(route.reversed()) {
                self.acknowledge(id);
                if sender.is_stray {
                    self.send_signal(route.reversed(), Signal::Reset { to: id });
                }
                return;
            }
            sender.is_unacknowledged = true;
        }
        if sender.attempts >= RETRIES && needs_answer {
            return self.fail_connection(id);
        }
        sender.attempts = (sender.attempts + 1).min(RETRIES);
        let timeout = sender.timeout();
        self.network.senders.insert(id, sender);
        self.start_timer(id, timeout);
    }

    /// The answer of the peer has its room for more bytes.
    fn acknowledge(&mut self, id: SocketId) {
        let Some(other) = self.stream_mut(id).map(|stream| stream.other) else {
            return;
        };
        let sender = self.network.senders.get(&other);
        if sender.is_some_and(|sender| !sender.needs_answer()) {
            self.start_timer(other, Duration::ZERO);
        }
    }

    /// The peer has not answered the last retransmission.
    fn fail_connection(&mut self, id: SocketId) {
        self.network.links.counts.timeouts += 1;
        let Some(socket) = self.network.sockets.get_mut(id) else {
            return;
        };
        if let Role::Stream(stream) = &mut socket.role
            && !stream.is_reset
        {
            stream.is_reset = true;
            socket.error = Some(ETIMEDOUT);
            self.retry(id);
        }
    }

    /// Whether the peer of a socket has room for more bytes.
    fn has_room(&self, id: SocketId) -> bool {
        let Some(socket) = self.network.sockets.get(id) else {
            return true;
        };
        match &socket.role {
            Role::Stream(stream) => stream.outstanding < socket.options.window(),
            Role::Idle | Role::Listener(_) | Role::Connecting | Role::Datagram(_) => true,
        }
    }
}
