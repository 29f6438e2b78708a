//! The dispatch of requests to files and sockets.

use libc::ENOSYS;

use super::{
    descriptors::{Object, SocketId, is_simulated},
    drivers::{DriverId, Posted, Waiter},
    memory::Parts,
    rng::mix,
    trace::Mark,
    waiters::Queue,
    world::{HostId, State},
};
use crate::{
    request::{Control, FileOp, Net, PathOp, Poll, Position, RawResult, Request, Transfer, ready},
    sys::RawFd,
};

/// The result of an attempt to execute a request.
pub(super) enum Attempt {
    Done(RawResult),
    /// It is in the table of requests in flight, and in a queue of its socket or of events.
    Waits,
}

/// The result of an attempt on a socket.
pub(super) enum Outcome {
    Done(RawResult),
    Wait(SocketId, Queue),
}

impl From<Result<u32, i32>> for Outcome {
    fn from(answer: Result<u32, i32>) -> Self {
        Self::Done(answer)
    }
}

impl State {
    /// Attempts a new request.
    ///
    /// # Safety
    ///
    /// The memory of the request is valid until its completion has been reported.
    pub(super) unsafe fn attempt_first(&mut self, waiter: Waiter, request: &Request) -> Attempt {
        let host = self.drivers.host(waiter.driver);
        let direction = direction_of(request);
        let mut group = None;
        let outcome = if let Some(socket) = self.socket_of_request(host, request) {
            group = direction.map(|(queue, _)| group_of(socket, queue));
            match direction {
                // Earlier requests come first.
                Some((queue, flags)) if takes_turn(flags) && self.has_waiters(socket, queue) => {
                    Outcome::Wait(socket, queue)
                }
                // SAFETY: passed on from this function.
                Some(_) | None => unsafe { self.attempt_on_socket(socket, request) },
            }
        } else {
            // SAFETY: likewise.
            unsafe {
                if self.begin_on_disk(waiter, request) {
                    return Attempt::Waits;
                }
                Outcome::Done(self.attempt(host, request))
            }
        };
        match outcome {
            Outcome::Done(answer) => {
                if self.defers(waiter, request, group, answer) {
                    Attempt::Waits
                } else {
                    Attempt::Done(answer)
                }
            }
            Outcome::Wait(socket, queue) => {
                self.drivers.wait(waiter, request, group);
                self.add_waiter(socket, queue, waiter);
                Attempt::Waits
            }
        }
    }

    /// The socket or end of a pipe that a request of a transfer, a connection or readiness names.
    pub(super) fn socket_of_request(&self, host: HostId, request: &Request) -> Option<SocketId> {
        let fd = match *request {
            Request::Transfer(transfer) => transfer.fd(),
            Request::Net(net) => net.fd(),
            Request::Poll(Poll::Once { fd, .. }) => fd,
            Request::Nop
            | Request::FileOp(_)
            | Request::Path(_)
            | Request::Control(_)
            | Request::Splice(_)
            | Request::Blocking(_)
            | Request::Invalid
            | Request::Raw(_) => return None,
        };
        match self.descriptors.get(fd, host).ok()?.object {
            Object::Socket(id) => Some(id),
            Object::Pipe(id) if !matches!(request, Request::Net(_)) => Some(id),
            Object::Pipe(_) | Object::File(_) => None,
        }
    }

    /// Attempts a request of [`socket_of_request`](Self::socket_of_request).
    ///
    /// # Safety
    ///
    /// As for [`attempt_first`](Self::attempt_first).
    pub(super) unsafe fn attempt_on_socket(
        &mut self,
        socket: SocketId,
        request: &Request,
    ) -> Outcome {
        // SAFETY: passed on from this function.
        unsafe {
            match *request {
                Request::Transfer(transfer) => self.transfer_socket(socket, &transfer),
                Request::Net(net) => self.net(socket, &net),
                Request::Poll(Poll::Once { events, .. }) => self.poll(socket, events),
                Request::Nop
                | Request::FileOp(_)
                | Request::Path(_)
                | Request::Control(_)
                | Request::Splice(_)
                | Request::Blocking(_)
                | Request::Invalid
                | Request::Raw(_) => Outcome::Done(Err(ENOSYS)),
            }
        }
    }

    /// Attempts a request without a socket.
    ///
    /// # Safety
    ///
    /// As for [`attempt_first`](Self::attempt_first).
    pub(super) unsafe fn attempt(&mut self, host: HostId, request: &Request) -> RawResult {
        // SAFETY: passed on from this function.
        unsafe {
            match *request {
                Request::Transfer(transfer) => self.transfer_file(host, &transfer),
                Request::FileOp(op) => self.file_op(host, &op),
                Request::Path(op) => self.path_op(host, &op),
                Request::Net(net) => self.socket_of(host, net.fd()).and(Err(ENOSYS)),
                Request::Control(control) => self.control(host, &control),
                // Files are always ready.
                Request::Poll(Poll::Once { fd, events }) => self
                    .file_of(host, fd)
                    .map(|_| events & (ready::IN | ready::OUT)),
                Request::Nop
                | Request::Splice(_)
                | Request::Blocking(_)
                | Request::Invalid
                | Request::Raw(_) => Err(ENOSYS),
            }
        }
    }

    /// # Safety
    ///
    /// As for [`attempt_first`](Self::attempt_first).
    pub(super) unsafe fn transfer_file(&mut self, host: HostId, transfer: &Transfer) -> RawResult {
        let file = self.file_of(host, transfer.fd())?;
        let at = match transfer.position() {
            Position::Cursor => None,
            Position::At(offset) => Some(offset),
        };
        // SAFETY: passed on from this function.
        let parts = unsafe { Parts::of_transfer(transfer) };
        let time = self.wall_time(host);
        let files = &mut self.hosts[host].files;
        files.check_alignment(file, at, &parts)?;
        if transfer.is_read() {
            let bytes = files.read(file, at, parts.len(), time)?;
            // SAFETY: likewise.
            return Ok(unsafe { parts.write(0, &bytes) } as u32);
        }
        // SAFETY: likewise.
        let bytes = unsafe { parts.read(usize::MAX) };
        let written = files.write(file, at, &bytes, time)?;
        self.trace.add_bytes(self.now, &bytes[..written as usize]);
        Ok(written)
    }

    /// # Safety
    ///
    /// As for [`attempt_first`](Self::attempt_first).
    unsafe fn transfer_socket(&mut self, socket: SocketId, transfer: &Transfer) -> Outcome {
        if transfer.position() != Position::Cursor {
            return Outcome::Done(Err(libc::ESPIPE));
        }
        // SAFETY: passed on from this function.
        unsafe {
            let parts = Parts::of_transfer(transfer);
            if transfer.is_read() {
                self.receive(socket, &parts, 0, std::ptr::null_mut())
            } else {
                self.send(socket, &parts, 0, None)
            }
        }
    }

    /// The completions to be reported, shuffled if the order of all is.
    pub(super) fn take_posted(&mut self, driver: DriverId) -> Vec<Posted> {
        let mut posted = self.drivers.take_posted(driver);
        if let Some(seed) = self.draw_order(self.drivers.host(driver)) {
            // A stable sort keeps the order of each group.
            posted.sort_by_cached_key(|Posted { key, group, .. }| {
                mix(seed ^ group.unwrap_or(!u64::from(*key)))
            });
        }
        posted
    }

    /// Adds the result of a request to the trace. A descriptor has a number there that is the same in each run.
    pub(super) fn note_result(&mut self, driver: DriverId, answer: RawResult) {
        let mut index = None;
        let values = match answer {
            Ok(value) if is_simulated(value as RawFd) => {
                let number = self.descriptors.index(value as RawFd);
                index = Some(number);
                [2, number]
            }
            Ok(value) => [0, value.into()],
            Err(code) => [1, code as u64],
        };
        self.note(Mark::Result, &values);
        self.say_result(driver, answer, index);
    }

    /// Adds a request to the trace: its type, its descriptor and its length.
    pub(super) fn note_request(&mut self, driver: DriverId, request: &Request) {
        let (kind, fd, value) = summary(request);
        let index = fd.map_or(0, |fd| self.descriptors.index(fd));
        self.note(Mark::Submit, &[driver as u64, kind, index, value]);
        self.say_request(driver, kind, index, value);
    }
}

/// The completions of a direction of a socket.
fn group_of(socket: SocketId, queue: Queue) -> u64 {
    socket.rotate_left(1) ^ u64::from(queue == Queue::Write)
}

/// Whether a request with these flags waits for earlier ones of its direction.
fn takes_turn(flags: i32) -> bool {
    flags & (libc::MSG_DONTWAIT | libc::MSG_PEEK) == 0
}

/// The queue of a request that takes its turn after earlier ones of a socket.
#[cfg(test)]
pub(super) fn queue_of(request: &Request) -> Option<Queue> {
    let direction = direction_of(request).filter(|(_, flags)| takes_turn(*flags));
    direction.map(|(queue, _)| queue)
}

/// The direction of a socket that a request uses, and its flags.
fn direction_of(request: &Request) -> Option<(Queue, i32)> {
    match *request {
        Request::Transfer(transfer) if transfer.is_read() => Some((Queue::Read, 0)),
        Request::Transfer(_) => Some((Queue::Write, 0)),
        Request::Net(net) => match net {
            Net::Accept { .. } => Some((Queue::Read, 0)),
            Net::Recv { flags, .. }
            | Net::RecvMsg { flags, .. }
            | Net::RecvPooled { flags, .. } => Some((Queue::Read, flags)),
            Net::Send { flags, .. } | Net::SendMsg { flags, .. } => Some((Queue::Write, flags)),
            Net::Connect { .. }
            | Net::AcceptMulti { .. }
            | Net::RecvMulti { .. }
            | Net::SendZeroCopy { .. }
            | Net::SendMsgZeroCopy { .. } => None,
        },
        Request::Nop
        | Request::FileOp(_)
        | Request::Path(_)
        | Request::Control(_)
        | Request::Splice(_)
        | Request::Poll(_)
        | Request::Blocking(_)
        | Request::Invalid
        | Request::Raw(_) => None,
    }
}

/// The descriptor that the request uses.
#[cfg(test)]
pub(super) fn descriptor_of(request: &Request) -> Option<RawFd> {
    summary(request).1
}

/// Whether the request names a simulated descriptor.
pub(super) fn uses_simulated(request: &Request) -> bool {
    let dir = match *request {
        Request::FileOp(FileOp::Open { dir, .. } | FileOp::Stat { dir, .. }) => Some(dir),
        Request::Splice(splice) => Some(splice.from.min(splice.to)),
        Request::FileOp(
            FileOp::Sync { .. }
            | FileOp::StatFd { .. }
            | FileOp::Truncate { .. }
            | FileOp::Allocate { .. }
            | FileOp::WriteWith { .. },
        )
        | Request::Nop
        | Request::Transfer(_)
        | Request::Path(_)
        | Request::Net(_)
        | Request::Control(_)
        | Request::Poll(_)
        | Request::Blocking(_)
        | Request::Invalid
        | Request::Raw(_) => None,
    };
    dir.or(summary(request).1).is_some_and(is_simulated)
}

/// Numbers that tell requests apart: the type, and the arguments that are no addresses.
fn summary(request: &Request) -> (u64, Option<RawFd>, u64) {
    match *request {
        Request::Nop => (1, None, 0),
        Request::Transfer(transfer) => summary_of_transfer(&transfer),
        Request::FileOp(op) => match op {
            FileOp::Sync { fd, data_only } => (20, Some(fd), data_only.into()),
            FileOp::Open { flags, .. } => (21, None, flags as u64),
            FileOp::Stat { follow, .. } => (22, None, follow.into()),
            FileOp::StatFd { fd, .. } => (23, Some(fd), 0),
            FileOp::Truncate { fd, len } => (24, Some(fd), len),
            FileOp::Allocate { fd, offset, .. } => (25, Some(fd), offset),
            FileOp::WriteWith { fd, offset, .. } => (26, Some(fd), offset),
        },
        Request::Path(op) => match op {
            PathOp::Rename { .. } => (30, None, 0),
            PathOp::Remove { is_dir, .. } => (31, None, is_dir.into()),
            PathOp::MakeDir { mode, .. } => (32, None, mode.into()),
            PathOp::Link { is_symbolic, .. } => (33, None, is_symbolic.into()),
        },
        Request::Net(net) => summary_of_net(&net),
        Request::Control(control) => match control {
            Control::Socket { kind, .. } => (60, None, kind as u64),
            Control::Bind { fd, .. } => (61, Some(fd), 0),
            Control::Listen { fd, backlog } => (62, Some(fd), backlog as u64),
            Control::Shutdown { fd, how } => (63, Some(fd), how as u64),
            Control::Pipe { .. } => (64, None, 0),
        },
        Request::Splice(_) => (70, None, 0),
        Request::Poll(Poll::Once { fd, events }) => (71, Some(fd), events.into()),
        Request::Blocking(_) => (72, None, 0),
        Request::Invalid => (73, None, 0),
        Request::Raw(_) => (74, None, 0),
    }
}

fn summary_of_transfer(transfer: &Transfer) -> (u64, Option<RawFd>, u64) {
    let kind = match transfer {
        Transfer::Read { .. } => 10,
        Transfer::Write { .. } => 11,
        Transfer::ReadVectored { .. } => 12,
        Transfer::WriteVectored { .. } => 13,
    };
    let value = match transfer.position() {
        Position::Cursor => u64::MAX,
        Position::At(offset) => offset,
    };
    (kind, Some(transfer.fd()), value)
}

fn summary_of_net(net: &Net) -> (u64, Option<RawFd>, u64) {
    let (kind, value) = match *net {
        Net::Connect { .. } => (40, 0),
        Net::Accept { .. } => (41, 0),
        Net::Recv { span, .. } => (42, span.len.into()),
        Net::Send { span, .. } => (43, span.len.into()),
        Net::RecvMsg { flags, .. } => (44, flags as u64),
        Net::SendMsg { flags, .. } => (45, flags as u64),
        Net::AcceptMulti { .. } => (46, 0),
        Net::RecvMulti { .. } => (47, 0),
        Net::RecvPooled { room, .. } => (48, room.into()),
        Net::SendZeroCopy { span, .. } => (49, span.len.into()),
        Net::SendMsgZeroCopy { .. } => (50, 0),
    };
    (kind, Some(net.fd()), value)
}
