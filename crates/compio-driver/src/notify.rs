//! Waking a driver's thread from any thread: one atomic exchange, and a system call only if it sleeps.
//!
//! ```text
//!           park                 (the driver's thread: park, unpark, take)
//! Running ------> Parked         (any thread: notify)
//!    |  ^------------|
//!    |     unpark    |
//!    | notify        | notify, which signals the event
//!    v               v
//! Notified <---------+
//!    (unpark or take: back to Running)
//! ```
//!
//! `Notified` is sticky: a later `park` fails, so that the thread processes all work that was pushed before
//! the `notify` and only then sleeps. No wake can be lost between the last check and the sleep.

use std::{
    iter, mem,
    sync::{
        Arc, PoisonError,
        atomic::Ordering::{AcqRel, Acquire, Relaxed},
    },
    task::{Wake, Waker},
};

use compio_io::panics::{discard, wake_all};

use crate::sync::{AtomicU8, Event, Mutex};

const RUNNING: u8 = 0;
const PARKED: u8 = 1;
const NOTIFIED: u8 = 2;

/// Ends the sleep of one driver, from any thread and at any time, also after the driver's death.
#[derive(Debug)]
pub(crate) struct Notifier {
    state: AtomicU8,
    event: Event,
    /// The task of an outer executor, which is woken in addition to the event.
    outer: Mutex<Option<Waker>>,
}

impl Notifier {
    pub(crate) fn new(event: impl Into<Event>) -> Self {
        Self {
            state: AtomicU8::new(RUNNING),
            event: event.into(),
            outer: Mutex::new(None),
        }
    }

    /// From now on the next notification during a sleep also wakes this task. Returns the previous waker:
    /// the caller drops it while nothing is borrowed.
    pub(crate) fn set_outer(&self, waker: Option<Waker>) -> Option<Waker> {
        let mut outer = self.outer.lock().unwrap_or_else(PoisonError::into_inner);
        mem::replace(&mut *outer, waker)
    }

    #[cfg(all(test, loom))]
    pub(crate) fn event(&self) -> &Event {
        &self.event
    }

    pub(crate) fn notify(&self) {
        // AcqRel: releases the caller's pushed work to `take`, `park` and `unpark`.
        if self.state.swap(NOTIFIED, AcqRel) == PARKED {
            self.event.signal();
            // Two steps, so that the lock is not held while the waker runs.
            if let Some(outer) = self.set_outer(None)
                && let Some(panic) = wake_all(iter::once(outer))
            {
                // The panic hook has reported it. A pool thread must continue.
                discard(panic);
            }
        }
    }

    /// Signals the event of a pending notification again, after code other than the sleeper has reset it.
    pub(crate) fn signal_again(&self) {
        if self.is_notified() {
            self.event.signal();
        }
    }

    /// Whether [`take`](Self::take) would find a notification. Only a hint.
    pub(crate) fn is_notified(&self) -> bool {
        self.state.load(Relaxed) == NOTIFIED
    }

    /// Takes the notification, if there is one: work that was pushed before it is visible now.
    pub(crate) fn take(&self) -> bool {
        // AcqRel: acquires from `notify`.
        self.is_notified() && self.state.swap(RUNNING, AcqRel) == NOTIFIED
    }

    /// Announces that the thread is about to sleep. Fails and keeps the notification if there
    /// is one: then the thread must not sleep.
    pub(crate) fn park(&self) -> bool {
        // Acquire on failure: pairs with `notify`.
        self.state
            .compare_exchange(RUNNING, PARKED, AcqRel, Acquire)
            .is_ok()
    }

    /// Ends the announced sleep. A notification that arrived during the sleep stays for `take`.
    pub(crate) fn unpark(&self) {
        // Relaxed: only this thread writes PARKED.
        if self.state.load(Relaxed) != PARKED {
            return;
        }
        let _ = self
            .state
            .compare_exchange(PARKED, RUNNING, AcqRel, Acquire);
    }

    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }
}

impl Wake for Notifier {
    fn wake(self: Arc<Self>) {
        self.notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.notify();
    }
}
