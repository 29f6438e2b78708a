//! The hosts whose loops have work, in the order in which they got it, or shuffled.

use std::{
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
    hosts: Vec<HostId>,
    /// The hosts that were ready before, the next one last.
    earlier: Vec<HostId>,
    is_in: Vec<bool>,
}

impl ReadyHosts {
    pub(super) fn push(&mut self, host: HostId) {
        if self.is_in.len() <= host {
            self.is_in.resize(host + 1, false);
        }
        if !self.is_in[host] {
            self.is_in[host] = true;
            self.hosts.push(host);
        }
    }

    /// The next host. `reorder` may change the order of hosts that are ready together: they all precede later ones.
    pub(super) fn pop(&mut self, reorder: impl FnOnce(&mut [HostId])) -> Option<HostId> {
        if self.earlier.is_empty() {
            mem::swap(&mut self.hosts, &mut self.earlier);
            self.earlier.reverse();
            reorder(&mut self.earlier);
        }
        let host = self.earlier.pop()?;
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
