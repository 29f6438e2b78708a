//! The simulation: the outer loop of all runtimes.

use std::{collections::BTreeSet, net::IpAddr, ops::RangeInclusive, rc::Rc, time::Duration};

use compio_driver::os::simulated::{AddHostError, Advanced, HostId, World, current};

use super::{
    Builder, ClockFaults, CompletionFaults, DiskFaults, Error, ErrorKind, Fault, NetworkFaults,
    Outcome, Report, Summary, assertions,
    builder::{OnLine, check_latency},
    goals::Goals,
    here::{ORDERS, Order, Run},
    invariant::Invariant,
    program::{End, Program, Source},
    recovery::{Alarm, Calm},
    report::Operations,
    seeds::is_set,
};

/// The most polls of one loop at one moment of the virtual time, on average over all hosts, and a number that small simulations may
/// reach.
const POLLS_MAX: (usize, usize) = (1000, 100_000);

/// The end of each run, after 584 years. The world has all later events at the moment after it.
const TIME_MAX: Duration = Duration::from_nanos(u64::MAX - 1);

/// The environment variable that is `1` if each simulation prints its hash.
const PRINT_HASHES: &str = "COMPIO_SIM_HASHES";

/// A simulated world, and the programs on its hosts: see the [module](super).
///
/// Dropping it drops all programs. With the environment variable `COMPIO_SIM_HASHES=1` it prints its seed, time and hash, so that the
/// output of two processes can be compared.
#[derive(Debug)]
pub struct Simulation {
    pub(super) world: Rc<World>,
    seed: u64,
    time_limit: Duration,
    step_limit: u64,
    /// By the ID of the host.
    pub(super) programs: Vec<Program>,
    /// The number of clients that run.
    clients: usize,
    pub(super) alarms: BTreeSet<(Duration, Alarm)>,
    pub(super) restarts: u64,
    pub(super) calm: Option<Calm>,
    /// The first error of a call that returns none.
    refused: Option<Error>,
    /// The assertions that must be evaluated.
    must_reach: BTreeSet<String>,
    goals: Goals,
    invariants: Vec<Invariant>,
    on_line: Vec<OnLine>,
}

impl Simulation {
    /// The settings, to be changed before [`build`](Builder::build).
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(super) fn new(world: Rc<World>, seed: u64, time_limit: Duration, step_limit: u64) -> Self {
        Self {
            world,
            seed,
            time_limit,
            step_limit,
            programs: Vec::new(),
            clients: 0,
            alarms: BTreeSet::new(),
            restarts: 0,
            calm: None,
            refused: None,
            must_reach: BTreeSet::new(),
            goals: Goals::default(),
            invariants: Vec::new(),
            on_line: Vec::new(),
        }
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// As [`Builder::latency`], for tests that do not make the simulation.
    ///
    /// # Panics
    ///
    /// If the range is empty.
    #[track_caller]
    pub fn set_latency(&mut self, latency: RangeInclusive<Duration>) -> &mut Self {
        check_latency(&latency);
        self.world.set_latency(latency);
        self
    }

    /// As [`Builder::time_limit`], for tests that do not make the simulation.
    pub fn set_time_limit(&mut self, limit: Duration) -> &mut Self {
        self.time_limit = limit;
        self
    }

    /// As [`Builder::step_limit`], for tests that do not make the simulation.
    pub fn set_step_limit(&mut self, limit: u64) -> &mut Self {
        self.step_limit = limit;
        self
    }

    /// As [`Builder::on_line`], for tests that do not make the simulation. Each code gets all lines.
    pub fn on_line(&mut self, mut code: impl FnMut(&str) + 'static) -> &mut Self {
        self.on_hashed_line(move |line, _| code(line));
        self
    }

    /// As [`on_line`](Self::on_line), with the hash of the trace at the line.
    pub(super) fn on_hashed_line(&mut self, code: impl FnMut(&str, u64) + 'static) {
        self.world.record_lines();
        self.on_line.push(OnLine(Box::new(code)));
    }

    /// Adds a host. Its program is made by `program`, again at each [restart](super::restart). It may run without end: the
    /// simulation ends with its clients.
    ///
    /// The host has the next free address of 10.0.0.0/8, and all hosts resolve its name. A name that another host has is an error
    /// of [`run`](Self::run).
    pub fn host<F, Fut>(&mut self, name: &str, program: F) -> &mut Self
    where
        F: Fn() -> Fut + 'static,
        Fut: Future<Output: Outcome> + 'static,
    {
        self.add(name, None, Source::of_host(program))
    }

    /// As [`host`](Self::host), with an address. An address that another host has, or that no host can have, is an error of
    /// [`run`](Self::run).
    pub fn host_at<F, Fut>(&mut self, name: &str, address: IpAddr, program: F) -> &mut Self
    where
        F: Fn() -> Fut + 'static,
        Fut: Future<Output: Outcome> + 'static,
    {
        self.add(name, Some(address), Source::of_host(program))
    }

    /// Adds a host with a program that ends. The simulation ends with the last client.
    ///
    /// The caller makes the future on the real system: the deadline of a `sleep(duration)` in the place of an async block has the
    /// real clock, and no seed determines it. The code of an async block runs in the host.
    ///
    /// As for [`host`](Self::host) about its address and its name.
    pub fn client<Fut>(&mut self, name: &str, program: Fut) -> &mut Self
    where
        Fut: Future<Output: Outcome> + 'static,
    {
        self.add(name, None, Source::of_client(program))
    }

    fn add(&mut self, name: &str, address: Option<IpAddr>, source: Source) -> &mut Self {
        match self.world.add_host(name, address) {
            Ok(host) => {
                let program = Program::new(&self.world, host, name.to_owned(), source);
                self.programs.push(program);
            }
            Err(error) => {
                let kind = match error {
                    AddHostError::NameTaken => ErrorKind::DuplicateHost,
                    AddHostError::AddressTaken => ErrorKind::DuplicateAddress,
                    AddHostError::AddressInvalid => ErrorKind::InvalidAddress,
                };
                let error = Error::new(self.seed, Some(name.to_owned()), self.world.now(), kind);
                self.refused.get_or_insert(error);
            }
        }
        self
    }

    /// Sets the faults of a host's clocks: see [`clock`](super::clock()). The name of no host is an error of [`run`](Self::run).
    ///
    /// # Panics
    ///
    /// If the drift is not in -500,000..=500,000.
    #[track_caller]
    pub fn clock(&mut self, host: &str, faults: ClockFaults) -> &mut Self {
        if let Some(host) = self.find(host) {
            self.world.set_clock_faults(host, faults);
        }
        self
    }

    /// Sets the faults of a host's completions: see [`completions`](super::completions()). The name of no host is an error of
    /// [`run`](Self::run).
    ///
    /// # Panics
    ///
    /// If a chance is not in 0.0..=1.0, or if the range is empty.
    #[track_caller]
    pub fn completions(&mut self, host: &str, faults: CompletionFaults) -> &mut Self {
        if let Some(host) = self.find(host) {
            self.world.set_completion_faults(host, faults);
        }
        self
    }

    /// Sets the faults of a host's disk: see [`disk`](super::disk()). The name of no host is an error of [`run`](Self::run).
    ///
    /// # Panics
    ///
    /// If a chance is not in 0.0..=1.0, or if a range is empty.
    #[track_caller]
    pub fn disk(&mut self, host: &str, faults: DiskFaults) -> &mut Self {
        if let Some(host) = self.find(host) {
            self.world.set_disk_faults(host, faults);
        }
        self
    }

    /// Sets the faults of all links without faults of their own: see [`network`](super::network()).
    ///
    /// # Panics
    ///
    /// If a chance is not in 0.0..=1.0, if a range is empty, if the bandwidth is 0, or if the MTU is less than 68.
    #[track_caller]
    pub fn network(&mut self, faults: NetworkFaults) -> &mut Self {
        self.world.set_network_faults(faults);
        self
    }

    /// Sets the faults of both directions between two hosts: see [`link`](super::link()). The name of no host that was added before is an
    /// error of [`run`](Self::run).
    ///
    /// # Panics
    ///
    /// As [`network`](Self::network).
    #[track_caller]
    pub fn link(&mut self, one: &str, other: &str, faults: NetworkFaults) -> &mut Self {
        if let (Some(one), Some(other)) = (self.find(one), self.find(other)) {
            self.world.set_link_faults(one, other, Some(faults.clone()));
            self.world.set_link_faults(other, one, Some(faults));
        }
        self
    }

    /// The host of this name. The name of no host is the error of the run.
    pub(super) fn find(&mut self, name: &str) -> Option<HostId> {
        let host = self.world.find(name);
        if host.is_none() {
            let (name, kind) = (Some(name.to_owned()), ErrorKind::UnknownHost);
            let error = Error::new(self.seed, name, self.world.now(), kind);
            self.refused.get_or_insert(error);
        }
        host
    }

    /// Adds an invariant over the state of several hosts, which the programs share with it by an [`Rc`]. It is checked after each step: after
    /// the ready tasks of a host have run, so it should be cheap. It does not hold if `check` panics or returns an error.
    ///
    /// It counts as an [`assert_always`](super::assert_always) of this name.
    ///
    /// ```
    /// use std::{cell::Cell, rc::Rc};
    ///
    /// use compio::sim::{self, Simulation};
    ///
    /// fn main() -> Result<(), sim::Error> {
    ///     let leaders = Rc::new(Cell::new(0));
    ///     let mut simulation = Simulation::builder().build();
    ///     for name in ["node-1", "node-2"] {
    ///         let leaders = Rc::clone(&leaders);
    ///         simulation.client(name, async move {
    ///             leaders.set(leaders.get() + 1);
    ///         });
    ///     }
    ///     simulation.invariant("at most one leader", move || {
    ///         assert!(leaders.get() <= 1, "{} lead", leaders.get());
    ///     });
    ///     let error = simulation.run().unwrap_err();
    ///     let text = "seed 0, virtual time 0ns, host `node-2`: `at most one leader` does not hold: 2 lead";
    ///     assert_eq!(error.to_string(), text);
    ///     Ok(())
    /// }
    /// ```
    pub fn invariant<O: Outcome>(
        &mut self,
        name: &str,
        mut check: impl FnMut() -> O + 'static,
    ) -> &mut Self {
        self.invariants.push(Invariant {
            name: name.to_owned(),
            check: Box::new(move || check().into_result()),
        });
        self
    }

    /// Requires that an [`assert_always`](super::assert_always) or [`assert_sometimes`](super::assert_sometimes) of this name is
    /// evaluated in the run. Without an evaluation, the assertion has tested nothing.
    pub fn must_reach(&mut self, assertion: &str) -> &mut Self {
        self.must_reach.insert(assertion.to_owned());
        self
    }

    /// Requires that at least one seed of [`run_seeds`](super::run_seeds) evaluates an assertion of this name. It belongs to an assertion
    /// that not each seed reaches.
    pub fn must_reach_sometimes(&mut self, assertion: &str) -> &mut Self {
        self.goals.assertions.insert(assertion.to_owned());
        self
    }

    /// Requires that at least one seed of [`run_seeds`](super::run_seeds) meets a fault of this family. Faults with a small chance may
    /// never occur, though they are set.
    pub fn must_occur_sometimes(&mut self, fault: Fault) -> &mut Self {
        self.goals.faults.insert(fault);
        self
    }

    /// Takes the goals, for a check over all seeds in the place of this run.
    pub(super) fn take_goals(&mut self) -> Goals {
        std::mem::take(&mut self.goals)
    }

    /// Restricts the run to the faults with these keys.
    ///
    /// # Panics
    ///
    /// If a key is invalid.
    #[track_caller]
    pub(super) fn restrict_faults<'a>(&mut self, keys: impl IntoIterator<Item = &'a str>) {
        if let Err(key) = self.world.restrict_faults(keys) {
            panic!("`{key}` is no key of a fault of this simulation");
        }
    }

    pub(super) fn restrict_time(&mut self, limit: Duration) {
        self.time_limit = self.time_limit.min(limit);
    }

    /// The address of a host.
    pub fn address_of(&self, name: &str) -> Option<IpAddr> {
        self.world.find(name).map(|host| self.world.address(host))
    }

    /// Runs all programs until all clients have ended.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`]: the program of a host or client panics or fails; an invariant that does not hold; a limit; a deadlock; an
    /// invalid host.
    pub fn run(mut self) -> Result<Report, Error> {
        if let Some(error) = self.refused.take() {
            return Err(error);
        }
        let Some(_run) = Run::begin().filter(|_| current().is_none()) else {
            return Err(self.error(None, ErrorKind::Nested));
        };
        if !self.programs.iter().any(Program::is_client) {
            return Err(self.error(None, ErrorKind::NoClients));
        }
        ORDERS.set((self.seed, Vec::new()));
        // Those of a run that has failed.
        drop(assertions::take());
        if let Some((begin, _)) = self.calm_times() {
            self.alarms.insert((begin, Alarm::Calm));
        }
        for index in 0..self.programs.len() {
            self.start(index)?;
        }
        let (of_host, of_all) = POLLS_MAX;
        let polls_max = of_all.max(of_host * self.programs.len());
        let (mut moment, mut polls, mut steps) = (Duration::ZERO, 0, 0);
        while self.clients > 0 {
            let Some(host) = self.world.take_ready() else {
                self.advance()?;
                // Several events may have one moment.
                if std::mem::replace(&mut moment, self.world.now()) != self.world.now() {
                    polls = 0;
                }
                continue;
            };
            polls += 1;
            steps += 1;
            if polls > polls_max {
                return Err(self.error(Some(host), ErrorKind::Stalled));
            }
            if steps > self.step_limit {
                return Err(self.error(Some(host), ErrorKind::StepLimit));
            }
            self.step(host)?;
        }
        let assertions = assertions::take();
        let missing = assertions::not_reached(&self.must_reach, &assertions);
        if !missing.is_empty() {
            return Err(self.error(None, ErrorKind::NotReached(missing)));
        }
        let mut operations = Operations::default();
        for program in &self.programs {
            let of_host = program.operations();
            operations.add(|kind| of_host.of(kind));
        }
        let report = Report {
            seed: self.seed,
            elapsed: self.world.now(),
            trace_hash: self.world.trace_hash(),
            trace_len: self.world.trace_len(),
            steps,
            assertions,
            operations,
            faults: self.world.fault_counts(),
            restarts: self.restarts,
            recovery: self.recovery(),
        };
        let mut summary = Summary::default();
        summary.add(&report);
        let checked = self.take_goals().check(&summary);
        checked.map_err(|kind| self.error(None, kind))?;
        Ok(report)
    }

    /// Moves the clock to the next event of the world, or executes the next event of the simulation.
    fn advance(&mut self) -> Result<(), Error> {
        let times = self.calm_times().filter(|_| self.world.is_calm());
        let recovery_limit = times.map_or(Duration::MAX, |(_, end)| end);
        let limit = self.time_limit.min(recovery_limit).min(TIME_MAX);
        let alarm = self.alarms.first().copied();
        let alarm = alarm.filter(|(at, _)| *at <= limit);
        let until = alarm.map_or(limit, |(at, _)| at);
        let advanced = self.world.advance(until);
        self.pass_lines();
        let kind = match advanced {
            Advanced::Event => return Ok(()),
            Advanced::Nothing if self.alarms.is_empty() => ErrorKind::Deadlock(self.waiting()),
            Advanced::Nothing | Advanced::Limit => {
                self.world.move_to(until);
                if let Some((_, alarm)) = alarm {
                    self.alarms.pop_first();
                    return self.execute_alarm(alarm);
                }
                if recovery_limit < self.time_limit {
                    ErrorKind::NoRecovery(self.waiting())
                } else {
                    ErrorKind::TimeLimit(self.waiting())
                }
            }
        };
        Err(self.error(None, kind))
    }

    /// The names of the clients that have not ended.
    fn waiting(&self) -> Vec<String> {
        let programs = self.programs.iter();
        let waiting = programs.filter(|program| program.is_client() && program.is_running());
        waiting.map(|program| program.name.clone()).collect()
    }

    /// Passes the lines of the course on, with nothing borrowed.
    fn pass_lines(&mut self) {
        if self.on_line.is_empty() {
            return;
        }
        for (line, hash) in self.world.take_lines() {
            for OnLine(code) in &mut self.on_line {
                code(&line, hash);
            }
        }
    }

    fn start(&mut self, host: HostId) -> Result<(), Error> {
        let program = &mut self.programs[host];
        if let Err(error) = program.start(&self.world) {
            return Err(self.error(Some(host), ErrorKind::Runtime(error)));
        }
        self.clients += usize::from(program.is_client());
        self.refuse_threads()
    }

    fn stop(&mut self, host: HostId) {
        self.forget_client(host);
        self.programs[host].stop(&self.world);
    }

    fn kill(&mut self, host: HostId) {
        self.forget_client(host);
        self.programs[host].kill(&self.world);
    }

    fn forget_client(&mut self, host: HostId) {
        let program = &self.programs[host];
        self.clients -= usize::from(program.is_client() && program.is_running());
    }

    fn refuse_threads(&self) -> Result<(), Error> {
        match self.world.take_refused_thread() {
            Some(host) => Err(self.error(Some(host), ErrorKind::Thread)),
            None => Ok(()),
        }
    }

    /// Runs the ready tasks of a host, and the orders that they give. Checks all invariants afterwards.
    fn step(&mut self, host: HostId) -> Result<(), Error> {
        let polled = self.poll(host);
        self.pass_lines();
        // In the place of the error or panic that it causes in the program.
        self.refuse_threads()?;
        let executed = polled.and_then(|()| self.execute_orders());
        // It is the cause of another error.
        if let Some(name) = assertions::take_violated() {
            let reason = None;
            return Err(self.error(Some(host), ErrorKind::Violated { name, reason }));
        }
        executed?;
        if self.invariants.is_empty() {
            return Ok(());
        }
        let _entered = self.world.enter(host);
        let checked = self.invariants.iter_mut().try_for_each(Invariant::check);
        checked.map_err(|kind| self.error(Some(host), kind))
    }

    /// Runs the ready tasks of a host.
    fn poll(&mut self, host: HostId) -> Result<(), Error> {
        let polled = self.programs[host].poll(&self.world);
        let kind = match polled {
            Ok(Ok(Some(Duration::ZERO))) => {
                // It is ready again, after the others.
                self.world.make_ready(host);
                return Ok(());
            }
            Ok(Ok(timeout)) => {
                self.world.wake_after(host, timeout);
                return Ok(());
            }
            Ok(Err(end)) => match self.plan_restart(host, end) {
                Ok(()) | Err(End::Finished) => {
                    self.stop(host);
                    self.world.exit(host);
                    return Ok(());
                }
                Err(End::Failed(error)) => ErrorKind::failed(error),
                Err(End::Panicked(message)) => ErrorKind::Panic(message),
            },
            Err(error) => ErrorKind::Runtime(error),
        };
        Err(self.error(Some(host), kind))
    }

    fn execute_orders(&mut self) -> Result<(), Error> {
        let orders = ORDERS.with_borrow_mut(|(_, orders)| std::mem::take(orders));
        for (caller, host, order) in orders {
            if !self.permits(caller, host, order) {
                continue;
            }
            match order {
                // A program that has ended by itself may start again.
                Order::Restart if self.world.is_calm() && !self.is_in_core(host) => {}
                Order::Crash => self.crash(host),
                Order::PowerLoss => {
                    self.world.power_loss(host);
                    self.kill(host);
                }
                Order::Restart if self.programs[host].is_client() => {}
                Order::Restart => {
                    self.crash(host);
                    self.bring_up(host)?;
                }
            }
        }
        Ok(())
    }

    /// Whether an order has its effect. If this is a fault, a calm phase or a restricted run may not have it.
    fn permits(&self, caller: HostId, host: HostId, order: Order) -> bool {
        let program = &self.programs[host];
        let permits = |fault, lasting: &[_], text| {
            let text = format!("{text} of {}", program.name);
            self.world.permits_call(fault, caller, lasting, text)
        };
        let is_running = program.is_running();
        match order {
            Order::PowerLoss => permits(Fault::PowerLoss, &[(host, host)], "loss of power"),
            Order::Crash if is_running => permits(Fault::Crash, &[(host, host)], "crash"),
            Order::Restart if is_running && !program.is_client() => {
                permits(Fault::Crash, &[], "restart")
            }
            Order::Crash | Order::Restart => {
                // No fault. A restricted run in which the program runs does not have the number of this call.
                self.world.count_call(Fault::Crash, caller);
                true
            }
        }
    }

    /// Kills the program of a host, if it runs.
    fn crash(&mut self, host: HostId) {
        if self.programs[host].is_running() {
            self.world.crash(host);
            self.kill(host);
        }
    }

    /// Starts a host and its program.
    pub(super) fn bring_up(&mut self, host: HostId) -> Result<(), Error> {
        self.world.bring_up(host);
        self.start(host)
    }

    fn error(&self, host: Option<HostId>, kind: ErrorKind) -> Error {
        let name = host.map(|host| self.programs[host].name.clone());
        Error::new(self.seed, name, self.world.now(), kind).with_faults(self.world.fault_records())
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        if is_set(PRINT_HASHES) {
            let (seed, now, hash) = (self.seed, self.world.now(), self.world.trace_hash());
            println!("simulation with seed {seed}: {now:?}, hash {hash:x}");
        }
        for program in &mut self.programs {
            program.clear(&self.world);
        }
    }
}
