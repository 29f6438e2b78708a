//! The harness of a random program: it polls actors after a wake, and sometimes without one, drops
//! them, and checks the outcome at the end.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::{Rc, Weak},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    TestKernel,
    actors::{self, poll_idly},
    probes::{Bell, BufferFault, Canary, WakerAction, expect_planned},
};
use crate::{
    accept::Acceptor,
    buffers::{BufferPool, PooledBuffer},
    cancel::CancelToken,
    driver::{Driver, Entry, Poller},
    fd::SharedFd,
    op::Recv,
    operation::Operation,
    sys::{AsRawFd, rng::Rng},
};

/// How a program treats actors that have not finished.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum DropPolicy {
    /// They stay until they finish, and no waker drops another actor.
    Patient,
    /// They are dropped and leaked at any time.
    Careless,
}

/// How a program ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum End {
    /// All actors get the results that they wait for, provided that they are woken.
    Await,
    Drop,
    ShutDown,
}

pub(super) type Actor = Pin<Box<dyn Future<Output = ()>>>;

struct Slot {
    number: usize,
    /// None while the actor is being polled.
    actor: Option<Actor>,
    bell: Arc<Bell>,
    is_new: bool,
    tokens: Vec<CancelToken>,
    things: Vec<usize>,
}

/// An operation of the low-level API, which stays with its caller.
struct Pushed {
    number: usize,
    thing: usize,
    operation: Box<Recv<Canary>>,
}

pub(super) struct Harness {
    pub(super) driver: Driver,
    pub(super) kernel: Rc<dyn TestKernel>,
    pub(super) pools: Vec<BufferPool>,
    /// A listener that several actors share.
    pub(super) listener: (usize, SharedFd),
    /// A shared listener that loses no connection.
    pub(super) acceptor: (usize, SharedFd, Acceptor),
    /// Streams that several actors share.
    pub(super) streams: Vec<(usize, SharedFd)>,
    pub(super) file: (usize, SharedFd),
    /// Descriptors that actors have got, which should be open.
    pub(super) held: RefCell<Vec<SharedFd>>,
    pub(super) held_buffers: RefCell<Vec<PooledBuffer>>,
    /// The number of bytes of each object that actors have reported as sent.
    pub(super) sent: RefCell<Vec<usize>>,
    /// The number of connections that the acceptor has returned.
    pub(super) accepted: Cell<usize>,
    /// The number of actors that wait for the acceptor.
    pub(super) waiting: Cell<usize>,
    rng: RefCell<Rng>,
    manners: DropPolicy,
    slots: RefCell<Vec<Slot>>,
    /// Actors that are never polled again.
    leaked: RefCell<Vec<Actor>>,
    tokens: RefCell<Vec<CancelToken>>,
    pushed: RefCell<Vec<Pushed>>,
    alive: Rc<Cell<usize>>,
    pub(super) is_shut_down: Cell<bool>,
    next_number: Cell<usize>,
    trace: RefCell<Vec<String>>,
}

const SEATS_MAX: usize = 24;

/// The longest wait, in turns.
const PATIENCE: usize = 20_000;

thread_local! {
    /// The harness of this thread, for wakers, which have no reference to it.
    static CURRENT: RefCell<Weak<Harness>> = const { RefCell::new(Weak::new()) };
}

pub(super) fn with_current(use_table: impl FnOnce(&Rc<Harness>)) {
    let current = CURRENT.with_borrow(Weak::upgrade);
    if let Some(harness) = current {
        use_table(&harness);
    }
}

impl Harness {
    pub(super) fn new(rng: Rng, kernel: Rc<dyn TestKernel>, manners: DropPolicy) -> Rc<Self> {
        let driver = kernel.driver();
        let pools = [1, 4, 64].map(|count| BufferPool::new(&driver, count, 16).unwrap());
        let (acceptor, fd) = kernel.listener();
        let harness = Rc::new(Self {
            pools: pools.into(),
            listener: kernel.listener(),
            acceptor: (acceptor, fd, Acceptor::new()),
            streams: (0..3).map(|_| kernel.stream()).collect(),
            file: kernel.file(),
            held: RefCell::default(),
            held_buffers: RefCell::default(),
            sent: RefCell::default(),
            accepted: Cell::default(),
            waiting: Cell::default(),
            rng: RefCell::new(rng),
            manners,
            slots: RefCell::default(),
            leaked: RefCell::default(),
            tokens: RefCell::new(vec![CancelToken::new(), CancelToken::new()]),
            pushed: RefCell::default(),
            alive: Rc::default(),
            is_shut_down: Cell::new(false),
            next_number: Cell::default(),
            trace: RefCell::default(),
            driver,
            kernel,
        });
        CURRENT.set(Rc::downgrade(&harness));
        harness
    }

    pub(super) fn roll(&self, sides: usize) -> usize {
        self.rng.borrow_mut().roll(sides)
    }

    pub(super) fn percent(&self, chance: usize) -> bool {
        self.rng.borrow_mut().percent(chance)
    }

    pub(super) fn record(&self, what: String) {
        self.trace.borrow_mut().push(what);
    }

    /// Records that an actor has sent bytes.
    pub(super) fn note_sent(&self, thing: usize, len: usize) {
        self.record(format!("{len} bytes are sent to {thing}"));
        let mut sent = self.sent.borrow_mut();
        if sent.len() <= thing {
            sent.resize(thing + 1, 0);
        }
        sent[thing] += len;
    }

    fn whim(&self) -> BufferFault {
        match self.roll(40) {
            0 => BufferFault::PanicsWhenAsked,
            1 => BufferFault::PanicsWhenDropped,
            _ => BufferFault::None,
        }
    }

    /// The length of a buffer. Long ones fill the window of a stream.
    fn len(&self) -> usize {
        let is_long = self.percent(10);
        1 + self.roll(if is_long { 4000 } else { 40 })
    }

    pub(super) fn room(&self) -> Canary {
        Canary::with_room(self.len(), self.whim(), &self.alive)
    }

    /// A buffer to be sent.
    pub(super) fn words(&self, first: usize) -> Canary {
        Canary::from(first, self.len(), self.whim(), &self.alive)
    }

    fn bell(&self) -> Arc<Bell> {
        Bell::new(match self.roll(30) {
            0 => WakerAction::Panics,
            1 => WakerAction::TurnsTheDriver,
            2 if self.manners == DropPolicy::Careless => WakerAction::DropsAnother,
            3 => WakerAction::CancelsAToken,
            _ => WakerAction::None,
        })
    }

    pub(super) fn step(self: &Rc<Self>) {
        match self.roll(24) {
            0..=5 => self.seat_somebody(),
            6..=9 => self.poll_those_woken(),
            10 => self.poll_anybody(),
            11 if self.manners == DropPolicy::Careless => self.drop_anybody(),
            12 if self.manners == DropPolicy::Careless => self.forget_anybody(),
            13 if self.percent(50) => self.cancel_a_token(),
            14..=16 => self.do_something_outside(),
            17 => {
                self.driver.waker().wake();
                self.driver.prepare_to_sleep();
            }
            18 => self.push(),
            19 => self.poll_pushed(),
            20 => self.let_go(),
            _ => self.turn(),
        }
    }

    fn seat_somebody(self: &Rc<Self>) {
        if self.slots.borrow().len() >= SEATS_MAX {
            return;
        }
        let number = self.next_number.replace(self.next_number.get() + 1);
        let tokens = self.tokens.borrow().clone();
        let mut tokens: Vec<_> = tokens.into_iter().filter(|_| self.percent(40)).collect();
        if self.percent(20) {
            tokens.clear();
        }
        let (things, actor) = actors::any(self, &tokens);
        let slot = Slot {
            number,
            actor: Some(actor),
            bell: self.bell(),
            is_new: true,
            tokens,
            things,
        };
        self.slots.borrow_mut().push(slot);
        self.poll_number(number);
    }

    fn poll_those_woken(&self) {
        let slots = self.slots.borrow();
        let woken = slots
            .iter()
            .filter(|slot| slot.is_new || slot.bell.has_rung());
        let woken: Vec<_> = woken.map(|slot| slot.number).collect();
        drop(slots);
        for number in woken {
            self.poll_number(number);
        }
    }

    /// Polls an actor. If it was not woken, it must make no progress.
    fn poll_anybody(&self) {
        let Some(place) = self.any_place() else {
            return;
        };
        let mut slots = self.slots.borrow_mut();
        let slot = &mut slots[place];
        let is_expected = slot.is_new || slot.bell.has_rung();
        let number = slot.number;
        if self.percent(50) {
            slot.bell = self.bell();
        }
        drop(slots);
        let before = self.progress();
        self.poll_number(number);
        assert!(
            is_expected || self.progress() == before,
            "{number} was not woken"
        );
    }

    /// A value that changes with every event.
    fn progress(&self) -> (u64, usize) {
        (self.kernel.progress(), self.trace.borrow().len())
    }

    fn any_place(&self) -> Option<usize> {
        let count = self.slots.borrow().len();
        (count > 0).then(|| self.roll(count))
    }

    fn poll_number(&self, number: usize) {
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.iter_mut().find(|slot| slot.number == number) else {
            return;
        };
        // None if the actor is being polled.
        let Some(mut actor) = slot.actor.take() else {
            return;
        };
        slot.is_new = false;
        let waker = slot.bell.waker();
        let tokens = slot.tokens.clone();
        drop(slots);
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let _scopes: Vec<_> = tokens
                .iter()
                .map(|token| self.driver.scope(token))
                .collect();
            actor.as_mut().poll(&mut Context::from_waker(&waker))
        }));
        let is_over = match polled {
            Ok(polled) => polled.is_ready(),
            Err(panic) => {
                expect_planned(panic);
                true
            }
        };
        let mut slots = self.slots.borrow_mut();
        let place = slots.iter().position(|slot| slot.number == number);
        match place {
            Some(place) if is_over => {
                let slot = slots.swap_remove(place);
                drop(slots);
                self.record(format!("{number} is done"));
                drop(slot);
                self.leave(actor);
            }
            Some(place) => slots[place].actor = Some(actor),
            // A waker has dropped the slot during the poll.
            None => {
                drop(slots);
                self.leave(actor);
            }
        }
    }

    /// Drops an actor, whose buffers may panic.
    fn leave(&self, actor: Actor) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(actor))) {
            expect_planned(panic);
        }
    }

    fn take_seat(&self) -> Option<Slot> {
        let place = self.any_place()?;
        let slot = self.slots.borrow_mut().swap_remove(place);
        self.give_up(&slot);
        Some(slot)
    }

    /// Allows the loss of data that arrives for this actor.
    fn give_up(&self, slot: &Slot) {
        self.record(format!("{} is dropped or leaked", slot.number));
        for thing in &slot.things {
            self.kernel.permit_loss(*thing);
        }
    }

    fn drop_anybody(&self) {
        if let Some(Slot { actor, .. }) = self.take_seat()
            && let Some(actor) = actor
        {
            self.leave(actor);
        }
    }

    fn forget_anybody(&self) {
        if let Some(Slot { actor, .. }) = self.take_seat() {
            self.leaked.borrow_mut().extend(actor);
        }
    }

    fn cancel_a_token(&self) {
        self.cancel_token(self.roll(2));
    }

    fn cancel_token(&self, which: usize) {
        let token = std::mem::take(&mut self.tokens.borrow_mut()[which]);
        token.cancel();
        self.record("a token is cancelled".into());
    }

    /// Runs the side effect of a waker.
    pub(super) fn do_deed(&self, deed: WakerAction) {
        match deed {
            WakerAction::None | WakerAction::Panics => {}
            WakerAction::TurnsTheDriver => self.turn(),
            WakerAction::DropsAnother => self.drop_anybody(),
            WakerAction::CancelsAToken => self.cancel_a_token(),
        }
    }

    /// Peers send, finish and connect.
    fn do_something_outside(&self) {
        let (what, amount) = (self.roll(6), self.roll(60));
        let others = [self.listener.0, self.acceptor.0, self.file.0];
        let thing = self.roll(self.kernel.count());
        match what {
            0 => self.kernel.connect_peers(self.listener.0, amount),
            1 => self.kernel.connect_peers(self.acceptor.0, amount % 4),
            _ if others.contains(&thing) => {}
            2 if amount < 20 => self.kernel.finish_peer(thing),
            3 => self.kernel.send_from_peer(thing, 15 * amount),
            _ => self.kernel.send_from_peer(thing, amount),
        }
    }

    /// Begins an operation of the low-level API.
    fn push(&self) {
        let (thing, fd) = self.streams[self.roll(self.streams.len())].clone();
        let number = self.next_number.replace(self.next_number.get() + 1);
        let room = Canary::with_room(1 + self.roll(40), BufferFault::None, &self.alive);
        let mut operation = Box::new(Recv::new(fd, room, 0));
        // SAFETY: the box is kept until its entry has arrived.
        unsafe { self.driver.push(&mut *operation, number) }.expect("the driver is not shut down");
        self.pushed.borrow_mut().push(Pushed {
            number,
            thing,
            operation,
        });
        if self.percent(20) {
            Poller::cancel(&self.driver, number);
        }
    }

    fn poll_pushed(&self) {
        let polled = catch_unwind(AssertUnwindSafe(|| {
            self.driver.poll_one(Some(Duration::ZERO))
        }));
        match polled {
            Ok(Ok(entry)) => self.take_entry(entry),
            Ok(Err(error)) => self.expect_no_wait(&error),
            Err(panic) => expect_planned(panic),
        }
    }

    fn take_entry(&self, entry: Entry) {
        let mut pushed = self.pushed.borrow_mut();
        let number = entry.user_data();
        let place = pushed.iter().position(|one| one.number == number);
        let one =
            pushed.swap_remove(place.expect("each pushed operation must have exactly one entry"));
        // SAFETY: the entry belongs to this operation.
        let (received, buffer) = unsafe { one.operation.finish(entry.into_result()) };
        self.record(format!("{} was {received:?}", one.number));
        if received.is_ok_and(|len| len > 0) {
            self.kernel.claim(one.thing, None, buffer.bytes());
        }
    }

    fn expect_no_wait(&self, error: &io::Error) {
        let codes = [libc::EINTR, libc::EBUSY, libc::EAGAIN, libc::ENOMEM];
        let is_fault = error
            .raw_os_error()
            .is_some_and(|code| codes.contains(&code));
        assert!(
            is_fault || error.kind() == io::ErrorKind::TimedOut,
            "{error}"
        );
    }

    /// Releases the held buffers and connections.
    fn let_go(&self) {
        self.held_buffers.take();
        let held = self.held.take();
        let is_open = |fd: &SharedFd| {
            let thing = self.kernel.which(fd.as_raw_fd());
            !self.kernel.is_closed(thing)
        };
        assert!(
            held.iter().all(is_open),
            "a descriptor was closed while its owner held it"
        );
    }

    fn turn(&self) {
        match catch_unwind(AssertUnwindSafe(|| self.kernel.turn(&self.driver))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.expect_no_wait(&error),
            Err(panic) => expect_planned(panic),
        }
    }

    /// Ends the program, and returns its trace.
    pub(super) fn end(self: &Rc<Self>, end: End) -> Vec<String> {
        self.kernel.calm_down();
        // They may own buffers of a pool that other actors wait for.
        for actor in self.leaked.take() {
            self.leave(actor);
        }
        match end {
            End::Await => self.await_all(),
            End::Drop => {
                while self.any_place().is_some() {
                    self.drop_anybody();
                }
            }
            End::ShutDown => {
                self.is_shut_down.set(true);
                self.driver.shut_down();
                assert_eq!(
                    self.driver.in_flight(),
                    0,
                    "operations are in flight after a shutdown"
                );
                self.await_all();
            }
        }
        self.take_all_pushed();
        self.count_accepted();
        self.land_all();
        self.let_go();
        self.check()
    }

    /// Turns until no operation is in flight.
    fn land_all(&self) {
        let mut turns = 0;
        while self.driver.in_flight() > 0 {
            self.turn();
            turns += 1;
            assert!(turns < PATIENCE, "{:?} does not complete", self.driver);
        }
    }

    /// Completes every wait, and expects that each actor is woken.
    fn await_all(self: &Rc<Self>) {
        self.await_cancelled();
        self.await_kept();
        let mut turns = 0;
        while self.any_place().is_some() {
            self.kernel
                .complete_waits(&[self.listener.0, self.acceptor.0]);
            self.poll_those_woken();
            self.turn();
            self.let_go();
            turns += 1;
            assert!(turns < PATIENCE, "{} are not woken", self.seated());
        }
    }

    /// Actors with a token finish after its cancel, without other events.
    fn await_cancelled(self: &Rc<Self>) {
        self.cancel_token(0);
        self.cancel_token(1);
        let mut turns = 0;
        while self
            .slots
            .borrow()
            .iter()
            .any(|slot| !slot.tokens.is_empty())
        {
            self.poll_those_woken();
            self.turn();
            turns += 1;
            assert!(turns < PATIENCE, "{} are not cancelled", self.seated());
        }
    }

    /// Waiting actors take a connection that was kept.
    fn await_kept(self: &Rc<Self>) {
        self.kernel.end_connections(self.acceptor.0);
        for _ in 0..100 {
            self.poll_those_woken();
            self.turn();
        }
        self.poll_those_woken();
        let (_, fd, acceptor) = &self.acceptor;
        let waiting = self.waiting.get();
        if let Poll::Ready(Ok(connection)) = poll_idly(&mut acceptor.accept(&self.driver, fd)) {
            assert_eq!(waiting, 0, "no waiting actor was woken for a connection");
            drop(SharedFd::from(connection.0));
            self.accepted.set(self.accepted.get() + 1);
        }
    }

    fn seated(&self) -> String {
        let slots = self.slots.borrow();
        let numbers: Vec<_> = slots.iter().map(|slot| slot.number).collect();
        format!("{numbers:?}")
    }

    fn take_all_pushed(&self) {
        for one in self.pushed.borrow().iter() {
            Poller::cancel(&self.driver, one.number);
        }
        let mut turns = 0;
        while !self.pushed.borrow().is_empty() {
            self.poll_pushed();
            turns += 1;
            assert!(turns < PATIENCE, "no entry arrives");
        }
    }

    /// Counts the connections that are kept for the next accept.
    fn count_accepted(self: &Rc<Self>) {
        let (thing, fd, acceptor) = &self.acceptor;
        let listener = *thing;
        self.kernel.end_connections(listener);
        self.land_all();
        let mut kept = 0;
        while let Poll::Ready(Ok(connection)) = poll_idly(&mut acceptor.accept(&self.driver, fd)) {
            drop(SharedFd::from(connection.0));
            kept += 1;
        }
        assert_eq!(
            self.accepted.get() + kept,
            self.kernel.accepted(listener),
            "a connection is lost"
        );
    }

    fn check(&self) -> Vec<String> {
        assert_eq!(self.alive.get(), 0, "a buffer was not dropped");
        for pool in &self.pools {
            assert_eq!(pool.handed_out(), 0);
        }
        let mut sent = self.sent.take();
        sent.resize(self.kernel.count(), 0);
        for (thing, sent) in sent.into_iter().enumerate() {
            self.kernel.check_sent(thing, sent);
        }
        self.record(format!("progress {}", self.kernel.progress()));
        self.trace.take()
    }
}
