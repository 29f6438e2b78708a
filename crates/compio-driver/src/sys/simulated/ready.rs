//! The hosts whose loops have work, in the order in which they got it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Wake, Waker},
};

use super::world::HostId;

/// Wakers of tasks may be called on any thread, so the list has a lock. Without threads there is no contention.
#[derive(Debug, Default)]
pub(super) struct ReadyList(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    hosts: VecDeque<HostId>,
    is_in: Vec<bool>,
}

impl ReadyList {
    pub(super) fn push(&self, host: HostId) {
        let mut queue = self.lock();
        if queue.is_in.len() <= host {
            queue.is_in.resize(host + 1, false);
        }
        if !queue.is_in[host] {
            queue.is_in[host] = true;
            queue.hosts.push_back(host);
        }
    }

    pub(super) fn pop(&self) -> Option<HostId> {
        let mut queue = self.lock();
        let host = queue.hosts.pop_front()?;
        queue.is_in[host] = false;
        Some(host)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No code that panics runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts a host into the list.
pub(super) fn waker(list: &Arc<ReadyList>, host: HostId) -> Waker {
    Waker::from(Arc::new(HostWaker {
        list: Arc::clone(list),
        host,
    }))
}

struct HostWaker {
    list: Arc<ReadyList>,
    host: HostId,
}

impl Wake for HostWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.list.push(self.host);
    }
}
