//! The queue of future events, ordered by time and then by the order of their creation.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    time::Duration,
};

use super::{files::Finish, network::Packet, table::Table, world::HostId};

#[derive(Debug)]
pub(super) enum Event {
    /// The loop of a host has a timer.
    Wake(HostId),
    Network(Packet),
    /// The end of an operation of a slow disk.
    Disk(Finish),
}

/// The last moment, after 584 years.
pub(super) const LAST: Duration = Duration::from_nanos(u64::MAX);

#[derive(Debug, Default)]
pub(super) struct EventQueue {
    queue: BinaryHeap<Reverse<Scheduled>>,
    /// Outside of the queue, which moves its entries often.
    events: Table<Event>,
    added: u64,
}

#[derive(Debug)]
struct Scheduled {
    nanos: u64,
    sequence: u64,
    /// Its number in the table of events.
    event: u64,
}

impl EventQueue {
    /// Adds an event. A later moment than the [`LAST`] is the last one.
    pub(super) fn add(&mut self, at: Duration, event: Event) {
        let sequence = self.added;
        self.added += 1;
        self.queue.push(Reverse(Scheduled {
            nanos: at.min(LAST).as_nanos() as u64,
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

impl Scheduled {
    fn place(&self) -> u128 {
        u128::from(self.nanos) << 64 | u128::from(self.sequence)
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
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
        self.place().cmp(&other.place())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_one_moment_come_in_the_order_of_creation() {
        let mut queue = EventQueue::default();
        let moment = Duration::from_secs(1);
        for host in [5, 3, 4] {
            queue.add(moment, Event::Wake(host));
        }
        queue.add(Duration::ZERO, Event::Wake(9));
        queue.add(Duration::MAX, Event::Wake(6));
        let order = std::iter::from_fn(|| queue.take_first()).map(|event| match event {
            Event::Wake(host) => host,
            Event::Network(_) | Event::Disk(_) => unreachable!(),
        });
        assert_eq!(order.collect::<Vec<_>>(), [9, 5, 3, 4, 6]);
    }
}
