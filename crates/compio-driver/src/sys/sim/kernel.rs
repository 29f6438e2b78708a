//! The kernel itself: what flies, what has been posted, and the rng.

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
    arena::Key,
    buffers::BufferRing,
    request::{
        Answer, Capabilities, Choice, File, Item, Net, Pipe, Poll, Position, Report, Request, Work,
        ready,
    },
    sys::{PeerAddress, Submitted},
    thread_pool::{Job, Pool},
};

/// Errors that nobody has asked for.
const FAULTS: [i32; 5] = [EINTR, EAGAIN, ENOBUFS, EIO, ENOMEM];

/// How likely what is, in percent; and how much there is room for.
struct FaultProfile {
    extras: Capabilities,
    answers_at_once: usize,
    /// That a flight is looked at in a turn.
    is_quick: usize,
    is_short: usize,
    fails: usize,
    wait_fails: usize,
    wait_is_in_vain: usize,
    /// That a cancel comes between two places where the kernel looks.
    finds_nothing: usize,
    /// That one that was found comes too late all the same.
    is_too_late: usize,
    completions_max: usize,
}

pub(crate) struct Kernel {
    rng: Rng,
    temper: FaultProfile,
    is_faulty: bool,
    things: Vec<Thing>,
    flying: Vec<Flight>,
    /// All that were ever launched.
    known: HashSet<u64>,
    /// Those that were given up, and may be launched again.
    given_up: HashSet<u64>,
    launched: usize,
    /// What is to be cancelled, and after how many turns.
    wishes: Vec<(Key, usize)>,
    posted: Vec<Post>,
    shelves: Vec<Rc<SimShelf>>,
    groups: u16,
    /// Bytes that were handed over and not yet claimed: whose, where, from where on and how many.
    claims: Vec<Claim>,
    pub(crate) pool: Option<Pool>,
    /// Taken from there and not run.
    jobs: Vec<Job>,
}

struct Flight {
    key: Key,
    request: Request,
    memory: Memory,
    thing: Option<usize>,
    /// How many turns it is kept before it is looked at.
    rests: usize,
    stage: Stage,
    is_to_end: bool,
}

enum Stage {
    Waiting,
    /// The first answer is given, and this is what was sent.
    Lingering(Vec<u8>),
    /// Nothing will be posted any more.
    Ended,
}

/// A completion, before anybody has seen it.
struct Post {
    key: Key,
    what: What,
    effect: Effect,
}

#[derive(Clone, Copy)]
enum What {
    Item(Answer, Option<u16>),
    Final(Answer),
    CanceledByKernel,
    WouldBlock,
    NotFound,
}

/// What is done when it is reported, and no earlier.
enum Effect {
    Nothing,
    /// So many bytes of the thing, from there on.
    Fill(usize, usize, usize),
    /// The same, to a buffer of a shelf.
    Put(Buffer, usize, usize, usize),
    Send(usize, usize),
    /// Look whether what was sent is still there.
    Compare(Vec<u8>),
    HandOut(OwnedFd, *mut PeerAddress),
    Run(Work),
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

/// Its end of a pool of buffers.
struct SimShelf {
    group: u16,
    buffers: RefCell<Vec<Buffer>>,
    /// How often it was asked for an end.
    asked: Cell<usize>,
}

impl BufferRing for Rc<SimShelf> {
    fn group(&self) -> u16 {
        self.group
    }

    unsafe fn put(&self, id: u16, start: *mut u8, len: u32) {
        let mut buffers = self.buffers.borrow_mut();
        let is_new = buffers.iter().all(|buffer| buffer.id != id);
        assert!(is_new, "buffer {id} was given back twice");
        let len = len as usize;
        buffers.push(Buffer { id, start, len });
    }

    /// Every other time, be it true or not: who is told so asks once more in any case.
    fn has_ended(&self, _: RawFd) -> bool {
        self.asked.update(|asked| asked + 1);
        self.asked.get().is_multiple_of(2)
    }
}

impl FaultProfile {
    fn new(rng: &mut Rng) -> Self {
        let multi = rng.percent(60);
        Self {
            extras: Capabilities {
                accept_multi: multi,
                recv_multi: multi,
                send_zero_copy: multi,
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
            launched: 0,
            wishes: Vec::new(),
            posted: Vec::new(),
            shelves: Vec::new(),
            groups: 0,
            claims: Vec::new(),
            pool: None,
            jobs: Vec::new(),
        }
    }

    /// From now on nothing fails by itself, and what can be answered is. What comes late still does.
    pub(crate) fn calm_down(&mut self) {
        self.temper.fails = 0;
        self.temper.wait_fails = 0;
        self.temper.is_quick = 80;
    }

    /// Whether some things failed by themselves.
    pub(crate) fn is_faulty(&self) -> bool {
        self.is_faulty
    }

    /// How many requests there were.
    pub(crate) fn launched(&self) -> usize {
        self.launched
    }

    /// Something that a driver may have the descriptor of.
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

    /// Which thing has this descriptor.
    pub(crate) fn which(&self, fd: RawFd) -> usize {
        let which = self.things.iter().rposition(|thing| thing.fd() == fd);
        which.expect("a descriptor of this kernel's")
    }

    /// Somebody has received this. Returns from where on of which thing it is.
    pub(crate) fn claim(&mut self, bytes: &[u8]) -> (usize, usize) {
        let address = bytes.as_ptr().addr();
        let place = self.claims.iter().position(|one| one.address == address);
        let claim = self
            .claims
            .swap_remove(place.expect("nothing was put there"));
        assert_eq!(bytes.len(), claim.len);
        assert_eq!(bytes, Thing::bytes(claim.from, claim.len));
        self.things[claim.thing].claimed += claim.len;
        (claim.thing, claim.from)
    }

    /// What was received to that address and not claimed never will be.
    fn lose(&mut self, is_lost: impl Fn(&Claim) -> bool) {
        for claim in self.claims.extract_if(.., |claim| is_lost(claim)) {
            let thing = &mut self.things[claim.thing];
            assert!(thing.may_lose, "{claim:?} was lost");
            thing.lost += claim.len;
        }
    }

    /// At the end: every byte is where it should be, every descriptor closed.
    pub(crate) fn check_end(&mut self) {
        assert!(self.flying.is_empty(), "something flies");
        self.lose(|_| true);
        for (which, thing) in self.things.iter().enumerate() {
            assert_eq!(thing.claimed + thing.lost, thing.taken, "of thing {which}");
            assert!(thing.is_closed(), "thing {which} is open");
        }
    }

    pub(super) fn extras(&self) -> Capabilities {
        self.temper.extras
    }

    pub(super) fn register_buffers(&mut self) -> Option<Box<dyn BufferRing>> {
        self.groups += 1;
        let shelf = Rc::new(SimShelf {
            group: self.groups,
            buffers: RefCell::default(),
            asked: Cell::default(),
        });
        self.shelves.push(Rc::clone(&shelf));
        Some(Box::new(shelf))
    }

    pub(super) fn unregister_buffers(&mut self, group: u16) {
        let in_use = self.flying.iter().any(|flight| {
            matches!(flight.request, Request::Net(Net::RecvMulti { group: used, .. }) if used == group)
        });
        assert!(!in_use, "somebody receives into a pool that is no more");
        let before = self.shelves.len();
        self.shelves.retain(|shelf| shelf.group != group);
        assert_eq!(self.shelves.len(), before - 1, "there is no such pool");
    }

    /// # Safety
    ///
    /// What the request points to stays valid until the answer to `key` has been reported.
    pub(super) unsafe fn launch(&mut self, key: Key, request: &Request) -> Submitted {
        assert!(
            key.to_bits() >> 62 == 0,
            "the highest bits are the backend's"
        );
        let (is_new, was_given_up) = (
            self.known.insert(key.to_bits()),
            self.given_up.remove(&key.to_bits()),
        );
        assert!(is_new || was_given_up, "{key:?} was launched twice");
        self.launched += 1;
        let goes_to_pool = match request {
            Request::Work(_) => self.rng.percent(80),
            Request::Nop => self.rng.percent(10),
            Request::File(_)
            | Request::Path(_)
            | Request::Net(_)
            | Request::Pipe(_)
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
            // Whoever had this memory before has let it go.
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
                unreachable!("it has one answer")
            };
            return Submitted::Ready(answer);
        }
        self.flying.push(flight);
        Submitted::InFlight
    }

    pub(super) fn cancel(&mut self, key: Key) {
        assert!(self.known.contains(&key.to_bits()), "{key:?} never flew");
        let turns = self.rng.roll(3);
        self.wishes.push((key, turns));
    }

    /// Lets time pass. Returns what of the pool's is done, or, without an answer, has yet to be.
    pub(super) fn advance(&mut self) -> Option<(Job, Option<Answer>)> {
        for (key, turns) in mem::take(&mut self.wishes) {
            if turns > 0 {
                self.wishes.push((key, turns - 1));
            } else {
                self.grant(key);
            }
        }
        let mut flying = mem::take(&mut self.flying);
        for _ in 0..flying.len() {
            // In any order.
            let mut flight = flying.swap_remove(self.rng.roll(flying.len()));
            self.look_at(&mut flight);
            self.flying.push(flight);
        }
        if self.rng.percent(30) {
            self.things.iter_mut().for_each(Thing::sweep);
        }
        for shelf in &self.shelves {
            for buffer in shelf.buffers.borrow().iter() {
                if self.rng.percent(10) {
                    // SAFETY: it is the kernel's, by the contract of `BufferRing::put`.
                    unsafe { buffer.start.write_bytes(0x5a, buffer.len) };
                }
            }
        }
        if self.rng.percent(50) {
            self.jobs
                .extend(self.pool.as_ref().and_then(Pool::take_job));
        }
        if self.jobs.is_empty() || self.rng.percent(50) {
            return None;
        }
        let job = self.jobs.swap_remove(self.rng.roll(self.jobs.len()));
        if matches!(job.request, Request::Work(_) | Request::Nop) {
            return Some((job, None));
        }
        let answer = self.call(&job);
        if answer.is_none() {
            // The thread waits.
            self.jobs.push(job);
            return None;
        }
        Some((job, answer))
    }

    /// What a thread asks for that can wait. It may have to.
    fn call(&mut self, job: &Job) -> Option<Answer> {
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
            unreachable!("it has one answer")
        };
        Some(answer)
    }

    /// What has been posted, as much of it as fits.
    pub(super) fn reap(&mut self) -> (Vec<(Key, Report)>, io::Result<()>) {
        let mut reports = Vec::new();
        if self.rng.percent(self.temper.wait_is_in_vain) {
            return (reports, Ok(()));
        }
        while reports.len() < self.temper.completions_max && !self.posted.is_empty() {
            let any = self.rng.roll(self.posted.len());
            let key = self.posted[any].key;
            // Those of one flight come in their order.
            let first = self.posted.iter().position(|post| post.key == key);
            let post = self.posted.remove(first.expect("it is there"));
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

    /// Whether there is nothing to be reported.
    pub(super) fn may_sleep(&mut self) -> bool {
        self.posted.is_empty() && self.rng.percent(80)
    }

    /// A cancel has arrived.
    fn grant(&mut self, key: Key) {
        let place = self.flying.iter().position(|flight| flight.key == key);
        let waits = place.is_some_and(|place| matches!(self.flying[place].stage, Stage::Waiting));
        if !waits || self.rng.percent(self.temper.finds_nothing) {
            // It may be over, or between two places.
            if waits || self.rng.percent(50) {
                self.post(key, What::NotFound, Effect::Nothing);
            }
            return;
        }
        let place = place.expect("it waits");
        self.flying[place].is_to_end = true;
        self.flying[place].rests = self.rng.roll(2);
    }

    fn look_at(&mut self, flight: &mut Flight) {
        if self.rng.percent(20) {
            let noise = self.rng.roll(256) as u8;
            // SAFETY: its end has not been reported, by the contract of `launch`.
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

    /// Tries what is asked. Nothing may come of it.
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
            Request::Work(work) => self.end(flight, Ok(0), Effect::Run(work)),
            Request::File(file) => match file {
                File::Read {
                    position: Position::At(at),
                    ..
                }
                | File::ReadVectored {
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
                File::Read { .. } | File::ReadVectored { .. } => self.receive(flight, thing),
                File::Write { .. } | File::WriteVectored { .. } => self.send(flight, thing),
                File::Sync { .. } | File::Stat { .. } | File::StatFd { .. } => {
                    self.end(flight, Ok(0), Effect::Nothing);
                }
                File::Open { .. } => self.hand_out(flight, std::ptr::null_mut()),
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
                Net::Socket { .. } => self.hand_out(flight, std::ptr::null_mut()),
                Net::Connect { .. } | Net::Shutdown { .. } => {
                    self.end(flight, Ok(0), Effect::Nothing);
                }
                Net::AcceptMulti { .. } => self.accept_many(flight, thing),
                Net::RecvMulti { group, .. } => self.receive_many(flight, thing, group),
                Net::RecvPooled { choice, .. } => self.receive_pooled(flight, thing, choice),
                Net::SendZeroCopy { .. } => self.send_uncopied(flight, thing),
            },
            Request::Poll(Poll::Once { events, .. }) => {
                let thing = &self.things[thing];
                let is_readable = thing.filled > thing.taken || thing.is_finished;
                let is_ready = events & ready::IN == 0 || is_readable || self.rng.percent(5);
                if is_ready {
                    self.end(flight, Ok(events), Effect::Nothing);
                }
            }
            Request::Pipe(Pipe::Splice { .. }) | Request::Raw(_) => {
                self.end(flight, Err(EOPNOTSUPP), Effect::Nothing);
            }
            Request::Invalid => self.end(flight, Err(libc::EINVAL), Effect::Nothing),
        }
    }

    /// Answers by an error that has nothing to do with what was asked.
    fn fail(&mut self, flight: &mut Flight) {
        if self.rng.percent(30) {
            return self.give_up(flight);
        }
        let code = self.rng.pick(&FAULTS);
        match flight.request {
            Request::Work(_) => self.give_up(flight),
            // One that says afterwards that it is done with the memory.
            Request::Net(Net::SendZeroCopy { .. }) if self.rng.percent(50) => {
                self.post(flight.key, What::Item(Err(code), None), Effect::Nothing);
                flight.stage = Stage::Lingering(Vec::new());
            }
            // One that has chosen a buffer.
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
            | Request::File(_)
            | Request::Path(_)
            | Request::Net(_)
            | Request::Pipe(_)
            | Request::Poll(_)
            | Request::Raw(_)
            | Request::Invalid => self.end(flight, Err(code), Effect::Nothing),
        }
    }

    /// Takes bytes of a socket.
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
            // This kind of socket copies.
            return self.end(flight, Err(EOPNOTSUPP), Effect::Nothing);
        }
        if self.rng.percent(20) {
            return self.send(flight, thing);
        }
        let len = self.some(flight.memory.len());
        // SAFETY: its end has not been reported, by the contract of `launch`.
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
                // No room for one more: the last of them.
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
            // The end may have chosen a buffer, too.
            if filled == taken && self.rng.percent(50) {
                return self.end(flight, Ok(0), Effect::Nothing);
            }
            let Some(buffer) = self.choose(group) else {
                return self.end(flight, Err(ENOBUFS), Effect::Nothing);
            };
            let (from, len) = self.take(thing, buffer.len).expect("there is something");
            let item = What::Item(Ok(len as u32), Some(buffer.id));
            self.post(flight.key, item, Effect::Put(buffer, thing, from, len));
            let is_full = self.posted.len() > self.temper.completions_max;
            if len == 0 || is_full || self.rng.percent(2) {
                return self.end(flight, Ok(len as u32), Effect::Nothing);
            }
        }
    }

    fn receive_pooled(&mut self, flight: &mut Flight, thing: usize, choice: *mut Choice) {
        let Thing { filled, taken, .. } = self.things[thing];
        if filled == taken {
            if self.things[thing].is_finished {
                self.end(flight, Ok(0), Effect::Nothing);
            }
            return;
        }
        // SAFETY: it has not been answered, by the contract of `launch`, nor has this been chosen.
        let Some(span) = (unsafe { Choice::choose(choice) }) else {
            return self.end(flight, Err(ENOBUFS), Effect::Nothing);
        };
        flight.memory = Memory::Filled(vec![span.into()]);
        self.receive(flight, thing);
    }

    fn choose(&mut self, group: u16) -> Option<Buffer> {
        let shelf = self.shelves.iter().find(|shelf| shelf.group == group);
        let mut buffers = shelf.expect("a pool's group").buffers.borrow_mut();
        if buffers.is_empty() {
            return None;
        }
        let which = self.rng.roll(buffers.len());
        Some(buffers.swap_remove(which))
    }

    /// So many, or fewer; not none.
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

    fn end(&mut self, flight: &mut Flight, answer: Answer, effect: Effect) {
        self.post(flight.key, What::Final(answer), effect);
        flight.stage = Stage::Ended;
    }

    /// Ends it with nothing done, whether somebody has asked for that or not.
    fn give_up(&mut self, flight: &mut Flight) {
        self.post(flight.key, What::CanceledByKernel, Effect::Nothing);
        flight.stage = Stage::Ended;
    }

    fn report(&mut self, post: Post) -> Report {
        let place = self.flying.iter().position(|flight| flight.key == post.key);
        let Some(place) = place else {
            assert!(matches!(post.what, What::NotFound));
            return Report::NotFound;
        };
        let flight = self.flying.swap_remove(place);
        let report = self.perform(&flight, post);
        match report {
            Report::Final(_) => {}
            Report::CanceledByKernel | Report::WouldBlock | Report::Ready => {
                assert!(self.given_up.insert(flight.key.to_bits()));
            }
            Report::Item(_) | Report::NotFound => self.flying.push(flight),
        }
        report
    }

    /// Does what it has been said to have done.
    fn perform(&mut self, flight: &Flight, post: Post) -> Report {
        let is_lent = matches!(flight.request, Request::Net(Net::SendZeroCopy { .. }));
        if let Some(thing) = flight.thing
            && !is_lent
        {
            let is_closed = self.things[thing].is_closed();
            assert!(!is_closed, "{:?} lost its descriptor", flight.request);
        }
        let mut descriptor = None;
        match post.effect {
            Effect::Nothing => {}
            Effect::Fill(thing, from, len) => {
                // SAFETY: its end has not been reported, by the contract of `launch`.
                unsafe { flight.memory.fill(&Thing::bytes(from, len)) };
                let address = flight.memory.address();
                if len > 0 && self.things[thing].taken > 0 {
                    self.put(address, thing, from, len);
                }
            }
            Effect::Put(buffer, thing, from, len) => {
                let bytes = Thing::bytes(from, len);
                // SAFETY: the kernel has chosen it, and not handed it out yet.
                unsafe { buffer.start.copy_from(bytes.as_ptr(), len) };
                if len > 0 {
                    self.put(buffer.start.addr(), thing, from, len);
                }
            }
            Effect::Send(thing, len) => {
                // SAFETY: its end has not been reported, by the contract of `launch`.
                let sent = unsafe { flight.memory.read(len) };
                self.things[thing].written.extend_from_slice(&sent);
            }
            Effect::Compare(sent) => {
                // SAFETY: likewise.
                assert_eq!(unsafe { flight.memory.read(sent.len()) }, sent);
            }
            Effect::HandOut(fd, peer) => {
                if !peer.is_null() {
                    // SAFETY: likewise; an address of no family.
                    unsafe { peer.write(PeerAddress::new()) };
                }
                descriptor = Some(Ok(fd.into_raw_fd() as u32));
            }
            // SAFETY: once, before the end was reported; by the contract of `launch`.
            Effect::Run(work) => unsafe { (work.run)(work.data) },
        }
        match post.what {
            What::Item(answer, buffer) => Report::Item(Item {
                answer: descriptor.unwrap_or(answer),
                buffer,
            }),
            What::Final(answer) => Report::Final(descriptor.unwrap_or(answer)),
            What::CanceledByKernel => Report::CanceledByKernel,
            What::WouldBlock => Report::WouldBlock,
            What::NotFound => Report::NotFound,
        }
    }

    /// These bytes are at that address now; whoever had others there has let them go.
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
            assert!(self.flying.is_empty(), "something flies");
        }
    }
}

/// Whether it is answered with "not now" rather than later.
fn is_not_to_wait(request: &Request) -> bool {
    matches!(request, Request::Net(Net::Recv { flags, .. }) if flags & libc::MSG_DONTWAIT != 0)
}

fn is_multi(request: &Request) -> bool {
    matches!(
        request,
        Request::Net(Net::AcceptMulti { .. } | Net::RecvMulti { .. } | Net::SendZeroCopy { .. })
    )
}

/// The descriptor that a request is about.
fn descriptor_of(request: &Request) -> Option<RawFd> {
    match *request {
        Request::File(file) => match file {
            File::Read { fd, .. }
            | File::Write { fd, .. }
            | File::ReadVectored { fd, .. }
            | File::WriteVectored { fd, .. }
            | File::Sync { fd, .. }
            | File::StatFd { fd, .. } => Some(fd),
            File::Open { .. } | File::Stat { .. } => None,
        },
        Request::Net(net) => net.socket(),
        Request::Poll(Poll::Once { fd, .. }) => Some(fd),
        Request::Nop
        | Request::Path(_)
        | Request::Pipe(_)
        | Request::Work(_)
        | Request::Raw(_)
        | Request::Invalid => None,
    }
}
