//! The hosts whose loops have work, in the order in which they got it.

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Wake, Waker},
};

use super::world::HostId;

/// A list in which no host is twice.
#[derive(Debug, Default)]
pub(super) struct ReadyHosts {
    hosts: VecDeque<HostId>,
    is_in: Vec<bool>,
}

impl ReadyHosts {
    pub(super) fn push(&mut self, host: HostId) {
        if self.is_in.len() <= host {
            self.is_in.resize(host + 1, false);
        }
        if !self.is_in[host] {
            self.is_in[host] = true;
            self.hosts.push_back(host);
        }
    }

    pub(super) fn pop(&mut self) -> Option<HostId> {
        let host = self.hosts.pop_front()?;
        self.is_in[host] = false;
        Some(host)
    }
}

/// The hosts that wakers have made ready. Wakers of tasks may be called on any thread, also while the state of the world is
/// borrowed.
#[derive(Debug, Default)]
pub(super) struct WokenHosts {
    /// Whether the list has hosts. Relaxed: the lock orders the list, and a waker on this thread sees its own writes.
    is_filled: AtomicBool,
    list: Mutex<Vec<HostId>>,
}

impl WokenHosts {
    fn push(&self, host: HostId) {
        // No code that panics runs under the lock.
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.push(host);
        self.is_filled.store(true, Relaxed);
    }

    pub(super) fn take(&self) -> Vec<HostId> {
        if !self.is_filled.load(Relaxed) {
            return Vec::new();
        }
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_filled.store(false, Relaxed);
        mem::take(&mut list)
    }
}

/// A waker of the host.
pub(super) fn waker(woken: &Arc<WokenHosts>, host: HostId) -> Waker {
    Waker::from(Arc::new(HostWaker {
        woken: Arc::clone(woken),
        host,
    }))
}

struct HostWaker {
    woken: Arc<WokenHosts>,
    host: HostId,
}

impl Wake for HostWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.push(self.host);
    }
}
