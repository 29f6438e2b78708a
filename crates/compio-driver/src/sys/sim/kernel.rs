//! The simulated kernel: operations in flight, posted completions, and the random numbers.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    io, mem,
    os::fd::{IntoRawFd, OwnedFd, RawFd},
    rc::Rc,
};

use libc::{EAGAIN, EBUSY, ECANCELED, EINTR, EIO, EMFILE, ENOBUFS, ENOMEM, EOPNOTSUPP};

use super::{Rng, Thing, memory::Memory};
use crate::{
    key::Key,
    request::{
        BlockingCall, BufferPick, Control, FileOp, Item, Net, Poll, Position, RawResult, Request,
        Transfer, ready,
    },
    sys::{BufferRing, Capabilities, PeerAddress, Report, Submitted},
    thread_pool::{Job, ThreadPool},
};

/// Injected errors, which have no cause in the request.
const FAULTS: [i32; 5] = [EINTR, EAGAIN, ENOBUFS, EIO, ENOMEM];

/// Probabilities in percent, and the size of the completion queue.
struct FaultProfile {
    capabilities: Capabilities,
    answers_at_once: usize,
    /// The chance that a turn attempts an operation.
    is_quick: usize,
    is_short: usize,
    fails: usize,
    wait_fails: usize,
    wait_is_in_vain: usize,
    /// The chance that a cancel does not find its target, as between two queues of a real kernel.
    finds_nothing: usize,
    /// The chance that a cancel finds its target, but the target completes first.
    is_too_late: usize,
    completions_max: usize,
}

pub(crate) struct Kernel {
    rng: Rng,
    temper: FaultProfile,
    is_faulty: bool,
    things: Vec<Thing>,
    flying: Vec<Flight>,
    /// All keys that were ever submitted.
    known: HashSet<u64>,
    /// Keys that were reported as cancelled by the kernel or as blocked, and may be submitted again.
    given_up: HashSet<u64>,
    submitted: usize,
    /// Keys to be cancelled, and the number of turns until then.
    wishes: Vec<(Key, usize)>,
    posted: Vec<Post>,
    buffer_rings: Vec<Rc<SimShelf>>,
    groups: u16,
    /// Bytes that were delivered and not yet claimed.
    claims: Vec<Claim>,
    pub(crate) pool: Option<ThreadPool>,
    /// Jobs that were taken from the pool and have not run.
    jobs: Vec<Job>,
}

struct Flight {
    key: Key,
    request: Request,
    memory: Memory,
    thing: Option<usize>,
    /// The number of turns before the next attempt.
    rests: usize,
    stage: Stage,
    is_to_end: bool,
}

enum Stage {
    Waiting,
    /// The first result has been posted. Contains the bytes that were sent.
    Lingering(Vec<u8>),
    /// All completions have been posted.
    Ended,
}

/// A completion that has not been reported.
struct Post {
    key: Key,
    what: What,
    effect: Effect,
}

#[derive(Clone, Copy)]
enum What {
    Item(RawResult, Option<u16>),
    Final(RawResult),
    CanceledByKernel,
    WouldBlock,
    NotFound,
}

/// The effect on memory, which happens when the completion is reported, and no earlier.
enum Effect {
    Nothing,
    /// Fills memory with bytes of the object: its index, the first byte, the length.
    Fill(usize, usize, usize),
    /// The same for a buffer of a buffer ring.
    Put(Buffer, usize, usize, usize),
    Send(usize, usize),
    /// Checks that the buffer still contains the bytes that were sent.
    Compare(Vec<u8>),
    HandOut(OwnedFd, *mut PeerAddress),
    Run(BlockingCall),
}

#[derive(Debug)]
struct Claim {
    thing: usize,
    address: usize,
    from: usize,
    len: usize,
}

/// A buffer that the kernel may choose.
#[derive(Clone, Copy)]
struct Buffer {
    id: u16,
    start: *mut u8,
    len: usize,
}

/// The kernel's side of a buffer ring.
struct SimShelf {
    group: u16,
    buffers: RefCell<Vec<Buffer>>,
    /// The number of calls of `has_ended`.
    asked: Cell<usize>,
}

impl BufferRing for Rc<SimShelf> {
    fn group(&self) -> u16 {
        self.group
    }

    unsafe fn put(&self, id: u16, start: *mut u8, len: u32) {
        let mut buffers = self.buffers.borrow_mut();
        let is_new = buffers.iter().all(|buffer| buffer.id != id);
        assert!(is_new, "buffer {id} was returned twice");
        let len = len as usize;
        buffers.push(Buffer { id, start, len });
    }

    /// Alternates, regardless of the truth: callers check again, so a wrong answer is harmless.
    fn has_ended(&self, _: RawFd) -> bool {
        self.asked.update(|asked| asked + 1);
        self.asked.get().is_multiple_of(2)
    }
}

impl FaultProfile {
    fn new(rng: &mut Rng) -> Self {
        let multi = rng.percent(60);
        Self {
            capabilities: Capabilities {
                accept_multi: multi,
                recv_multi: multi,
                send_zero_copy: multi,
                send_msg_zero_copy: multi && rng.percent(80),
                recv_pooled: rng.percent(50),
            },
            answers_at_once: rng.pick(&[0, 0, 30, 90]),
            is_quick: rng.pick(&[5, 30, 80]),
            is_short: rng.pick(&[0, 30, 90]),
            fails: rng.pick(&[0, 0, 3, 15]),
            wait_fails: rng.pick(&[0, 0, 10]),
            wait_is_in_vain: rng.pick(&[0, 20]),
            finds_nothing: rng.pick(&[0, 30, 70]),
            is_too_late: rng.pick(&[0, 30, 70]),
            completions_max: rng.pick(&[1, 2, 8, 1000]),
        }
    }
}

impl Kernel {
    pub(super) fn new(mut rng: Rng) -> Self {
        let temper = FaultProfile::new(&mut rng);
        Self {
            is_faulty: temper.fails > 0,
            temper,
            rng,
            things: Vec::new(),
            flying: Vec::new(),
            known: HashSet::new(),
            given_up: HashSet::new(),
            submitted: 0,
            wishes: Vec::new(),
            posted: Vec::new(),
            buffer_rings: Vec::new(),
            groups: 0,
            claims: Vec::new(),
            pool: None,
            jobs: Vec::new(),
        }
    }

    /// Stops fault injection. Most requests complete soon, but still not at once.
    pub(crate) fn calm_down(&mut self) {
        self.temper.fails = 0;
        self.temper.wait_fails = 0;
        self.temper.is_quick = 80;
    }

    /// Whether faults are injected.
    pub(crate) fn is_faulty(&self) -> bool {
        self.is_faulty
    }

    /// The number of requests.
    pub(crate) fn submitted(&self) -> usize {
        self.submitted
    }

    /// Makes an object with a descriptor for a driver.
    pub(crate) fn make(&mut self) -> (usize, OwnedFd) {
        let (thing, fd) = Thing::new();
        self.things.push(thing);
        (self.things.len() - 1, fd)
    }

    pub(crate) fn thing(&mut self, thing: usize) -> &mut Thing {
        &mut self.things[thing]
    }

    pub(crate) fn things(&self) -> &[Thing] {
        &self.things
    }

    /// The index of the object with this descriptor.
    pub(crate) fn which(&self, fd: RawFd) -> usize {
        let which = self.things.iter().rposition(|thing| thing.fd() == fd);
        which.expect("the descriptor must belong to this kernel")
    }

    /// Claims bytes that a task has received. Returns their object and the position of the first byte.
    pub(crate) fn claim(&mut self, bytes: &[u8]) -> (usize, usize) {
        let address = bytes.as_ptr().addr();
        let place = self.claims.iter().position(|one| one.address == address);
        let claim = self
            .claims
            .swap_remove(place.expect("the kernel must have put these bytes there"));
        assert_eq!(bytes.len(), claim.len);
        assert_eq!(bytes, Thing::bytes(claim.from, claim.len));
        self.things[claim.thing].claimed += claim.len;
        (claim.thing, claim.from)
    }

    /// Marks unclaimed bytes as lost.
    fn lose(&mut self, is_lost: impl Fn(&Claim) -> bool) {
        for claim in self.claims.extract_if(.., |claim| is_lost(claim)) {
            let thing = &mut self.things[claim.thing];
            assert!(thing.may_lose, "{claim:?} was lost");
            thing.lost += claim.len;
        }
    }

    /// Checks the end of a program: no byte is missing, and every descriptor is closed.
    pub(crate) fn check_end(&mut self) {
        assert!(self.flying.is_empty(), "an operation is in flight");
        self.lose(|_| true);
        for (which, thing) in self.things.iter().enumerate() {
            assert_eq!(
                thing.claimed + thing.lost,
                thing.taken,
                "bytes of object {which} are missing"
            );
            assert!(thing.is_closed(), "object {which} is open");
        }
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        self.temper.capabilities
    }

    pub(super) fn register_buffers(&mut self) -> Option<Box<dyn BufferRing>> {
        self.groups += 1;
        let buffer_ring = Rc::new(SimShelf {
            group: self.groups,
            buffers: RefCell::default(),
            asked: Cell::default(),
        });
        self.buffer_rings.push(Rc::clone(&buffer_ring));
        Some(Box::new(buffer_ring))
    }

    pub(super) fn unregister_buffers(&mut self, group: u16) {
        let in_use = self.flying.iter().any(|flight| {
            matches!(flight.request, Request::Net(Net::RecvMulti { group: used, .. }) if used == group)
        });
        assert!(!in_use, "a receive uses a buffer ring that is unregistered");
        let before = self.buffer_rings.len();
        self.buffer_rings
            .retain(|buffer_ring| buffer_ring.group != group);
        assert_eq!(
            self.buffer_rings.len(),
            before - 1,
            "there is no such buffer ring"
        );
    }

    /// # Safety
    ///
    /// The memory of the request stays valid until the completion of `key` has been reported.
    pub(super) unsafe fn submit(&mut self, key: Key, request: &Request) -> Submitted {
        assert!(
            u64::from(key) >> 62 == 0,
            "the backend uses the highest bits"
        );
        let (is_new, was_given_up) = (
            self.known.insert(u64::from(key)),
            self.given_up.remove(&u64::from(key)),
        );
        assert!(is_new || was_given_up, "{key:?} was submitted twice");
        self.submitted += 1;
        let goes_to_pool = match request {
            Request::Blocking(_) => self.rng.percent(80),
            Request::Nop => self.rng.percent(10),
            Request::Transfer(_)
            | Request::FileOp(_)
            | Request::Path(_)
            | Request::Net(_)
            | Request::Control(_)
            | Request::Splice(_)
            | Request::Poll(_)
            | Request::Raw(_)
            | Request::Invalid => false,
        };
        if goes_to_pool {
            return Submitted::ThreadPool(*request);
        }
        // SAFETY: passed on from this function.
        let memory = unsafe { Memory::of(request) };
        let thing = descriptor_of(request).map(|fd| self.which(fd));
        if memory.address() != 0 && matches!(memory, Memory::Filled(_)) {
            // The previous user of this memory has released it.
            let address = memory.address();
            self.lose(|claim| claim.address == address);
        }
        // SAFETY: passed on from this function.
        unsafe { memory.touch(0xa5) };
        let mut flight = Flight {
            key,
            request: *request,
            memory,
            thing,
            rests: self.rng.roll(3),
            stage: Stage::Waiting,
            is_to_end: false,
        };
        if !is_multi(request) && self.rng.percent(self.temper.answers_at_once) {
            self.attempt(&mut flight);
        }
        if matches!(flight.stage, Stage::Ended)
            && let Some(post) = self
                .posted
                .pop_if(|post| !matches!(post.what, What::CanceledByKernel | What::WouldBlock))
        {
            let Report::Final(answer) = self.perform(&flight, post) else {
                unreachable!("it has one result")
            };
            return Submitted::Ready(answer);
        }
        self.flying.push(flight);
        Submitted::InFlight
    }

    pub(super) fn cancel(&mut self, key: Key) {
        assert!(
            self.known.contains(&u64::from(key)),
            "{key:?} was never submitted"
        );
        let turns = self.rng.roll(3);
        self.wishes.push((key, turns));
    }

    /// Advances time by one turn. Returns a job of the thread pool with its result, or without one if
    /// the caller must run it.
    pub(super) fn advance(&mut self) -> Option<(Job, Option<RawResult>)> {
        for (key, turns) in mem::take(&mut self.wishes) {
            if turns > 0 {
                self.wishes.push((key, turns - 1));
            } else {
                self.grant(key);
            }
        }
        let mut flying = mem::take(&mut self.flying);
        for _ in 0..flying.len() {
            // In random order.
            let mut flight = flying.swap_remove(self.rng.roll(flying.len()));
            self.look_at(&mut flight);
            self.flying.push(flight);
        }
        if self.rng.percent(30) {
            self.things.iter_mut().for_each(Thing::sweep);
        }
        for buffer_ring in &self.buffer_rings {
            for buffer in buffer_ring.buffers.borrow().iter() {
                if self.rng.percent(10) {
                    // SAFETY: the kernel owns the buffer, by the contract of `BufferRing::put`.
                    unsafe { buffer.start.write_bytes(0x5a, buffer.len) };
                }
            }
        }
        if self.rng.percent(50) {
            self.jobs
                .extend(self.pool.as_ref().and_then(ThreadPool::take_job));
        }
        if self.jobs.is_empty() || self.rng.percent(50) {
            return None;
        }
        let job = self.jobs.swap_remove(self.rng.roll(self.jobs.len()));
        if matches!(job.request, Request::Blocking(_) | Request::Nop) {
            return Some((job, None));
        }
        let answer = self.call(&job);
        if answer.is_none() {
            // The thread is blocked.
            self.jobs.push(job);
            return None;
        }
        Some((job, answer))
    }

    /// Runs a request of the thread pool. None if it blocks.
    fn call(&mut self, job: &Job) -> Option<RawResult> {
        // SAFETY: its memory is valid, see `Job`.
        let memory = unsafe { Memory::of(&job.request) };
        let mut flight = Flight {
            key: job.key,
            request: job.request,
            memory,
            thing: descriptor_of(&job.request).map(|fd| self.which(fd)),
            rests: 0,
            stage: Stage::Waiting,
            is_to_end: false,
        };
        let fails = mem::take(&mut self.temper.fails);
        self.attempt(&mut flight);
        self.temper.fails = fails;
        if !matches!(flight.stage, Stage::Ended) {
            return None;
        }
        let post = self.posted.pop()?;
        let Report::Final(answer) = self.perform(&flight, post) else {
            unreachable!("it has one result")
        };
        Some(answer)
    }

    /// Reports posted completions, up to the size of the queue.
    pub(super) fn reap(&mut self) -> (Vec<(Key, Report)>, io::Result<()>) {
        let mut reports = Vec::new();
        if self.rng.percent(self.temper.wait_is_in_vain) {
            return (reports, Ok(()));
        }
        while reports.len() < self.temper.completions_max && !self.posted.is_empty() {
            let any = self.rng.roll(self.posted.len());
            let key = self.posted[any].key;
            // The completions of one operation keep their order.
            let first = self.posted.iter().position(|post| post.key == key);
            let post = self
                .posted
                .remove(first.expect("the chosen completion must exist"));
            let report = self.report(post);
            reports.push((key, report));
        }
        let ended = if self.rng.percent(self.temper.wait_fails) {
            let code = self.rng.pick(&[EINTR, EBUSY, EAGAIN, ENOMEM]);
            Err(io::Error::from_raw_os_error(code))
        } else {
            Ok(())
        };
        (reports, ended)
    }

    /// Whether the driver may sleep: no completion is posted.
    pub(super) fn may_sleep(&mut self) -> bool {
        self.posted.is_empty() && self.rng.percent(80)
    }

    /// Executes a cancel request.
    fn grant(&mut self, key: Key) {
        let place = self.flying.iter().position(|flight| flight.key == key);
        let waits = place.is_some_and(|place| matches!(self.flying[place].stage, Stage::Waiting));
        if !waits || self.rng.percent(self.temper.finds_nothing) {
            // The target may be completed, or cannot be found for now.
            if waits || self.rng.percent(50) {
                self.post(key, What::NotFound, Effect::Nothing);
            }
            return;
        }
        let place = place.expect("the target must be in flight");
        self.flying[place].is_to_end = true;
        self.flying[place].rests = self.rng.roll(2);
    }

    fn look_at(&mut self, flight: &mut Flight) {
        if self.rng.percent(20) {
            let noise = self.rng.roll(256) as u8;
            // SAFETY: the operation has not been reported as completed, by the contract of `submit`.
            unsafe { flight.memory.touch(noise) };
        }
        if flight.rests > 0 {
            flight.rests -= 1;
            return;
        }
        if let Stage::Lingering(sent) = &mut flight.stage {
            if self.rng.percent(30) {
                let effect = Effect::Compare(mem::take(sent));
                self.end(flight, Ok(0), effect);
            }
            return;
        }
        let is_too_late = flight.is_to_end && self.rng.percent(self.temper.is_too_late);
        if !flight.is_to_end && self.rng.percent(self.temper.is_quick) || is_too_late {
            self.attempt(flight);
        }
        if flight.is_to_end && matches!(flight.stage, Stage::Waiting) {
            if self.rng.percent(50) {
                self.end(flight, Err(ECANCELED), Effect::Nothing);
            } else {
                self.give_up(flight);
            }
        }
    }

    /// Attempts a request. It may stay in flight.
    fn attempt(&mut self, flight: &mut Flight) {
        if matches!(flight.stage, Stage::Ended) {
            return;
        }
        if self.rng.percent(self.temper.fails) {
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
                | FileOp::Truncate { .. } => {
                    self.end(flight, Ok(0), Effect::Nothing);
                }
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
                Net::RecvMulti { group, .. } => self.receive_many(flight, thing, group),
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
    fn fail(&mut self, flight: &mut Flight) {
        if self.rng.percent(30) {
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
    fn take(&mut self, thing: usize, room: usize) -> Option<(usize, usize)> {
        let Thing { filled, taken, .. } = self.things[thing];
        if filled == taken && !self.things[thing].is_finished {
            return None;
        }
        let len = self.some((filled - taken).min(room));
        self.things[thing].taken += len;
        Some((taken, len))
    }

    fn receive(&mut self, flight: &mut Flight, thing: usize) {
        if let Some((from, len)) = self.take(thing, flight.memory.len()) {
            self.end(flight, Ok(len as u32), Effect::Fill(thing, from, len));
        } else if is_not_to_wait(&flight.request) {
            self.end(flight, Err(EAGAIN), Effect::Nothing);
        }
    }

    fn send(&mut self, flight: &mut Flight, thing: usize) {
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

    fn send_uncopied(&mut self, flight: &mut Flight, thing: usize) {
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

    fn hand_out(&mut self, flight: &mut Flight, peer: *mut PeerAddress) {
        if let Some(listener) = flight.thing {
            self.things[listener].handed_out += 1;
        }
        let (_, fd) = self.make();
        self.end(flight, Ok(0), Effect::HandOut(fd, peer));
    }

    fn accept_many(&mut self, flight: &mut Flight, thing: usize) {
        while self.things[thing].connections > 0 {
            self.things[thing].connections -= 1;
            if self.posted.len() > self.temper.completions_max || self.rng.percent(2) {
                // The completion queue is full: this accept is the last one.
                return self.hand_out(flight, std::ptr::null_mut());
            }
            self.things[thing].handed_out += 1;
            let (_, fd) = self.make();
            let effect = Effect::HandOut(fd, std::ptr::null_mut());
            self.post(flight.key, What::Item(Ok(0), None), effect);
        }
        if self.rng.percent(self.temper.fails) {
            self.end(flight, Err(EMFILE), Effect::Nothing);
        }
    }

    fn receive_many(&mut self, flight: &mut Flight, thing: usize, group: u16) {
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
            let is_full = self.posted.len() > self.temper.completions_max;
            if len == 0 || is_full || self.rng.percent(2) {
                return self.end(flight, Ok(len as u32), Effect::Nothing);
            }
        }
    }

    fn receive_pooled(&mut self, flight: &mut Flight, thing: usize, choice: *mut BufferPick) {
        let Thing { filled, taken, .. } = self.things[thing];
        if filled == taken {
            if self.things[thing].is_finished {
                self.end(flight, Ok(0), Effect::Nothing);
            }
            return;
        }
        // SAFETY: the request has not been completed, by the contract of `submit`, and no buffer has
        // been chosen for it.
        let Some(span) = (unsafe { BufferPick::choose(choice) }) else {
            return self.end(flight, Err(ENOBUFS), Effect::Nothing);
        };
        flight.memory = Memory::Filled(vec![span.into()]);
        self.receive(flight, thing);
    }

    fn choose(&mut self, group: u16) -> Option<Buffer> {
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
    fn some(&mut self, len: usize) -> usize {
        if len > 1 && self.rng.percent(self.temper.is_short) {
            1 + self.rng.roll(len)
        } else {
            len
        }
    }

    fn post(&mut self, key: Key, what: What, effect: Effect) {
        self.posted.push(Post { key, what, effect });
    }

    fn end(&mut self, flight: &mut Flight, answer: RawResult, effect: Effect) {
        self.post(flight.key, What::Final(answer), effect);
        flight.stage = Stage::Ended;
    }

    /// Completes the request as cancelled by the kernel, with or without a cancel request.
    fn give_up(&mut self, flight: &mut Flight) {
        self.post(flight.key, What::CanceledByKernel, Effect::Nothing);
        flight.stage = Stage::Ended;
    }

    fn report(&mut self, post: Post) -> Report {
        let place = self.flying.iter().position(|flight| flight.key == post.key);
        let Some(place) = place else {
            assert!(matches!(post.what, What::NotFound));
            return Report::CancelNotFound;
        };
        let flight = self.flying.swap_remove(place);
        let report = self.perform(&flight, post);
        match report {
            Report::Final(_) => {}
            Report::CanceledByKernel | Report::WouldBlock | Report::Ready => {
                assert!(self.given_up.insert(u64::from(flight.key)));
            }
            Report::Partial(_) | Report::CancelNotFound => self.flying.push(flight),
        }
        report
    }

    /// Applies the effect of a completion.
    fn perform(&mut self, flight: &Flight, post: Post) -> Report {
        let is_lent = matches!(
            flight.request,
            Request::Net(Net::SendZeroCopy { .. } | Net::SendMsgZeroCopy { .. })
        );
        if let Some(thing) = flight.thing
            && !is_lent
        {
            let is_closed = self.things[thing].is_closed();
            assert!(
                !is_closed,
                "{:?} lost its descriptor before it was completed",
                flight.request
            );
        }
        let mut descriptor = None;
        match post.effect {
            Effect::Nothing => {}
            Effect::Fill(thing, from, len) => {
                // SAFETY: the operation has not been reported as completed, by the contract of
                // `submit`.
                unsafe { flight.memory.fill(&Thing::bytes(from, len)) };
                let address = flight.memory.address();
                if len > 0 && self.things[thing].taken > 0 {
                    self.put(address, thing, from, len);
                }
            }
            Effect::Put(buffer, thing, from, len) => {
                let bytes = Thing::bytes(from, len);
                // SAFETY: the kernel has chosen the buffer, and has not reported it yet.
                unsafe { buffer.start.copy_from(bytes.as_ptr(), len) };
                if len > 0 {
                    self.put(buffer.start.addr(), thing, from, len);
                }
            }
            Effect::Send(thing, len) => {
                // SAFETY: the operation has not been reported as completed, by the contract of
                // `submit`.
                let sent = unsafe { flight.memory.read(len) };
                self.things[thing].written.extend_from_slice(&sent);
            }
            Effect::Compare(sent) => {
                // SAFETY: likewise.
                assert_eq!(unsafe { flight.memory.read(sent.len()) }, sent);
            }
            Effect::HandOut(fd, peer) => {
                if !peer.is_null() {
                    // SAFETY: likewise; the address has no family.
                    unsafe { peer.write(PeerAddress::new()) };
                }
                descriptor = Some(Ok(fd.into_raw_fd() as u32));
            }
            // SAFETY: it runs once, before the completion is reported; by the contract of `submit`.
            Effect::Run(work) => unsafe { (work.run)(work.data) },
        }
        match post.what {
            What::Item(answer, buffer) => Report::Partial(Item {
                answer: descriptor.unwrap_or(answer),
                buffer,
            }),
            What::Final(answer) => Report::Final(descriptor.unwrap_or(answer)),
            What::CanceledByKernel => Report::CanceledByKernel,
            What::WouldBlock => Report::WouldBlock,
            What::NotFound => Report::CancelNotFound,
        }
    }

    /// Records bytes at an address. The task that had bytes at this address has released them.
    fn put(&mut self, address: usize, thing: usize, from: usize, len: usize) {
        self.lose(|claim| claim.address == address);
        self.claims.push(Claim {
            thing,
            address,
            from,
            len,
        });
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.flying.is_empty(), "an operation is in flight");
        }
    }
}

/// Whether the request fails with EAGAIN instead of waiting.
fn is_not_to_wait(request: &Request) -> bool {
    matches!(request, Request::Net(Net::Recv { flags, .. }) if flags & libc::MSG_DONTWAIT != 0)
}

fn is_multi(request: &Request) -> bool {
    matches!(
        request,
        Request::Net(
            Net::AcceptMulti { .. }
                | Net::RecvMulti { .. }
                | Net::SendZeroCopy { .. }
                | Net::SendMsgZeroCopy { .. }
        )
    )
}

/// The descriptor that the request uses.
fn descriptor_of(request: &Request) -> Option<RawFd> {
    match *request {
        Request::Transfer(transfer) => Some(transfer.fd()),
        Request::FileOp(op) => match op {
            FileOp::Sync { fd, .. } | FileOp::StatFd { fd, .. } | FileOp::Truncate { fd, .. } => {
                Some(fd)
            }
            FileOp::Open { .. } | FileOp::Stat { .. } => None,
        },
        Request::Net(net) => Some(net.fd()),
        Request::Control(control) => match control {
            Control::Bind { fd, .. }
            | Control::Listen { fd, .. }
            | Control::Shutdown { fd, .. } => Some(fd),
            Control::Socket { .. } | Control::Pipe { .. } => None,
        },
        Request::Poll(Poll::Once { fd, .. }) => Some(fd),
        Request::Nop
        | Request::Path(_)
        | Request::Splice(_)
        | Request::Blocking(_)
        | Request::Raw(_)
        | Request::Invalid => None,
    }
}
