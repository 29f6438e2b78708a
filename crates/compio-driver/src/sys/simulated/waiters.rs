//! Requests that wait for a socket or for an end of a pipe.

use std::{collections::VecDeque, mem};

use super::{descriptors::SocketId, drivers::Waiter, requests::Outcome, world::State};

/// The waiting requests of a socket.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    readers: VecDeque<Waiter>,
    writers: VecDeque<Waiter>,
    others: VecDeque<Waiter>,
}

/// A list of requests that wait for the socket.
#[derive(Debug, Clone, Copy)]
pub(super) enum Queue {
    Read,
    Write,
    /// Requests that take nothing from others: polls, peeks, connects.
    Other,
}

impl Waiters {
    fn queue(&mut self, queue: Queue) -> &mut VecDeque<Waiter> {
        match queue {
            Queue::Read => &mut self.readers,
            Queue::Write => &mut self.writers,
            Queue::Other => &mut self.others,
        }
    }
}

impl State {
    fn queue_mut(&mut self, id: SocketId, queue: Queue) -> Option<&mut VecDeque<Waiter>> {
        let waiters = match self.network.sockets.get_mut(id) {
            Some(socket) => &mut socket.waiters,
            None => &mut self.local.get_mut(id).ok()?.waiters,
        };
        Some(waiters.queue(queue))
    }

    pub(super) fn add_waiter(&mut self, id: SocketId, queue: Queue, waiter: Waiter) {
        if let Some(waiters) = self.queue_mut(id, queue) {
            waiters.push_back(waiter);
        }
    }

    /// Whether a request waits there.
    pub(super) fn has_waiters(&mut self, id: SocketId, queue: Queue) -> bool {
        self.first_waiter(id, queue).is_some()
    }

    /// The request that waits there for the longest time. Cancelled ones are removed.
    fn first_waiter(&mut self, id: SocketId, queue: Queue) -> Option<Waiter> {
        while let Some(&first) = self.queue_mut(id, queue)?.front() {
            if self.drivers.waits(first) {
                return Some(first);
            }
            self.queue_mut(id, queue)?.pop_front();
        }
        None
    }

    /// Attempts the waiting requests of a socket whose state has changed.
    pub(super) fn retry(&mut self, id: SocketId) {
        for queue in [Queue::Read, Queue::Write] {
            while let Some(first) = self.first_waiter(id, queue)
                && self.retry_one(id, first)
            {
                if let Some(waiters) = self.queue_mut(id, queue) {
                    waiters.pop_front();
                }
            }
        }
        let others = self.queue_mut(id, Queue::Other).map(mem::take);
        for waiter in others.into_iter().flatten() {
            if !self.retry_one(id, waiter) {
                self.add_waiter(id, Queue::Other, waiter);
            }
        }
    }

    /// Returns whether the request waits no longer.
    fn retry_one(&mut self, id: SocketId, waiter: Waiter) -> bool {
        let Some(request) = self.drivers.request(waiter).copied() else {
            return true;
        };
        // SAFETY: the request has not been reported as completed, so its memory is valid by the contract of `submit`.
        match unsafe { self.attempt_on_socket(id, &request) } {
            Outcome::Done(answer) => {
                self.drivers.complete(waiter, answer);
                true
            }
            Outcome::Wait(..) => false,
        }
    }
}
