//! The queue of future events, ordered by time and then by the order of their creation.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use super::{files::Finish, network::Packet, world::HostId};

#[derive(Debug)]
pub(super) enum Event {
    /// The loop of a host has a timer.
    Wake(HostId),
    Network(Packet),
    /// The end of an operation of a slow disk.
    Disk(Finish),
}

#[derive(Debug)]
pub(super) struct Scheduled {
    pub(super) at: Duration,
    sequence: u64,
    pub(super) event: Event,
}

#[derive(Debug, Default)]
pub(super) struct EventQueue {
    queue: BinaryHeap<Reverse<Scheduled>>,
    added: u64,
}

impl EventQueue {
    pub(super) fn add(&mut self, at: Duration, event: Event) {
        let sequence = self.added;
        self.added += 1;
        self.queue.push(Reverse(Scheduled {
            at,
            sequence,
            event,
        }));
    }

    pub(super) fn first(&self) -> Option<&Scheduled> {
        self.queue.peek().map(|Reverse(scheduled)| scheduled)
    }

    pub(super) fn take_first(&mut self) -> Option<Scheduled> {
        self.queue.pop().map(|Reverse(scheduled)| scheduled)
    }
}

impl Scheduled {
    fn place(&self) -> (Duration, u64) {
        (self.at, self.sequence)
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
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
        let order =
            std::iter::from_fn(|| queue.take_first()).map(|scheduled| match scheduled.event {
                Event::Wake(host) => host,
                Event::Network(_) | Event::Disk(_) => unreachable!(),
            });
        assert_eq!(order.collect::<Vec<_>>(), [9, 5, 3, 4]);
    }
}
