//! The schedule of faults: which ones have occurred, and which ones a restricted run has.
//!
//! In an unrestricted run, random draws and calls of programs cause faults, and each fault gets a key. A restricted run has the faults of a
//! list of keys only. It draws the same random numbers, and ignores them. A fault of a disk or a link occurs at the same
//! draw as before, by its time and its number among the draws of this moment. If the course differs, it occurs at the next draw of
//! this kind after its time. A fault by a call has the number of the call, and the call has no effect without it.
//!
//! So a run that is restricted to all its faults takes the same course, and other restricted runs take a similar one.

use std::{
    borrow::Cow,
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    rc::Rc,
    time::Duration,
};

use super::{
    families::Fault,
    rng::{Clock, Rng},
    world::{HostId, State, World},
};

/// The most faults that are kept: the last ones.
const KEPT_MAX: usize = 100_000;

/// The most elements of a list in a text.
const LISTED_MAX: usize = 8;

/// A fault that has occurred in a simulation. As text, it has the virtual time and the hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRecord {
    at: Duration,
    duration: Option<Duration>,
    fault: Fault,
    key: String,
    text: String,
}

impl FaultRecord {
    /// The virtual time since the begin of the simulation.
    pub fn at(&self) -> Duration {
        self.at
    }

    /// The time from a partition, a hold, a crash or a loss of power to its repair, release or restart. `None` without one.
    pub fn duration(&self) -> Option<Duration> {
        self.duration
    }

    /// The family. Partitions and holds are of [`Fault::Blocked`], a restart of a program that runs is a crash.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// The name of the fault in the environment variable `COMPIO_SIM_FAULTS`: family, site, time in nanoseconds and number, such as
    /// `lost_packet:client:server:3204000000:1`. Faults by calls have the calling host and the number of the call.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for FaultRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {:?}: {}", self.at, self.text)?;
        match self.duration {
            Some(duration) => write!(f, ", for {duration:?}"),
            None => Ok(()),
        }
    }
}

/// The site of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Site {
    Host(HostId),
    /// A direction between two hosts.
    Link(HostId, HostId),
    /// The host whose program has called a function.
    Caller(HostId),
}

/// The identity of a fault.
#[derive(Debug, Clone, Copy)]
struct Key {
    fault: Fault,
    site: Site,
    /// Zero for calls.
    at: Duration,
    number: u64,
}

/// A handle of the schedule, which all parts of a world share.
#[derive(Debug, Clone, Default)]
pub(super) struct Injector {
    now: Clock,
    schedule: Rc<RefCell<Schedule>>,
}

/// Faults by their times and numbers.
type Plan = BTreeMap<(Fault, Site), BTreeSet<(Duration, u64)>>;

#[derive(Debug, Default)]
struct Schedule {
    /// The faults of a restricted run that have not occurred.
    planned: Option<Plan>,
    /// The number of calls of each program.
    calls: BTreeMap<(Fault, HostId), u64>,
    occurred: VecDeque<Record>,
    /// The number of earlier faults, which are not kept.
    forgotten: usize,
    /// The fault that has cut a link, or has ended the program of a host, until its end. A host has a link with itself.
    lasting: BTreeMap<(HostId, HostId), usize>,
}

#[derive(Debug)]
struct Record {
    key: Key,
    at: Duration,
    end: Option<Duration>,
    text: Cow<'static, str>,
}

impl Injector {
    pub(super) fn new(now: Clock) -> Self {
        Self {
            now,
            schedule: Rc::default(),
        }
    }

    /// Whether a fault occurs that needs no draw. The text is without the site.
    fn permits(&self, key: Key, text: impl FnOnce() -> String) -> bool {
        let occurs = self.is_planned(key).unwrap_or(true);
        if occurs {
            self.record(key, text().into());
        }
        occurs
    }

    /// Whether a restricted run has the fault. `None` in other runs.
    fn is_planned(&self, key: Key) -> Option<bool> {
        self.schedule.borrow_mut().is_planned(key)
    }

    fn record(&self, key: Key, text: Cow<'static, str>) {
        let mut schedule = self.schedule.borrow_mut();
        if schedule.occurred.len() == KEPT_MAX {
            schedule.occurred.pop_front();
            schedule.forgotten += 1;
        }
        schedule.occurred.push_back(Record {
            key,
            at: self.now.get(),
            end: None,
            text,
        });
    }

    /// The end of the fault that lasts on a link, or on a host.
    pub(super) fn end(&self, from: HostId, to: HostId) {
        let mut schedule = self.schedule.borrow_mut();
        let Some(index) = schedule.lasting.remove(&(from, to)) else {
            return;
        };
        let kept = index.checked_sub(schedule.forgotten);
        if let Some(record) = kept.and_then(|index| schedule.occurred.get_mut(index)) {
            record.end = Some(self.now.get());
        }
    }
}

impl Schedule {
    fn is_planned(&mut self, key: Key) -> Option<bool> {
        let planned = self.planned.as_mut()?;
        let Some(faults) = planned.get_mut(&(key.fault, key.site)) else {
            return Some(false);
        };
        if faults.remove(&(key.at, key.number)) {
            return Some(true);
        }
        // An earlier one has met no draw.
        let is_late = faults.first().is_some_and(|(at, _)| *at < key.at);
        if is_late {
            faults.pop_first();
        }
        Some(is_late)
    }

    fn count_call(&mut self, fault: Fault, caller: HostId) -> u64 {
        let calls = self.calls.entry((fault, caller)).or_default();
        *calls += 1;
        *calls
    }
}

/// A random stream that draws faults.
#[derive(Debug)]
pub(super) struct FaultStream {
    pub(super) rng: Rng,
    injector: Injector,
    /// The moment of the last draw of each family, and its number at this moment. Empty before the first draw: most hosts have no
    /// faults, and it is long.
    last: Vec<(Duration, u64)>,
}

/// A draw that has requested a fault.
#[must_use]
pub(super) struct Draw {
    key: Key,
    occurs: bool,
}

impl FaultStream {
    pub(super) fn new(rng: Rng, injector: Injector) -> Self {
        Self {
            rng,
            injector,
            last: Vec::new(),
        }
    }

    /// Draws whether there is a fault with this probability. The caller draws its properties, and calls [`occurs`](Self::occurs)
    /// then. A probability of zero draws no number.
    pub(super) fn draw(&mut self, probability: f64, fault: Fault, site: Site) -> Option<Draw> {
        if probability == 0.0 {
            return None;
        }
        let is_drawn = self.rng.chance(probability);
        let now = self.injector.now.get();
        self.last.resize(Fault::ALL.len(), (Duration::ZERO, 0));
        let (at, number) = &mut self.last[fault as usize];
        *number = if *at == now { *number + 1 } else { 0 };
        *at = now;
        let key = Key {
            fault,
            site,
            at: now,
            number: *number,
        };
        let occurs = self.injector.is_planned(key).unwrap_or(is_drawn);
        (is_drawn || occurs).then_some(Draw { key, occurs })
    }

    /// Whether the fault occurs. The text is without the site.
    pub(super) fn occurs<T: Into<Cow<'static, str>>>(
        &self,
        draw: &Draw,
        text: impl FnOnce() -> T,
    ) -> bool {
        if draw.occurs {
            self.injector.record(draw.key, text().into());
        }
        draw.occurs
    }

    /// Whether there is a fault with this probability, which has no properties.
    pub(super) fn chance<T: Into<Cow<'static, str>>>(
        &mut self,
        probability: f64,
        fault: Fault,
        site: Site,
        text: impl FnOnce() -> T,
    ) -> bool {
        let draw = self.draw(probability, fault, site);
        draw.is_some_and(|draw| self.occurs(&draw, text))
    }

    /// With this probability a part of the length, at least 1. Otherwise all of it. The text is for a part.
    pub(super) fn part_of<T: Into<Cow<'static, str>>>(
        &mut self,
        len: usize,
        probability: f64,
        fault: Fault,
        site: Site,
        text: impl FnOnce(usize) -> T,
    ) -> usize {
        if len > 1
            && let Some(draw) = self.draw(probability, fault, site)
        {
            let part = 1 + self.rng.below(len as u64 - 1) as usize;
            if self.occurs(&draw, || text(part)) {
                return part;
            }
        }
        len
    }

    /// Whether a loss of power loses unsynced changes of this number.
    pub(super) fn permits_loss(
        &self,
        site: Site,
        number: u64,
        text: impl FnOnce() -> String,
    ) -> bool {
        let key = Key {
            fault: Fault::UnsyncedLoss,
            site,
            at: self.injector.now.get(),
            number,
        };
        self.injector.permits(key, text)
    }
}

/// The first elements, separated by commas.
pub(super) fn listed<T: fmt::Display>(elements: &[T]) -> String {
    let shown = elements.iter().take(LISTED_MAX);
    let mut text = shown.map(T::to_string).collect::<Vec<_>>().join(", ");
    if let Some(more @ 1..) = elements.len().checked_sub(LISTED_MAX) {
        text += &format!(" and {more} more");
    }
    text
}

impl Key {
    fn text(self, state: &State) -> String {
        let family = name_in_keys(self.fault);
        let (at, number) = (self.at.as_nanos(), self.number);
        let name = |host: HostId| escaped(&state.hosts[host].name);
        match self.site {
            Site::Host(host) => format!("{family}:{}:{at}:{number}", name(host)),
            Site::Link(from, to) => {
                format!("{family}:{}:{}:{at}:{number}", name(from), name(to))
            }
            Site::Caller(host) => format!("{family}:{}:{number}", name(host)),
        }
    }

    /// The key of this text, with the escaped names of all hosts.
    fn parse(text: &str, hosts: &BTreeMap<String, HostId>) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let [fault, sites @ .., number] = &parts[..] else {
            return None;
        };
        let host = |name: &str| hosts.get(name).copied();
        let time = |nanos: &str| Some(Duration::from_nanos(nanos.parse().ok()?));
        let (site, at) = match *sites {
            [caller] => (Site::Caller(host(caller)?), Duration::ZERO),
            [name, at] => (Site::Host(host(name)?), time(at)?),
            [from, to, at] => (Site::Link(host(from)?, host(to)?), time(at)?),
            _ => return None,
        };
        let mut families = Fault::ALL.iter();
        let fault = *families.find(|known| name_in_keys(**known) == *fault)?;
        let number = number.parse().ok()?;
        Some(Self {
            fault,
            site,
            at,
            number,
        })
    }
}

fn name_in_keys(fault: Fault) -> String {
    fault.name().replace(' ', "_")
}

/// The name of a host in keys. It needs no quotes in a shell.
fn escaped(name: &str) -> String {
    let bytes = name.bytes().map(|byte| match byte {
        b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    });
    bytes.collect()
}

impl World {
    /// Restricts the run to the faults with these [keys](FaultRecord::key). Returns a key that is invalid as the error.
    pub fn restrict_faults<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), &'a str> {
        let state = self.state();
        let hosts = state.hosts.iter().enumerate();
        let hosts = hosts.map(|(id, host)| (escaped(&host.name), id)).collect();
        let mut planned = Plan::new();
        for key in keys {
            let key = Key::parse(key, &hosts).ok_or(key)?;
            let faults = planned.entry((key.fault, key.site)).or_default();
            faults.insert((key.at, key.number));
        }
        state.injector.schedule.borrow_mut().planned = Some(planned);
        Ok(())
    }

    /// Whether a call of the program of a host has its effect, which is a fault. It lasts on these links, or on hosts as links with
    /// themselves. The calm phase has none.
    pub fn permits_call(
        &self,
        fault: Fault,
        caller: HostId,
        links: &[(HostId, HostId)],
        text: String,
    ) -> bool {
        let state = self.state();
        let injector = &state.injector;
        if state.is_calm {
            return false;
        }
        let key = Key {
            fault,
            site: Site::Caller(caller),
            at: Duration::ZERO,
            number: injector.schedule.borrow_mut().count_call(fault, caller),
        };
        let occurs = injector.permits(key, || text);
        if occurs {
            let mut schedule = injector.schedule.borrow_mut();
            let last = schedule.forgotten + schedule.occurred.len() - 1;
            let lasting = links.iter().map(|link| (*link, last));
            schedule.lasting.extend(lasting);
        }
        occurs
    }

    /// Counts a call that is no fault, as [`permits_call`](Self::permits_call) does.
    pub fn count_call(&self, fault: Fault, caller: HostId) {
        let state = self.state();
        let mut schedule = state.injector.schedule.borrow_mut();
        schedule.count_call(fault, caller);
    }

    /// The faults up to now. Of more than 100,000, these are the last ones.
    pub fn fault_records(&self) -> Vec<FaultRecord> {
        let state = self.state();
        let schedule = state.injector.schedule.borrow();
        let name = |host: HostId| &state.hosts[host].name;
        let records = schedule.occurred.iter();
        let faults = records.map(|record| {
            let text = &record.text;
            FaultRecord {
                at: record.at,
                duration: record.end.map(|end| end - record.at),
                fault: record.key.fault,
                key: record.key.text(&state),
                text: match record.key.site {
                    Site::Host(host) => format!("{}: {text}", name(host)),
                    Site::Link(from, to) => format!("{} to {}: {text}", name(from), name(to)),
                    Site::Caller(_) => text.clone().into_owned(),
                },
            }
        });
        faults.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::simulated::{LinkState, Settings};

    fn world() -> Rc<World> {
        let world = World::new(Settings {
            seed: 1,
            latency: Duration::ZERO..=Duration::ZERO,
            shuffle: None,
        });
        for name in ["a", "b c"] {
            world.add_host(name, None).unwrap();
        }
        world
    }

    /// Draws losses at these seconds. Returns the keys of the faults that occurred.
    fn draw(world: &World, seconds: &[u64]) -> Vec<String> {
        let injector = world.state().injector.clone();
        let now = Rc::clone(&injector.now);
        let mut stream = FaultStream::new(Rng::of_name(1, "faults", &now), injector);
        for &second in seconds {
            now.set(Duration::from_secs(second));
            stream.chance(0.5, Fault::Loss, Site::Link(0, 1), || "loss");
        }
        let faults = world.fault_records();
        faults.iter().map(|fault| fault.key().to_owned()).collect()
    }

    fn restricted<'a>(keys: impl IntoIterator<Item = &'a str>) -> Rc<World> {
        let world = world();
        world.restrict_faults(keys).unwrap();
        world
    }

    #[test]
    fn run_that_is_restricted_to_its_faults_has_them() {
        let seconds: Vec<u64> = (0..100).map(|number| number / 3).collect();
        let all = draw(&world(), &seconds);
        assert!((20..80).contains(&all.len()), "{}", all.len());
        let all = all.iter().map(String::as_str);
        for part in [1, 2, 7] {
            let keys: Vec<_> = all.clone().step_by(part).collect();
            assert_eq!(draw(&restricted(keys.clone()), &seconds), keys);
        }
    }

    #[test]
    fn fault_without_a_draw_at_its_time_occurs_at_the_next_one() {
        let keys = [
            "lost_packet:a:b%20c:3000000000:1",
            "lost_packet:a:b%20c:9000000000:0",
        ];
        let late = [
            "lost_packet:a:b%20c:4000000000:0",
            "lost_packet:a:b%20c:9000000000:0",
        ];
        let occurred = draw(&restricted(keys), &[1, 2, 3, 4, 4, 8, 9]);
        assert_eq!(occurred, late);
    }

    #[test]
    fn invalid_key_is_an_error() {
        let invalid = [
            "",
            "lost_packet",
            "lost_packet:a:b:0:0",
            "lost_packet:a:b%20c:x:0",
            "lost:a:0",
            "crash:a:b:c:0:0",
        ];
        for key in invalid {
            assert_eq!(world().restrict_faults([key]), Err(key));
        }
    }

    #[test]
    fn only_last_faults_are_kept() {
        let world = world();
        let links = [(0, 1), (1, 0)];
        let call =
            |links, text: &str| world.permits_call(Fault::Blocked, 0, links, text.to_owned());
        assert!(call(&links, "early"));
        let injector = world.state().injector.clone();
        let stream = FaultStream::new(Rng::of_name(1, "faults", &injector.now.clone()), injector);
        for number in 0..KEPT_MAX as u64 {
            assert!(stream.permits_loss(Site::Host(0), number, || "loss".to_owned()));
        }
        assert!(call(&links[..1], "late"));
        // The first one is not kept, the last one ends.
        world.set_link(1, 0, LinkState::Open);
        world.set_link(0, 1, LinkState::Open);
        let faults = world.fault_records();
        assert_eq!(faults.len(), KEPT_MAX);
        assert_eq!(faults[0].to_string(), "at 0ns: a: loss");
        let lasting = faults.iter().filter(|fault| fault.duration().is_some());
        let texts: Vec<_> = lasting.map(ToString::to_string).collect();
        assert_eq!(texts, ["at 0ns: late, for 0ns"]);
    }

    #[test]
    fn long_list_is_cut() {
        assert_eq!(listed(&[1, 2]), "1, 2");
        let numbers: Vec<_> = (0..LISTED_MAX + 3).collect();
        assert_eq!(listed(&numbers), "0, 1, 2, 3, 4, 5, 6, 7 and 3 more");
    }
}
