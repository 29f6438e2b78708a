//! The world: hosts, their common clock, and the events to come.

use std::{
    cell::{Cell, RefCell, RefMut},
    collections::{BTreeMap, BTreeSet},
    fmt, mem,
    net::{IpAddr, Ipv4Addr},
    ops::RangeInclusive,
    rc::Rc,
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use super::{
    clocks::{Clocks, EPOCH},
    completions::Completions,
    descriptors::{Descriptors, Object},
    drivers::Drivers,
    events::{self, Event, EventQueue},
    families::Fault,
    files::FileSystem,
    injector::{FaultStream, Injector, Site},
    local::Local,
    network::{End, Network},
    ready::{self, WokenHosts},
    rng::{Clock, Rng, hash_of},
    symbols,
    trace::{Mark, Trace},
};

/// The index of a host in its world.
pub type HostId = usize;

/// A simulated world: hosts in one thread, with a common virtual clock.
///
/// It runs nothing itself. Its owner runs the loops of the hosts that are [ready](Self::take_ready), and moves the
/// clock by [`advance`](Self::advance) if none is.
pub struct World {
    /// The reading of the monotonic clock at the virtual time zero.
    pub(super) base: Instant,
    now: Clock,
    /// The host that has tried to start a thread.
    refused_thread: Cell<Option<HostId>>,
    woken: Arc<WokenHosts>,
    state: RefCell<State>,
}

/// The settings of a world.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The seed of all random streams.
    pub seed: u64,
    /// The time that a packet takes from one host to another.
    pub latency: RangeInclusive<Duration>,
    /// Whether to shuffle things that are ready together. `None` is by the seed.
    pub shuffle: Option<bool>,
}

/// The reason why a host could not be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddHostError {
    /// Another host has the name.
    NameTaken,
    /// Another host has the address.
    AddressTaken,
    /// The address belongs to no single host: it is unspecified, a loopback or a multicast address.
    AddressInvalid,
}

/// The result of a step of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advanced {
    /// An event has occurred.
    Event,
    /// The next event is after the limit. The clock is at the limit.
    Limit,
    /// There is no event.
    Nothing,
}

pub(super) struct State {
    /// The same as in the world.
    pub(super) now: Duration,
    pub(super) events: EventQueue,
    pub(super) hosts: Vec<Host>,
    /// The number of hosts that are not up.
    pub(super) hosts_down: usize,
    pub(super) names: BTreeMap<String, HostId>,
    pub(super) addresses: BTreeMap<IpAddr, HostId>,
    pub(super) descriptors: Descriptors,
    pub(super) drivers: Drivers,
    pub(super) network: Network,
    pub(super) local: Local,
    pub(super) trace: Trace,
    pub(super) injector: Injector,
    /// The stream of the order of ready hosts, if the order is shuffled.
    order: Option<Rng>,
    /// The lines of the course that were not taken, if lines are wanted, with the hash of the trace at each.
    pub(super) lines: Option<Vec<(String, u64)>>,
    /// The families of faults that were set at any time.
    pub(super) faults_set: BTreeSet<Fault>,
    /// Whether the calm phase has begun, in which no fault is set.
    pub(super) is_calm: bool,
    pub(super) crashes: u64,
    seed: u64,
}

pub(super) struct Host {
    pub(super) name: String,
    pub(super) address: IpAddr,
    /// On the heap, so that the hosts are close to each other in memory.
    pub(super) files: Box<FileSystem>,
    pub(super) clocks: Clocks,
    pub(super) completions: Completions,
    /// The source of its ephemeral ports.
    pub(super) next_port: u16,
    rng: Rng,
    /// The random numbers of its service manager.
    manager_rng: Rng,
    /// The stream of the order of its tasks and completions.
    order: Rng,
    /// The source of the random numbers of its system.
    entropy: Rng,
    /// The moment for which its loop wants to be woken.
    wake_at: Option<Duration>,
    /// Whether it answers packets.
    pub(super) is_up: bool,
    /// Whether its program has crashed. Destructors of the program still run: their calls fail with EIO.
    pub(super) has_crashed: bool,
}

impl World {
    /// A world without hosts, at the time zero.
    pub fn new(settings: Settings) -> Rc<Self> {
        let Settings {
            seed,
            latency,
            shuffle,
        } = settings;
        let now = Clock::default();
        let injector = Injector::new(Rc::clone(&now));
        let mut order = Rng::of_name(seed, "\0order", &now);
        let (is_drawn, event_order) = (order.coin(), order.next());
        let shuffles = shuffle.unwrap_or(is_drawn);
        let state = State {
            now: Duration::ZERO,
            events: EventQueue::new(shuffles.then_some(event_order)),
            hosts: Vec::new(),
            hosts_down: 0,
            names: BTreeMap::new(),
            addresses: BTreeMap::new(),
            descriptors: Descriptors::default(),
            drivers: Drivers::default(),
            network: Network::new(
                Rng::of_name(seed, "\0network", &now),
                FaultStream::new(
                    Rng::of_name(seed, "\0network faults", &now),
                    injector.clone(),
                ),
                latency,
            ),
            local: Local::default(),
            trace: Trace::new(seed),
            injector,
            order: shuffles.then_some(order),
            lines: None,
            faults_set: BTreeSet::new(),
            is_calm: false,
            crashes: 0,
            seed,
        };
        Rc::new(Self {
            base: symbols::first_instant(),
            now,
            refused_thread: Cell::new(None),
            woken: Arc::default(),
            state: RefCell::new(state),
        })
    }

    /// Adds a host. Without an address it gets the next free one in 10.0.0.0/8.
    pub fn add_host(&self, name: &str, address: Option<IpAddr>) -> Result<HostId, AddHostError> {
        let mut state = self.state();
        if name == "localhost" || state.names.contains_key(name) {
            return Err(AddHostError::NameTaken);
        }
        let address = address.unwrap_or_else(|| state.free_address());
        if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
            return Err(AddHostError::AddressInvalid);
        }
        if state.addresses.contains_key(&address) {
            return Err(AddHostError::AddressTaken);
        }
        let id = state.hosts.len();
        let site = Site::Host(id);
        let rng = |user: &str| Rng::of_name(state.seed, &format!("{name}{user}"), &self.now);
        let faults = |user| FaultStream::new(rng(user), state.injector.clone());
        let host = Host {
            name: name.to_owned(),
            address,
            files: Box::new(FileSystem::new(EPOCH, faults("\0disk"), site)),
            clocks: Clocks::new(rng("\0clocks")),
            completions: Completions::new(faults("\0completions"), site),
            next_port: 0,
            rng: rng(""),
            manager_rng: rng("\0manager"),
            order: rng("\0order"),
            entropy: rng("\0entropy"),
            wake_at: None,
            is_up: true,
            has_crashed: false,
        };
        state.hosts.push(host);
        state.names.insert(name.to_owned(), id);
        state.addresses.insert(address, id);
        let values = [id as u64, hash_of(name.as_bytes())];
        state.note(Mark::Host, &values);
        Ok(id)
    }

    /// The true virtual time.
    pub fn now(&self) -> Duration {
        self.now.get()
    }

    /// The name of a host.
    pub fn name(&self, host: HostId) -> String {
        self.state().hosts[host].name.clone()
    }

    /// The address of a host.
    pub fn address(&self, host: HostId) -> IpAddr {
        self.state().hosts[host].address
    }

    /// The host of this name.
    pub fn find(&self, name: &str) -> Option<HostId> {
        self.state().names.get(name).copied()
    }

    /// The hash over all requests, results and times up to now.
    pub fn trace_hash(&self) -> u64 {
        self.state().trace.hash()
    }

    /// The number of records in the trace.
    pub fn trace_len(&self) -> u64 {
        self.state().trace.records()
    }

    /// From now on, [`take_lines`](Self::take_lines) returns the course as text.
    pub fn record_lines(&self) {
        self.state().lines = Some(Vec::new());
    }

    /// The lines since the last call: a line for each request, result and packet, with the hash of the trace at it.
    pub fn take_lines(&self) -> Vec<(String, u64)> {
        let mut state = self.state();
        state.lines.as_mut().map(mem::take).unwrap_or_default()
    }

    /// The next number of a host's random stream.
    pub fn random(&self, host: HostId) -> u64 {
        let mut state = self.state();
        let number = state.hosts[host].rng.next();
        state.note(Mark::Random, &[host as u64, number]);
        number
    }

    /// Fills the bytes with random numbers of the host's system. `None` if the state is in use.
    pub(super) fn fill_random(&self, host: HostId, bytes: &mut [u8]) -> Option<()> {
        let mut state = self.try_state()?;
        for chunk in bytes.chunks_mut(8) {
            let number = state.hosts[host].entropy.next().to_le_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
        let values = [host as u64, bytes.len() as u64, hash_of(bytes)];
        state.note(Mark::Random, &values);
        // It allocates only if lines are wanted.
        state.say(|state| format!("{}: {} random bytes", state.hosts[host].name, bytes.len()));
        Some(())
    }

    /// Notes that the host has tried to start a thread.
    pub(super) fn refuse_thread(&self, host: HostId) {
        self.refused_thread.set(Some(host));
    }

    /// The host that has tried to start a thread since the last call.
    pub fn take_refused_thread(&self) -> Option<HostId> {
        self.refused_thread.take()
    }

    /// A waker that makes the host [ready](Self::take_ready).
    pub fn waker(&self, host: HostId) -> Waker {
        ready::waker(&self.woken, host)
    }

    /// The next of the ready hosts. It is not ready any more.
    pub fn take_ready(&self) -> Option<HostId> {
        let state = &mut *self.state();
        for host in self.woken.take() {
            state.drivers.ready.push(host);
        }
        let order = &mut state.order;
        state.drivers.ready.pop(|hosts| {
            if let Some(order) = order {
                order.shuffle(hosts);
            }
        })
    }

    /// Makes the host ready.
    pub fn make_ready(&self, host: HostId) {
        self.state().drivers.ready.push(host);
    }

    /// Makes the host ready after this time of its clock, in the place of an earlier call.
    pub fn wake_after(&self, host: HostId, time: Option<Duration>) {
        let mut state = self.state();
        let at = time.map(|time| {
            let at = state.hosts[host].clocks.after(state.now, time);
            at.map_or(events::LAST, |at| at.min(events::LAST))
        });
        if state.hosts[host].wake_at == at {
            return;
        }
        state.hosts[host].wake_at = at;
        if let Some(at) = at {
            state.events.add(at, Event::Wake(host));
        }
    }

    /// The time from the end of a program to its restart by a service manager, in this range.
    pub fn draw_restart_delay(&self, host: HostId, range: &RangeInclusive<Duration>) -> Duration {
        self.state().hosts[host].manager_rng.time_in(range)
    }

    /// Moves the clock on to this moment. There is no event before it.
    pub fn move_to(&self, moment: Duration) {
        let mut state = self.state();
        state.now = state.now.max(moment);
        self.now.set(state.now);
    }

    /// Moves the clock to the next event, and executes it. The clock does not pass `limit`.
    pub fn advance(&self, limit: Duration) -> Advanced {
        let mut state = self.state();
        loop {
            let Some((at, event)) = state.events.first() else {
                return Advanced::Nothing;
            };
            // Replaced by another one, or executed with it.
            if let Event::Wake(host) = *event
                && state.hosts[host].wake_at != Some(at)
            {
                state.events.take_first();
                continue;
            }
            if at > limit {
                drop(state);
                self.move_to(limit);
                return Advanced::Limit;
            }
            let Some(event) = state.events.take_first() else {
                return Advanced::Nothing;
            };
            debug_assert!(at >= state.now, "the clock does not go back");
            state.now = at;
            self.now.set(at);
            match event {
                Event::Wake(host) => {
                    state.hosts[host].wake_at = None;
                    state.drivers.ready.push(host);
                }
                Event::Network(packet) => state.deliver(packet),
                Event::Local(id) => state.on_local(id),
                Event::Disk(finish) => state.finish_on_disk(finish),
                Event::Report(waiter, _) => state.report(waiter),
                Event::Cancel(waiter) => state.end_cancel(waiter),
            }
            // Packets of one moment arrive before any program runs, so that one read may get several of them.
            match state.events.first() {
                Some((next, Event::Network(_))) if next == state.now => {}
                _ => return Advanced::Event,
            }
        }
    }

    /// Closes all descriptors of a host whose program has ended. The caller has dropped its runtime.
    pub fn exit(&self, host: HostId) {
        let mut state = self.state();
        state.note(Mark::Host, &[host as u64, 2]);
        state.say_of_host(host, "the program has ended");
        state.end_all(host, End::Close);
    }

    /// Ends the program of a host by a crash: its connections are closed, its files stay. The caller drops its runtime
    /// afterwards, so that the destructors of the program have no effect.
    pub fn crash(&self, host: HostId) {
        let mut state = self.state();
        state.note(Mark::Host, &[host as u64, 3]);
        state.say_of_host(host, "crash");
        state.crashes += 1;
        state.faults_set.insert(Fault::Crash);
        state.end_all(host, End::Close);
        state.hosts[host].has_crashed = true;
    }

    /// Ends the host without a packet to its peers. It answers no packets, and its files are as the last syncs have left them. As for
    /// [`crash`](Self::crash) about its runtime.
    pub fn power_loss(&self, host: HostId) {
        let mut state = self.state();
        state.note(Mark::Host, &[host as u64, 4]);
        state.say_of_host(host, "loss of power");
        let families = [Fault::PowerLoss, Fault::UnsyncedLoss, Fault::Blocked];
        state.faults_set.extend(families);
        state.end_all(host, End::Silence);
        state.set_up(host, false);
        let host = &mut state.hosts[host];
        host.has_crashed = true;
        host.files.lose_unsynced();
    }

    /// Starts the host again.
    pub fn bring_up(&self, host: HostId) {
        let mut state = self.state();
        state.note(Mark::Host, &[host as u64, 1]);
        state.say_of_host(host, "start");
        state.injector.end(host, host);
        state.set_up(host, true);
        state.hosts[host].has_crashed = false;
    }

    /// Begins the calm phase: ends all faults of disks and links, and ignores the calls that set others. Hosts outside of the core are cut
    /// off, and keep the faults of their disks.
    pub fn begin_calm(&self, is_in_core: impl Fn(HostId) -> bool) {
        let mut state = self.state();
        state.say(|_| "the calm phase begins".to_owned());
        state.is_calm = true;
        state.calm_network();
        for host in 0..state.hosts.len() {
            if is_in_core(host) {
                state.hosts[host].files.calm_disk();
                state.hosts[host].completions.calm();
            } else {
                state.isolate(host);
            }
        }
    }

    /// Whether the calm phase has begun.
    pub fn is_calm(&self) -> bool {
        self.state().is_calm
    }

    pub(super) fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// As [`state`](Self::state), unless the state is in use further up the stack.
    pub(super) fn try_state(&self) -> Option<RefMut<'_, State>> {
        self.state.try_borrow_mut().ok()
    }
}

impl State {
    fn set_up(&mut self, host: HostId, is_up: bool) {
        let was_up = mem::replace(&mut self.hosts[host].is_up, is_up);
        self.hosts_down = self.hosts_down + usize::from(was_up) - usize::from(is_up);
    }

    pub(super) fn note(&mut self, mark: Mark, values: &[u64]) {
        self.trace.add(self.now, mark, values);
    }

    /// A random number for the order of the things that are ready together on a host, if it is shuffled.
    pub(super) fn draw_order(&mut self, host: HostId) -> Option<u64> {
        self.order.is_some().then(|| self.hosts[host].order.next())
    }

    fn free_address(&self) -> IpAddr {
        let first = u32::from(Ipv4Addr::new(10, 0, 0, 1)) + self.hosts.len() as u32;
        let candidates = (first..).map(|number| IpAddr::V4(number.into()));
        let mut free = candidates.filter(|address| !self.addresses.contains_key(address));
        free.next().expect("fewer hosts than addresses")
    }

    fn end_all(&mut self, host: HostId, end: End) {
        for fd in self.descriptors.of_host(host) {
            self.close(fd, end);
        }
        self.hosts[host].wake_at = None;
    }

    /// Closes a descriptor, if it is open. With the last one of an object, the object ends.
    pub(super) fn close(&mut self, fd: i32, end: End) {
        let Some(descriptor) = self.descriptors.remove(fd) else {
            return;
        };
        self.note(Mark::Call, &[1, descriptor.index]);
        match descriptor.object {
            Object::Socket(socket) | Object::Pipe(socket) => self.close_socket(socket, end),
            Object::File(file) => self.hosts[descriptor.host].files.close(file),
        }
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("now", &self.now())
            .finish_non_exhaustive()
    }
}
