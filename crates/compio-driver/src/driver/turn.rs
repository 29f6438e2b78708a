//! The turn of a driver: the wait for completions, and the sleep of an outer loop.

use std::{
    io,
    panic::{self, AssertUnwindSafe},
    task::Waker,
    time::Duration,
};

use compio_io::panics::discard;

use super::{core::Core, deferred::Deferred};
use crate::{
    request::NOT_READY,
    sys::{Backend as _, Report, in_simulation},
};

impl Core {
    #[cold]
    pub(super) fn end_sleep(&self) {
        self.notifier.unpark();
        self.is_announced.set(false);
        self.update_fast_path();
    }

    pub(crate) fn wake_outer(&self) {
        if self.is_announced.get() {
            self.notifier.notify();
        }
    }

    pub(crate) fn turn(&self, timeout: Option<Duration>) -> io::Result<()> {
        in_simulation!(refuse_wait(self.backend.borrow().kind(), timeout));
        let metrics = &self.arena.metrics;
        metrics.turns.add(1);
        self.buffer_pools.publish();
        // The outer loop that slept for this driver (see `prepare_to_sleep`) has woken.
        if self.is_announced.get() {
            self.end_sleep();
        }
        // The notifying thread may have pushed work that only the caller can see: no sleep. Nor with orphans of
        // an outer turn: this one releases them.
        let timeout = if self.notifier.take() || self.has_unreleased_orphans() {
            Some(Duration::ZERO)
        } else {
            timeout
        };
        if timeout != Some(Duration::ZERO) {
            metrics.parks.add(1);
        }
        let mut deferred = self.deferred.take().unwrap_or_default();
        let mut backend = self.backend.borrow_mut();
        let waited = if self.arena.latencies.is_recording() {
            backend.wait(timeout, &self.notifier, &mut |key, report| {
                self.on_report_recorded(key, report, &mut deferred)
            })
        } else {
            backend.wait(timeout, &self.notifier, &mut |key, report| {
                self.on_report(key, report, &mut deferred)
            })
        };
        metrics.enters.set(backend.enters());
        let (spins, hits) = backend.spins();
        metrics.spins.set(spins);
        metrics.spin_hits.set(hits);
        drop(backend);
        self.finish_turn(deferred);
        waited
    }

    /// Runs the deferred actions after the backend's reports.
    #[inline]
    fn finish_turn(&self, mut deferred: Box<Deferred>) {
        self.collect(&mut deferred);
        if deferred.is_empty() && !self.has_unreleased_orphans() {
            self.deferred.set(Some(deferred));
            return;
        }
        for key in deferred.not_found.drain(..) {
            // Only now: the completion may have followed the report that no operation was found.
            if self.arena.is_cancellable(key) {
                self.cancel(key);
            }
        }
        self.run_deferred(deferred);
    }

    /// Submits pending requests and reaps the ready completions, for a caller outside of this driver's
    /// loop. The loop still receives every notification, and its sleep stays announced.
    pub(crate) fn pump(&self) {
        let mut deferred = self.deferred.take().unwrap_or_default();
        let waited = self.backend.borrow_mut().wait(
            Some(Duration::ZERO),
            &self.notifier,
            &mut |key, report| self.on_any_report(key, report, &mut deferred),
        );
        // The loop of this driver meets the same error.
        drop(waited);
        if self.is_announced.get() {
            // The wait may have reset the event of a notification.
            self.notifier.signal_again();
        }
        self.finish_turn(deferred);
    }

    /// As [`pump`](Self::pump), for callers that must not panic. The panic hook has reported the panic of
    /// a waker.
    pub(crate) fn pump_quietly(&self) {
        if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| self.pump())) {
            discard(panic);
        }
    }

    /// As [`pump_quietly`](Self::pump_quietly), for a task of another driver on the same thread that waits
    /// for data of this driver's orphans. The task is woken when it should try again.
    #[cold]
    pub(crate) fn pump_for(&self, waker: &Waker) {
        // Before the pump: a later remote completion wakes the task.
        self.remote.add_guest(waker.clone());
        self.pump_quietly();
        if self.arena.has_orphans_in_kernel() {
            // They complete soon, since all were cancelled. An io-wq worker has to notice the cancel first.
            waker.wake_by_ref();
        }
    }

    /// Takes the remote completions of other threads.
    fn collect(&self, deferred: &mut Deferred) {
        if !self.remote.maybe_nonempty() {
            return;
        }
        let mut completions = self.completions.take();
        self.remote.take(&mut completions);
        for (key, answer) in completions.drain(..) {
            let report = if answer == Err(NOT_READY) {
                self.arena.unmark_in_thread_pool(key);
                Report::Ready
            } else {
                Report::Final(answer)
            };
            self.on_any_report(key, report, deferred);
        }
        self.completions.set(completions);
    }
}
