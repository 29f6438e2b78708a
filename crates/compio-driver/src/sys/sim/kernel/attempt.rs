//! The execution of requests by a simulated kernel.

use libc::{EAGAIN, EMFILE, ENOBUFS, EOPNOTSUPP};

use super::super::Thing;
use super::{
    Flight, Kernel, Stage,
    buffer_ring::Buffer,
    completion::{Effect, What},
    fault_profile::FAULTS,
    is_not_to_wait,
};
use crate::{
    request::{BufferPick, Control, FileOp, Net, Poll, Position, Request, Transfer, ready},
    sys::{PeerAddress, PickBuffer, parts::Parts, programs::Memory},
};

impl Kernel {
    /// Attempts a request. It may stay in flight.
    pub(super) fn attempt(&mut self, flight: &mut Flight) {
        if matches!(flight.stage, Stage::Ended) {
            return;
        }
        if self.rng.percent(self.profile.fails) {
            return self.fail(flight);
        }
        let thing = flight.thing.unwrap_or(usize::MAX);
        match flight.request {
            Request::Nop => self.end(flight, Ok(0), Effect::Nothing),
            Request::Blocking(work) => self.end(flight, Ok(0), Effect::Run(work)),
            Request::Transfer(transfer) => match transfer {
                Transfer::Read {
                    position: Position::At(at),
                    ..
                }
                | Transfer::ReadVectored {
                    position: Position::At(at),
                    ..
                } => {
                    let there = self.things[thing].filled.saturating_sub(at as usize);
                    let len = self.some(there.min(flight.memory.len()));
                    self.end(
                        flight,
                        Ok(len as u32),
                        Effect::Fill(thing, at as usize, len),
                    );
                }
                Transfer::Read { .. } | Transfer::ReadVectored { .. } => {
                    self.receive(flight, thing)
                }
                Transfer::Write { .. } | Transfer::WriteVectored { .. } => self.send(flight, thing),
            },
            Request::FileOp(op) => match op {
                FileOp::Sync { .. }
                | FileOp::Stat { .. }
                | FileOp::StatFd { .. }
                | FileOp::Truncate { .. }
                | FileOp::Allocate { .. } => {
                    self.end(flight, Ok(0), Effect::Nothing);
                }
                FileOp::WriteWith { span, .. } => self.end(flight, Ok(span.len), Effect::Nothing),
                FileOp::Open { .. } => self.hand_out(flight, std::ptr::null_mut()),
            },
            Request::Path(_) => self.end(flight, Ok(0), Effect::Nothing),
            Request::Net(net) => match net {
                Net::Recv { .. } | Net::RecvMsg { .. } => self.receive(flight, thing),
                Net::Send { .. } | Net::SendMsg { .. } => self.send(flight, thing),
                Net::Accept { peer, .. } => {
                    if self.things[thing].connections > 0 {
                        self.things[thing].connections -= 1;
                        self.hand_out(flight, peer);
                    }
                }
                Net::Connect { .. } => self.end(flight, Ok(0), Effect::Nothing),
                Net::AcceptMulti { .. } => self.accept_many(flight, thing),
                Net::RecvMulti { group, once, .. } => {
                    self.receive_many(flight, thing, group, once);
                }
                Net::RecvPooled { choice, .. } => self.receive_pooled(flight, thing, choice),
                Net::SendZeroCopy { .. } | Net::SendMsgZeroCopy { .. } => {
                    self.send_uncopied(flight, thing)
                }
            },
            Request::Control(control) => match control {
                Control::Socket { .. } => self.hand_out(flight, std::ptr::null_mut()),
                Control::Bind { .. } | Control::Listen { .. } | Control::Shutdown { .. } => {
                    self.end(flight, Ok(0), Effect::Nothing);
                }
                Control::Pipe { .. } => self.end(flight, Err(EMFILE), Effect::Nothing),
            },
            Request::Poll(Poll::Once { events, .. }) => {
                let thing = &self.things[thing];
                let is_readable = thing.filled > thing.taken || thing.is_finished;
                let is_ready = events & ready::IN == 0 || is_readable || self.rng.percent(5);
                if is_ready {
                    self.end(flight, Ok(events), Effect::Nothing);
                }
            }
            Request::Splice(_) | Request::Raw(_) => {
                self.end(flight, Err(EOPNOTSUPP), Effect::Nothing);
            }
            Request::Invalid => self.end(flight, Err(libc::EINVAL), Effect::Nothing),
        }
    }

    /// Completes a request with an injected error.
    pub(super) fn fail(&mut self, flight: &mut Flight) {
        // The backend takes this error as the result of a control request.
        if !matches!(flight.request, Request::Control(_)) && self.rng.percent(30) {
            return self.give_up(flight);
        }
        let code = self.rng.pick(&FAULTS);
        match flight.request {
            Request::Blocking(_) => self.give_up(flight),
            // A zero-copy send that fails still posts a second completion, which releases its memory.
            Request::Net(Net::SendZeroCopy { .. } | Net::SendMsgZeroCopy { .. })
                if self.rng.percent(50) =>
            {
                self.post(flight.key, What::Item(Err(code), None), Effect::Nothing);
                flight.stage = Stage::Lingering(Vec::new());
            }
            // A receive that fails may have chosen a buffer.
            Request::Net(Net::RecvMulti { group, .. }) if self.rng.percent(30) => {
                let Some(buffer) = self.choose(group) else {
                    return self.end(flight, Err(ENOBUFS), Effect::Nothing);
                };
                self.post(
                    flight.key,
                    What::Item(Err(code), Some(buffer.id)),
                    Effect::Nothing,
                );
                self.end(flight, Err(code), Effect::Nothing);
            }
            Request::Nop
            | Request::Transfer(_)
            | Request::FileOp(_)
            | Request::Path(_)
            | Request::Net(_)
            | Request::Control(_)
            | Request::Splice(_)
            | Request::Poll(_)
            | Request::Raw(_)
            | Request::Invalid => self.end(flight, Err(code), Effect::Nothing),
        }
    }

    /// Consumes bytes of a socket.
    pub(super) fn take(&mut self, thing: usize, room: usize) -> Option<(usize, usize)> {
        let Thing { filled, taken, .. } = self.things[thing];
        if filled == taken && !self.things[thing].is_finished {
            return None;
        }
        let len = self.some((filled - taken).min(room));
        self.things[thing].taken += len;
        Some((taken, len))
    }

    pub(super) fn receive(&mut self, flight: &mut Flight, thing: usize) {
        if let Some((from, len)) = self.take(thing, flight.memory.len()) {
            self.end(flight, Ok(len as u32), Effect::Fill(thing, from, len));
        } else if is_not_to_wait(&flight.request) {
            self.end(flight, Err(EAGAIN), Effect::Nothing);
        }
    }

    pub(super) fn send(&mut self, flight: &mut Flight, thing: usize) {
        let may_refuse = matches!(
            flight.request,
            Request::Net(Net::Send { .. } | Net::SendMsg { .. })
        );
        if may_refuse && self.rng.percent(10) {
            self.post(flight.key, What::WouldBlock, Effect::Nothing);
            flight.stage = Stage::Ended;
            return;
        }
        let len = self.some(flight.memory.len());
        self.end(flight, Ok(len as u32), Effect::Send(thing, len));
    }

    pub(super) fn send_uncopied(&mut self, flight: &mut Flight, thing: usize) {
        if self.rng.percent(20) {
            // This type of socket has no zero-copy sends.
            return self.end(flight, Err(EOPNOTSUPP), Effect::Nothing);
        }
        if self.rng.percent(20) {
            return self.send(flight, thing);
        }
        let len = self.some(flight.memory.len());
        // SAFETY: the operation has not been reported as completed, by the contract of `submit`.
        let sent = unsafe { flight.memory.read(len) };
        self.things[thing].written.extend_from_slice(&sent);
        let first = What::Item(Ok(len as u32), None);
        self.post(flight.key, first, Effect::Nothing);
        flight.stage = Stage::Lingering(sent);
    }

    pub(super) fn hand_out(&mut self, flight: &mut Flight, peer: *mut PeerAddress) {
        if let Some(listener) = flight.thing {
            self.things[listener].handed_out += 1;
        }
        let (_, fd) = self.make();
        self.end(flight, Ok(0), Effect::HandOut(fd, peer));
    }

    pub(super) fn accept_many(&mut self, flight: &mut Flight, thing: usize) {
        while self.things[thing].connections > 0 {
            self.things[thing].connections -= 1;
            if self.posted.len() > self.profile.completions_max || self.rng.percent(2) {
                // The completion queue is full: this accept is the last one.
                return self.hand_out(flight, std::ptr::null_mut());
            }
            self.things[thing].handed_out += 1;
            let (_, fd) = self.make();
            let effect = Effect::HandOut(fd, std::ptr::null_mut());
            self.post(flight.key, What::Item(Ok(0), None), effect);
        }
        if self.rng.percent(self.profile.fails) {
            self.end(flight, Err(EMFILE), Effect::Nothing);
        }
    }

    pub(super) fn receive_many(
        &mut self,
        flight: &mut Flight,
        thing: usize,
        group: u16,
        once: bool,
    ) {
        loop {
            let Thing { filled, taken, .. } = self.things[thing];
            if filled == taken && !self.things[thing].is_finished {
                return;
            }
            // EOF may have chosen a buffer, too.
            if filled == taken && self.rng.percent(50) {
                return self.end(flight, Ok(0), Effect::Nothing);
            }
            let Some(buffer) = self.choose(group) else {
                return self.end(flight, Err(ENOBUFS), Effect::Nothing);
            };
            let (from, len) = self
                .take(thing, buffer.len)
                .expect("the object has bytes or is finished");
            let item = What::Item(Ok(len as u32), Some(buffer.id));
            self.post(flight.key, item, Effect::Put(buffer, thing, from, len));
            let is_full = self.posted.len() > self.profile.completions_max;
            if len == 0 || once || is_full || self.rng.percent(2) {
                return self.end(flight, Ok(len as u32), Effect::Nothing);
            }
        }
    }

    pub(super) fn receive_pooled(
        &mut self,
        flight: &mut Flight,
        thing: usize,
        choice: *mut BufferPick,
    ) {
        let Thing { filled, taken, .. } = self.things[thing];
        if filled == taken {
            if self.things[thing].is_finished {
                self.end(flight, Ok(0), Effect::Nothing);
            }
            return;
        }
        // SAFETY: the request has not been completed, by the contract of `submit`, and no buffer has
        // been chosen for it.
        let Some(span) = (unsafe { BufferPick::pick(choice) }) else {
            return self.end(flight, Err(ENOBUFS), Effect::Nothing);
        };
        flight.memory = Memory::Filled(Parts::one(span.start, span.len as usize));
        self.receive(flight, thing);
    }

    pub(super) fn choose(&mut self, group: u16) -> Option<Buffer> {
        let buffer_ring = self
            .buffer_rings
            .iter()
            .find(|buffer_ring| buffer_ring.group == group);
        let mut buffers = buffer_ring
            .expect("the group must be registered")
            .buffers
            .borrow_mut();
        if buffers.is_empty() {
            return None;
        }
        let which = self.rng.roll(buffers.len());
        Some(buffers.swap_remove(which))
    }

    /// A random length from 1 to `len`, or exactly `len`. 0 only if `len` is 0.
    pub(super) fn some(&mut self, len: usize) -> usize {
        if len > 1 && self.rng.percent(self.profile.is_short) {
            1 + self.rng.roll(len)
        } else {
            len
        }
    }
}
