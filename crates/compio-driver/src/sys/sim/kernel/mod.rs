//! The simulated kernel: operations in flight, and the events of a turn. `attempt.rs` executes requests,
//! `completion.rs` reports them.

mod attempt;
mod buffer_ring;
mod completion;
mod fault_profile;

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    io, mem,
    os::fd::{OwnedFd, RawFd},
    rc::Rc,
};

use libc::{EAGAIN, EBUSY, ECANCELED, EINTR, EMFILE, ENOMEM};

use self::{
    buffer_ring::SimBufferRing,
    completion::{Effect, Post, What},
    fault_profile::{FAULTS, FaultProfile},
};
use super::{Rng, Thing};
use crate::{
    key::Key,
    request::{Control, FileOp, Net, Poll, RawResult, Request},
    sys::{BufferRing, Capabilities, Report, Submitted, programs::Memory},
    thread_pool::{Job, ThreadPool},
};

pub(crate) struct Kernel {
    rng: Rng,
    profile: FaultProfile,
    is_faulty: bool,
    things: Vec<Thing>,
    flying: Vec<Flight>,
    /// All keys that were ever submitted.
    known: HashSet<u64>,
    /// Keys that were reported as cancelled by the kernel or as blocked, and may be submitted again.
    given_up: HashSet<u64>,
    submitted: u64,
    /// Keys to be cancelled, and the number of turns until then.
    wishes: Vec<(Key, usize)>,
    posted: Vec<Post>,
    buffer_rings: Vec<Rc<SimBufferRing>>,
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

#[derive(Debug)]
struct Claim {
    thing: usize,
    address: usize,
    from: usize,
    len: usize,
}

impl Kernel {
    pub(super) fn new(mut rng: Rng) -> Self {
        let profile = FaultProfile::new(&mut rng);
        Self {
            is_faulty: profile.fails > 0,
            profile,
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
        self.profile.fails = 0;
        self.profile.wait_fails = 0;
        self.profile.is_quick = 80;
    }

    /// Whether this can be an injected error.
    pub(super) fn may_fail_with(&self, code: i32) -> bool {
        self.is_faulty && (FAULTS.contains(&code) || code == EMFILE)
    }

    /// Whether the next turn may sleep.
    pub(super) fn sleeps_in_turn(&mut self) -> bool {
        self.rng.percent(50)
    }

    /// The number of requests.
    pub(super) fn submitted(&self) -> u64 {
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
        self.profile.capabilities
    }

    pub(super) fn register_buffers(&mut self) -> Option<Box<dyn BufferRing>> {
        self.groups += 1;
        let buffer_ring = Rc::new(SimBufferRing {
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
        if !is_multi(request) && self.rng.percent(self.profile.answers_at_once) {
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
        let fails = mem::take(&mut self.profile.fails);
        self.attempt(&mut flight);
        self.profile.fails = fails;
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
        if self.rng.percent(self.profile.wait_is_in_vain) {
            return (reports, Ok(()));
        }
        while reports.len() < self.profile.completions_max && !self.posted.is_empty() {
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
        let ended = if self.rng.percent(self.profile.wait_fails) {
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
        if !waits || self.rng.percent(self.profile.finds_nothing) {
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
        let is_too_late = flight.is_to_end && self.rng.percent(self.profile.is_too_late);
        if !flight.is_to_end && self.rng.percent(self.profile.is_quick) || is_too_late {
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
            FileOp::Sync { fd, .. }
            | FileOp::StatFd { fd, .. }
            | FileOp::Truncate { fd, .. }
            | FileOp::Allocate { fd, .. }
            | FileOp::WriteWith { fd, .. } => Some(fd),
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
