//! Links: one for each direction between two hosts. A link without settings of its own has no entry.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use super::{Network, NetworkCounts, NetworkFaults, Packet, Signal};
use crate::sys::simulated::{
    events::Event,
    families::Fault,
    injector::Site,
    trace::Mark,
    world::{HostId, State, World},
};

/// The time of a packet between two sockets of one host.
pub(in crate::sys::simulated) const LOOPBACK: Duration = Duration::from_micros(20);

/// The bytes of the headers of a packet.
const HEADERS: usize = 40;

/// The bytes of the header of IP, which each fragment of a datagram has.
const IP_HEADER: usize = 20;

/// The longest time of a datagram in the queue of a link.
const QUEUE_TIME: Duration = Duration::from_secs(1);

/// The hosts of a packet's source and destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Route {
    pub(super) from: HostId,
    pub(super) to: HostId,
}

/// The state of a link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LinkState {
    /// Packets pass.
    #[default]
    Open,
    /// Packets are lost.
    Partitioned,
    /// Packets wait until the link is open.
    Held,
}

/// One direction between two hosts.
#[derive(Debug, Default)]
struct Link {
    state: LinkState,
    /// Its own settings, in the place of those of the network.
    faults: Option<NetworkFaults>,
    /// The moment at which its queue is empty.
    free_at: Duration,
    /// Nothing leaves before this moment.
    clogged_until: Duration,
    /// The packets that wait for the end of a hold.
    held: Vec<Packet>,
}

/// The links, and the settings of all links without their own.
#[derive(Debug, Default)]
pub(super) struct Links {
    faults: NetworkFaults,
    /// Whether a link may differ from a perfect one.
    has_faults: bool,
    all: BTreeMap<Route, Link>,
    pub(super) counts: NetworkCounts,
}

impl Route {
    pub(super) fn is_local(self) -> bool {
        self.from == self.to
    }

    fn site(self) -> Site {
        Site::Link(self.from, self.to)
    }

    pub(super) fn reversed(self) -> Self {
        Self {
            from: self.to,
            to: self.from,
        }
    }
}

impl Links {
    fn faults(&self, route: Route) -> &NetworkFaults {
        let link = self.all.get(&route);
        let own = link.and_then(|link| link.faults.as_ref());
        own.unwrap_or(&self.faults)
    }

    fn state(&self, route: Route) -> LinkState {
        self.all
            .get(&route)
            .map_or(LinkState::Open, |link| link.state)
    }

    /// Removes the entry of a link that does not differ from the others.
    fn forget(&mut self, route: Route, now: Duration) {
        let is_plain = |link: &Link| {
            link.state == LinkState::Open
                && link.faults.is_none()
                && link.free_at.max(link.clogged_until) <= now
        };
        if self.all.get(&route).is_some_and(is_plain) {
            self.all.remove(&route);
        }
    }

    fn note_faults(&mut self) {
        self.has_faults = !self.all.is_empty() || self.faults != NetworkFaults::default();
    }
}

impl Network {
    /// The travel time of a packet without faults.
    pub(super) fn draw_latency(&mut self) -> Duration {
        self.rng.time_in(&self.latency)
    }

    /// The travel time of a packet that leaves now. `None` if it is lost in a full queue.
    fn travel_time(
        &mut self,
        now: Duration,
        route: Route,
        len: usize,
        is_datagram: bool,
    ) -> Option<Duration> {
        if route.is_local() {
            return Some(LOOPBACK);
        }
        self.links.counts.packets += 1;
        if !self.links.has_faults {
            return Some(self.draw_latency());
        }
        let faults = self.links.faults(route).clone();
        let (stream, site) = (&mut self.fault_stream, route.site());
        let counts = &mut self.links.counts;
        let range = faults.latency.as_ref().unwrap_or(&self.latency);
        let mut time = self.rng.time_in(range);
        if let Some(draw) = stream.draw(faults.slow, Fault::SlowPacket, site) {
            let by = stream.rng.time_in(&faults.slow_by);
            if stream.occurs(&draw, || format!("delay by {by:?} of a packet")) {
                counts.slow += 1;
                time += by;
            }
        }
        if is_datagram && let Some(draw) = stream.draw(faults.reorder, Fault::Reorder, site) {
            let by = stream.rng.time_in(&faults.reorder_by);
            if stream.occurs(&draw, || format!("reordering by {by:?} of a datagram")) {
                counts.reordered += 1;
                time += by;
            }
        }
        let clogs = stream.draw(faults.clog, Fault::Clog, site);
        if faults.bandwidth.is_none() && clogs.is_none() && !self.links.all.contains_key(&route) {
            return Some(time);
        }
        let link = self.links.all.entry(route).or_default();
        let mut leaves = now.max(link.clogged_until);
        if let Some(bandwidth) = faults.bandwidth {
            let begin = now.max(link.free_at);
            if is_datagram && begin - now > QUEUE_TIME {
                counts.lost += 1;
                return None;
            }
            link.free_at = begin + time_of(len + HEADERS, bandwidth);
            leaves = leaves.max(link.free_at);
        }
        if let Some(draw) = clogs {
            let clog = stream.rng.time_in(&faults.clog_for);
            if stream.occurs(&draw, || format!("clog for {clog:?}")) {
                counts.clogs += 1;
                link.clogged_until = leaves + clog;
                leaves = link.clogged_until;
            }
        }
        Some(leaves - now + time)
    }

    /// The place at which a write of TCP is split, if it is longer than a segment. Two packets are enough for a read of a part.
    pub(super) fn draw_split(&mut self, route: Route, len: usize) -> Option<usize> {
        let segment = self.links.faults(route).mtu - HEADERS;
        if route.is_local() || len <= segment {
            return None;
        }
        let places = len.div_ceil(segment) as u64 - 1;
        Some(segment * (1 + self.rng.below(places) as usize))
    }

    /// Draws whether a packet of this length is lost.
    fn draw_loss(&mut self, route: Route, len: usize) -> bool {
        let faults = self.links.faults(route);
        let (loss, mtu) = (faults.loss, faults.mtu - IP_HEADER);
        if loss == 0.0 {
            return false;
        }
        let fragments = len.div_ceil(mtu).max(1);
        let (stream, site) = (&mut self.fault_stream, route.site());
        let is_lost =
            (0..fragments).any(|_| stream.chance(loss, Fault::Loss, site, || "loss of a packet"));
        self.links.counts.lost += u64::from(is_lost);
        is_lost
    }

    /// Draws whether a segment resets its connection.
    pub(super) fn draw_reset(&mut self, route: Route) -> bool {
        if route.is_local() || !self.links.has_faults {
            return false;
        }
        let chance = self.links.faults(route).reset;
        let (stream, site) = (&mut self.fault_stream, route.site());
        let resets = stream.chance(chance, Fault::Reset, site, || "reset of a connection");
        self.links.counts.resets += u64::from(resets);
        resets
    }

    fn draw_duplicate(&mut self, route: Route) -> bool {
        if route.is_local() || !self.links.has_faults {
            return false;
        }
        let chance = self.links.faults(route).duplicate;
        let (stream, site) = (&mut self.fault_stream, route.site());
        let text = || "duplicate of a datagram";
        let duplicates = stream.chance(chance, Fault::Duplicate, site, text);
        self.links.counts.duplicated += u64::from(duplicates);
        duplicates
    }
}

/// The time that a link of this bandwidth needs for the bytes.
fn time_of(len: usize, bandwidth: u64) -> Duration {
    let nanos = len as u128 * 1_000_000_000 / u128::from(bandwidth);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

impl State {
    /// The arrival of a packet that leaves now, if no full queue drops it.
    pub(super) fn arrival(&mut self, route: Route, signal: &Signal) -> Option<Duration> {
        let (len, is_datagram) = match signal {
            Signal::Data { bytes, .. } => (bytes.len(), false),
            Signal::Datagram(datagram) => (datagram.bytes.len(), true),
            Signal::Syn { .. }
            | Signal::Established { .. }
            | Signal::Refused { .. }
            | Signal::ConnectTimeout { .. }
            | Signal::Retransmit { .. }
            | Signal::Credit { .. }
            | Signal::Fin { .. }
            | Signal::Reset { .. }
            | Signal::Unreachable { .. } => (0, false),
        };
        let time = self
            .network
            .travel_time(self.now, route, len, is_datagram)?;
        Some(self.now + time)
    }

    /// Sends a packet that may overtake others.
    pub(super) fn send_signal(&mut self, route: Route, signal: Signal) {
        if let Signal::Datagram(datagram) = &signal
            && self.network.draw_duplicate(route)
        {
            self.send_one(route, Signal::Datagram(datagram.clone()));
        }
        self.send_one(route, signal);
    }

    fn send_one(&mut self, route: Route, signal: Signal) {
        if let Some(at) = self.arrival(route, &signal) {
            let packet = Packet {
                route,
                from: 0,
                signal,
            };
            self.events.add(at, Event::Network(packet));
        }
    }

    /// Whether no packet passes now.
    pub(super) fn is_blocked(&self, route: Route) -> bool {
        !route.is_local()
            && (self.hosts_down > 0 && !self.hosts[route.to].is_up
                || self.network.links.state(route) != LinkState::Open)
    }

    /// Whether a segment of a connection passes. Acknowledgements are never lost by chance, because later ones replace them.
    pub(super) fn passes(&mut self, route: Route, may_be_lost: bool) -> bool {
        if self.is_blocked(route) {
            self.note_blocked(route);
            return false;
        }
        let meets_faults = may_be_lost && !route.is_local() && self.network.links.has_faults;
        // The chance is independent of the length, for segments have no fragments.
        let is_lost = meets_faults && self.network.draw_loss(route, 0);
        if is_lost {
            self.say(|_| "it is lost".to_owned());
        }
        !is_lost
    }

    fn note_blocked(&mut self, route: Route) {
        self.network.links.counts.blocked += 1;
        self.say(|state| {
            let [from, to] = [route.from, route.to].map(|host| &state.hosts[host].name);
            format!("it does not pass from {from} to {to}")
        });
    }

    /// The packet, if it passes. A held one waits for the end of the hold.
    pub(super) fn pass(&mut self, packet: Packet) -> Option<Packet> {
        let route = packet.route;
        if self.is_blocked(route) {
            self.note_blocked(route);
            if self.network.links.state(route) == LinkState::Held {
                let link = self.network.links.all.entry(route).or_default();
                link.held.push(packet);
            }
            return None;
        }
        let Signal::Datagram(datagram) = &packet.signal else {
            return Some(packet);
        };
        let len = datagram.bytes.len();
        let meets_faults = !route.is_local() && self.network.links.has_faults;
        let is_lost = meets_faults && self.network.draw_loss(route, len + IP_HEADER);
        if is_lost {
            self.say(|_| "it is lost".to_owned());
        }
        (!is_lost).then_some(packet)
    }

    fn set_link_state(&mut self, route: Route, new: LinkState) {
        if route.is_local() {
            return;
        }
        self.note(
            Mark::Link,
            &[route.from as u64, route.to as u64, new as u64],
        );
        self.say(|state| {
            let [from, to] = [route.from, route.to].map(|host| &state.hosts[host].name);
            format!("link from {from} to {to}: {new:?}")
        });
        let link = self.network.links.all.entry(route).or_default();
        let old = std::mem::replace(&mut link.state, new);
        let held = match new {
            LinkState::Held => Vec::new(),
            LinkState::Open | LinkState::Partitioned => std::mem::take(&mut link.held),
        };
        if new == LinkState::Open {
            self.injector.end(route.from, route.to);
            self.network.links.forget(route, self.now);
            for packet in held {
                self.events.add(self.now, Event::Network(packet));
            }
            if old == LinkState::Held {
                self.retransmit_now(route);
            }
        }
        self.network.links.note_faults();
    }

    /// Opens all links, and removes all faults.
    pub(in crate::sys::simulated) fn calm_network(&mut self) {
        let routes: Vec<Route> = self.network.links.all.keys().copied().collect();
        for route in routes {
            self.set_link_state(route, LinkState::Open);
        }
        let links = &mut self.network.links;
        links.all.clear();
        links.faults = NetworkFaults::default();
        links.note_faults();
    }

    /// Cuts all links of a host.
    pub(in crate::sys::simulated) fn isolate(&mut self, host: HostId) {
        for other in 0..self.hosts.len() {
            let route = Route {
                from: host,
                to: other,
            };
            self.set_link_state(route, LinkState::Partitioned);
            self.set_link_state(route.reversed(), LinkState::Partitioned);
        }
    }
}

impl World {
    /// Replaces the time that a packet takes from one host to another.
    pub fn set_latency(&self, latency: RangeInclusive<Duration>) {
        self.state().network.latency = latency;
    }

    /// Changes the state of one direction between two hosts. Between a host and itself it has no effect.
    pub fn set_link(&self, from: HostId, to: HostId, new: LinkState) {
        let mut state = self.state();
        if state.is_calm {
            return;
        }
        if new != LinkState::Open {
            state.faults_set.insert(Fault::Blocked);
        }
        state.set_link_state(Route { from, to }, new);
    }

    /// Replaces the settings of all links without settings of their own.
    ///
    /// # Panics
    ///
    /// As [`set_link_faults`](Self::set_link_faults).
    #[track_caller]
    pub fn set_network_faults(&self, faults: NetworkFaults) {
        faults.check();
        let mut state = self.state();
        if state.is_calm {
            return;
        }
        state.faults_set.extend(faults.families());
        let links = &mut state.network.links;
        links.faults = faults;
        links.note_faults();
    }

    /// The settings of all links without settings of their own.
    pub fn network_faults(&self) -> NetworkFaults {
        self.state().network.links.faults.clone()
    }

    /// Replaces the settings of one direction. `None` are those of the network.
    ///
    /// # Panics
    ///
    /// If a chance is not in 0.0..=1.0, if a range is empty, if the bandwidth is 0, or if the MTU is less than 68.
    #[track_caller]
    pub fn set_link_faults(&self, from: HostId, to: HostId, faults: Option<NetworkFaults>) {
        if let Some(faults) = &faults {
            faults.check();
        }
        let (mut state, route) = (self.state(), Route { from, to });
        if state.is_calm {
            return;
        }
        let families = faults.iter().flat_map(NetworkFaults::families);
        state.faults_set.extend(families);
        let now = state.now;
        let links = &mut state.network.links;
        links.all.entry(route).or_default().faults = faults;
        links.forget(route, now);
        links.note_faults();
    }

    /// The settings of one direction.
    pub fn link_faults(&self, from: HostId, to: HostId) -> NetworkFaults {
        self.state()
            .network
            .links
            .faults(Route { from, to })
            .clone()
    }

    /// Settings by the seed. Each family of faults is off with a probability of one half.
    pub fn draw_network_faults(&self) -> NetworkFaults {
        NetworkFaults::draw(&mut self.state().network.fault_stream.rng)
    }

    /// Opens all links, and removes all faults.
    pub fn calm_network(&self) {
        let mut state = self.state();
        if !state.is_calm {
            state.calm_network();
        }
    }

    /// The packets and the faults since the begin.
    pub fn network_counts(&self) -> NetworkCounts {
        self.state().network.links.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::simulated::Settings;

    #[test]
    fn link_has_an_entry_only_while_it_differs() {
        let world = World::new(Settings {
            seed: 1,
            latency: Duration::ZERO..=Duration::ZERO,
            shuffle: None,
        });
        for name in ["a", "b", "c"] {
            world.add_host(name, None).unwrap();
        }
        let entries = || world.state().network.links.all.len();
        assert_eq!(entries(), 0);
        world.set_link(0, 1, LinkState::Partitioned);
        world.set_link(1, 1, LinkState::Partitioned);
        world.set_link_faults(0, 2, Some(NetworkFaults::default()));
        assert_eq!(entries(), 2);
        world.set_link(0, 1, LinkState::Open);
        assert_eq!(entries(), 1);
        world.set_link_faults(0, 2, None);
        assert_eq!(entries(), 0);
        world.set_link(0, 1, LinkState::Held);
        world.calm_network();
        assert_eq!(entries(), 0);
    }
}
