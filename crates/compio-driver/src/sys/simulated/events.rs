//! The queue of future events, ordered by time. Events of one moment occur in the order of their creation, or shuffled.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    time::Duration,
};

use super::{
    descriptors::SocketId,
    drivers::{Group, Waiter},
    files::Finish,
    network::Packet,
    rng::mix,
    table::Table,
    world::HostId,
};

#[derive(Debug)]
pub(super) enum Event {
    /// The loop of a host has a timer.
    Wake(HostId),
    Network(Packet),
    /// A Unix socket or an end of a pipe has changed.
    Local(SocketId),
    /// The end of an operation of a slow disk.
    Disk(Finish),
    /// The end of a late completion.
    Report(Waiter, Group),
    /// The end of a late cancel.
    Cancel(Waiter),
}

/// The last moment, after 584 years.
pub(super) const LAST: Duration = Duration::from_nanos(u64::MAX);

#[derive(Debug)]
pub(super) struct EventQueue {
    queue: BinaryHeap<Reverse<Scheduled>>,
    /// Outside of the queue, which moves its entries often.
    events: Table<Event>,
    added: u64,
    /// The seed of a shuffled order.
    order: Option<u64>,
}

#[derive(Debug)]
struct Scheduled {
    nanos: u64,
    /// The place among the events of the moment.
    place: u64,
    sequence: u64,
    /// Its number in the table of events.
    event: u64,
}

impl EventQueue {
    pub(super) fn new(order: Option<u64>) -> Self {
        Self {
            queue: BinaryHeap::new(),
            events: Table::default(),
            added: 0,
            order,
        }
    }

    /// Adds an event. A later moment than the [`LAST`] is the last one.
    pub(super) fn add(&mut self, at: Duration, event: Event) {
        let sequence = self.added;
        self.added += 1;
        let nanos = at.min(LAST).as_nanos() as u64;
        // A group has one place, in which its events keep their order.
        let group = event.group().unwrap_or(!sequence);
        let place = match self.order {
            Some(seed) => mix(seed ^ mix(group) ^ nanos),
            None => 0,
        };
        self.queue.push(Reverse(Scheduled {
            nanos,
            place,
            sequence,
            event: self.events.insert(event),
        }));
    }

    /// The next event, and its moment.
    pub(super) fn first(&self) -> Option<(Duration, &Event)> {
        let Reverse(first) = self.queue.peek()?;
        let event = self.events.get(first.event)?;
        Some((Duration::from_nanos(first.nanos), event))
    }

    pub(super) fn take_first(&mut self) -> Option<Event> {
        let Reverse(first) = self.queue.pop()?;
        self.events.remove(first.event)
    }
}

impl Event {
    /// Events of one group keep their order: the packets of a side of a connection, the completions of a direction of a socket.
    fn group(&self) -> Group {
        match self {
            Self::Network(packet) => packet.sender(),
            Self::Report(_, group) => *group,
            Self::Wake(_) | Self::Local(_) | Self::Disk(_) | Self::Cancel(_) => None,
        }
    }
}

impl Scheduled {
    fn key(&self) -> (u64, u64, u64) {
        (self.nanos, self.place, self.sequence)
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn order(queue: &mut EventQueue) -> Vec<HostId> {
        let events = std::iter::from_fn(|| queue.take_first());
        let hosts = events.map(|event| match event {
            Event::Wake(host) => host,
            Event::Network(_)
            | Event::Local(_)
            | Event::Disk(_)
            | Event::Report(..)
            | Event::Cancel(_) => unreachable!(),
        });
        hosts.collect()
    }

    #[test]
    fn events_of_one_moment_come_in_the_order_of_creation_or_shuffled() {
        let run = |order_seed| {
            let mut queue = EventQueue::new(order_seed);
            let moment = Duration::from_secs(1);
            for host in [5, 3, 4] {
                queue.add(moment, Event::Wake(host));
            }
            queue.add(Duration::ZERO, Event::Wake(9));
            queue.add(Duration::MAX, Event::Wake(6));
            order(&mut queue)
        };
        assert_eq!(run(None), [9, 5, 3, 4, 6]);
        let orders: BTreeSet<_> = (0..100).map(|seed| run(Some(seed))).collect();
        assert_eq!(orders.len(), 6);
        assert!(orders.iter().all(|order| order[0] == 9), "{orders:?}");
    }
}
