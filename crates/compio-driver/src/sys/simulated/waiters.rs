//! Requests that wait for a socket or for an end of a pipe.

use std::mem;

use super::{descriptors::SocketId, drivers::Waiter, requests::Outcome, world::State};

/// The waiting requests of a socket, in the order of their arrival. Most sockets have one, which is in the memory of the socket.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    first: Option<(Queue, Waiter)>,
    others: Vec<(Queue, Waiter)>,
}

/// A list of requests that wait for the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    Read,
    Write,
    /// Requests that take nothing from others: polls, peeks, connects.
    Other,
}

impl Queue {
    /// The list of a receive.
    pub(super) fn of_receive(peeks: bool) -> Self {
        if peeks { Self::Other } else { Self::Read }
    }
}

impl Waiters {
    fn push(&mut self, waiter: (Queue, Waiter)) {
        if self.first.is_none() && self.others.is_empty() {
            self.first = Some(waiter);
        } else {
            self.others.push(waiter);
        }
    }

    fn iter(&self) -> impl Iterator<Item = &(Queue, Waiter)> {
        self.first.iter().chain(&self.others)
    }

    fn retain(&mut self, mut stays: impl FnMut((Queue, Waiter)) -> bool) {
        self.first = self.first.filter(|first| stays(*first));
        self.others.retain(|other| stays(*other));
    }
}

impl State {
    fn waiters(&self, id: SocketId) -> Option<&Waiters> {
        match self.network.sockets.get(id) {
            Some(socket) => Some(&socket.waiters),
            None => self.local.get(id).ok().map(|endpoint| &endpoint.waiters),
        }
    }

    fn waiters_mut(&mut self, id: SocketId) -> Option<&mut Waiters> {
        match self.network.sockets.get_mut(id) {
            Some(socket) => Some(&mut socket.waiters),
            None => {
                let endpoint = self.local.get_mut(id).ok()?;
                Some(&mut endpoint.waiters)
            }
        }
    }

    pub(super) fn add_waiter(&mut self, id: SocketId, queue: Queue, waiter: Waiter) {
        let Some(waiters) = self.waiters_mut(id) else {
            return;
        };
        let mut waiters = mem::take(waiters);
        if waiters.others.len() == waiters.others.capacity() {
            // Instead of growth for cancelled ones.
            waiters.retain(|(_, waiter)| self.drivers.waits(waiter));
        }
        waiters.push((queue, waiter));
        self.put_waiters(id, waiters);
    }

    /// Puts the taken list back.
    fn put_waiters(&mut self, id: SocketId, waiters: Waiters) {
        if let Some(place) = self.waiters_mut(id) {
            *place = waiters;
        }
    }

    /// Whether a request waits there.
    pub(super) fn has_waiters(&self, id: SocketId, queue: Queue) -> bool {
        let mut waiters = self.waiters(id).into_iter().flat_map(Waiters::iter);
        waiters.any(|(other, waiter)| *other == queue && self.drivers.waits(*waiter))
    }

    /// Attempts the waiting requests of a socket whose state has changed.
    pub(super) fn retry(&mut self, id: SocketId) {
        let Some(waiters) = self.waiters_mut(id) else {
            return;
        };
        let mut waiters = mem::take(waiters);
        // Requests behind one that still waits are not attempted.
        let (mut reads_wait, mut writes_wait) = (false, false);
        waiters.retain(|(queue, waiter)| {
            let waits = match queue {
                Queue::Read => &mut reads_wait,
                Queue::Write => &mut writes_wait,
                Queue::Other => return !self.retry_one(id, waiter),
            };
            *waits = *waits || !self.retry_one(id, waiter);
            *waits
        });
        self.put_waiters(id, waiters);
    }

    /// Returns whether the request waits no longer.
    fn retry_one(&mut self, id: SocketId, waiter: Waiter) -> bool {
        let Some(request) = self.drivers.request(waiter).copied() else {
            return true;
        };
        // SAFETY: the request has not been reported as completed, so its memory is valid by the contract of `submit`.
        match unsafe { self.attempt_on_socket(id, &request) } {
            Outcome::Done(answer) => {
                self.complete(waiter, answer);
                true
            }
            Outcome::Wait(..) => false,
        }
    }
}
