//! Completions: their effect on operations, and the actions that follow with nothing borrowed.

use std::{
    mem,
    panic::{self, AssertUnwindSafe},
};

use compio_io::panics::{discard, wake_all};

use super::{core::Core, deferred::Deferred, entry::Entry};
use crate::{
    arena::{Abandoned, OnComplete},
    key::Key,
    operation::Operation,
    request::{RawResult, Request},
    sys::{self, Backend as _, Report, Resubmit, Submitted},
};

impl Core {
    #[inline]
    pub(super) fn on_report(&self, key: Key, report: Report, deferred: &mut Deferred) {
        // Most reports are final, and take a short way.
        if let Report::Final(answer) = report {
            let on_complete = self.arena.complete(key, answer);
            self.follow(on_complete, deferred);
        } else {
            self.on_other_report(key, report, deferred);
        }
    }

    /// As [`on_report`](Self::on_report), and records the latency of an operation that completes.
    #[cold]
    pub(super) fn on_report_recorded(&self, key: Key, report: Report, deferred: &mut Deferred) {
        let begin = self.arena.begin_of(key);
        self.on_report(key, report, deferred);
        if let Some((kind, begun_at)) = begin
            && !self.arena.is_in_flight(key)
        {
            self.arena.latencies.complete(kind, begun_at);
        }
    }

    /// One of the two functions above.
    #[inline]
    pub(super) fn on_any_report(&self, key: Key, report: Report, deferred: &mut Deferred) {
        if self.arena.latencies.is_recording() {
            self.on_report_recorded(key, report, deferred);
        } else {
            self.on_report(key, report, deferred);
        }
    }

    /// Takes the action that follows a completion, or leaves it for later.
    #[inline(always)]
    fn follow(&self, on_complete: OnComplete, deferred: &mut Deferred) {
        match on_complete {
            OnComplete::Nothing => {}
            OnComplete::Wake(waker) => deferred.wakers.push(waker),
            OnComplete::Report(user_data, answer) => {
                let entry = Entry { user_data, answer };
                self.entries.borrow_mut().push_back(entry);
            }
            OnComplete::ReleaseOrphan(key) => self.orphans.borrow_mut().push_back(key),
        }
    }

    /// A report that is not final, or that becomes final here.
    #[inline(never)]
    fn on_other_report(&self, key: Key, report: Report, deferred: &mut Deferred) {
        let on_complete = match report {
            Report::Partial(item) => {
                if item.has_more {
                    self.traces.on_partial(key, item.answer);
                }
                let (on_complete, is_enough) = self.arena.on_partial(key, item);
                if is_enough {
                    deferred.enough.push(key);
                }
                on_complete
            }
            Report::Final(answer) => self.arena.complete(key, answer),
            Report::CanceledByKernel | Report::Ready if self.arena.is_cancel_requested(key) => {
                self.arena.complete(key, Err(sys::ECANCELED))
            }
            Report::CanceledByKernel => {
                deferred.cancelled_by_kernel.push(key);
                return;
            }
            Report::WouldBlock if self.arena.is_cancel_requested(key) => {
                self.arena.complete(key, Err(sys::ECANCELED))
            }
            Report::WouldBlock => {
                deferred.would_block.push(key);
                return;
            }
            Report::Ready => {
                deferred.ready.push(key);
                return;
            }
            Report::CancelNotFound => {
                deferred.not_found.push(key);
                return;
            }
        };
        self.follow(on_complete, deferred);
    }

    /// Completes an operation whose result was ready at its submission.
    pub(crate) fn complete(&self, key: Key, answer: RawResult) {
        let mut deferred = self.deferred.take().unwrap_or_default();
        self.on_report(key, Report::Final(answer), &mut deferred);
        self.run_deferred(deferred);
    }

    /// Resubmits, cancels, wakes tasks and releases orphans. After the panic of a waker the others are
    /// still woken, and the panic resumes at the end. The panic of an orphan's destructor has been
    /// reported by the panic hook and is discarded.
    pub(super) fn run_deferred(&self, mut deferred: Box<Deferred>) {
        // Ready results complete before the wakes, so that the panic of a waker does not lose their wakes.
        while let Some(key) = deferred.cancelled_by_kernel.pop() {
            if let Some(answer) = self.repeat(key) {
                self.on_any_report(key, Report::Final(answer), &mut deferred);
            }
        }
        // In the order in which they became ready.
        deferred.ready.reverse();
        while let Some(key) = deferred.ready.pop() {
            if let Some(answer) = self.submit_ready(key) {
                self.on_any_report(key, Report::Final(answer), &mut deferred);
            }
        }
        let mut would_block = mem::take(&mut deferred.would_block);
        for key in would_block.drain(..) {
            // Likewise.
            if let Some(answer) = self.submit_after_would_block(key) {
                self.on_any_report(key, Report::Final(answer), &mut deferred);
            }
        }
        deferred.would_block = would_block;
        for key in deferred.enough.drain(..) {
            if self.arena.is_pending(key) {
                self.cancel(key);
            }
        }
        let panicked = wake_all(deferred.wakers.drain(..));
        self.deferred.set(Some(deferred));
        self.release_orphans();
        if let Some(panic) = panicked {
            panic::resume_unwind(panic);
        }
    }

    /// Repeats a request that the kernel has cancelled of its own accord. Returns a result that is ready at
    /// once, as [`submit`](Self::submit).
    fn repeat(&self, key: Key) -> Option<RawResult> {
        let Some(request) = self.rebuild_request(key) else {
            return Some(Err(sys::ECANCELED));
        };
        let how = self.backend.borrow().resubmit(&request);
        let answer = match how {
            Resubmit::ThreadPool(request) => self.dispatch(key, request, true),
            // SAFETY: the operation is where it was when it was submitted for the first time.
            Resubmit::Kernel => unsafe { self.submit(key, &request) },
            Resubmit::Not => Some(Err(sys::ECANCELED)),
        };
        // The new SQE is not submitted before the next turn.
        self.wake_outer();
        answer
    }

    /// Submits a request again whose descriptor has become ready. Returns as [`repeat`](Self::repeat).
    fn submit_ready(&self, key: Key) -> Option<RawResult> {
        let Some(request) = self.rebuild_request(key) else {
            return Some(Err(sys::ECANCELED));
        };
        // SAFETY: as in `repeat`.
        let answer = unsafe { self.submit(key, &request) };
        // As in `repeat`.
        self.wake_outer();
        answer
    }

    /// Submits an operation again that the kernel has completed with EAGAIN. The backend waits for a send
    /// that may wait, and answers EAGAIN for all other requests. Returns a result that is ready at once, as
    /// [`submit`](Self::submit).
    fn submit_after_would_block(&self, key: Key) -> Option<RawResult> {
        let Some(request) = self.rebuild_request(key) else {
            // Cancelled, or its code has panicked: the result stays EAGAIN.
            return Some(Err(sys::EAGAIN));
        };
        // SAFETY: the operation is where it was when it was submitted for the first time.
        let submitted = unsafe {
            let mut backend = self.backend.borrow_mut();
            backend.submit_after_would_block(key, &request)
        };
        // As in `repeat`.
        self.wake_outer();
        match submitted {
            Submitted::InFlight => None,
            Submitted::Ready(answer) => Some(answer),
            Submitted::ThreadPool(request) => self.dispatch(key, request, false),
        }
    }

    /// The request of an operation that is submitted again; `None` if the operation has been cancelled or
    /// its code has panicked.
    fn rebuild_request(&self, key: Key) -> Option<Request> {
        let asked = panic::catch_unwind(AssertUnwindSafe(|| self.arena.rebuild_request(key)));
        let request = asked.map_err(discard).ok()?;
        // Its code may have cancelled it, or shut the driver down.
        let is_wanted = !self.arena.is_cancel_requested(key) && !self.closed.get();
        is_wanted.then_some(request)
    }

    /// Releases the completed orphans. One at a time: the code of each may turn the driver, which releases the
    /// others.
    fn release_orphans(&self) {
        loop {
            let next = self.orphans.borrow_mut().pop_front();
            let Some(key) = next else { break };
            self.release_orphan(key);
        }
    }

    /// Whether the code of an orphan or a waker turns the driver, and completed orphans wait for their release.
    pub(super) fn has_unreleased_orphans(&self) -> bool {
        !self.orphans.borrow().is_empty()
    }

    fn release_orphan(&self, key: Key) {
        let released = panic::catch_unwind(AssertUnwindSafe(|| self.arena.release_orphan(key)));
        released.unwrap_or_else(discard);
    }

    /// Begins an operation without a future, in no cancel scope: it is an orphan from its start, and its
    /// [`on_orphaned`](crate::Operation::on_orphaned) takes the result.
    pub(crate) fn begin_orphaned<O: Operation>(&self, operation: O) {
        // SAFETY: the handle does not outlive this function.
        let (handle, request) = unsafe { self.arena.insert(operation) };
        let key = handle.key();
        // SAFETY: the operation stays in its cell until it has completed.
        if let Some(answer) = unsafe { self.submit(key, &request) } {
            self.arena.complete(key, answer);
        }
        match self.arena.abandon(key) {
            Abandoned::Cancel(owner) => drop(owner),
            Abandoned::ReleaseOrphan => self.release_orphan(key),
        }
    }

    /// Orphans an operation whose future was dropped: cancels it, or releases it if it has completed.
    pub(crate) fn abandon(&self, key: Key) {
        self.traces.abandon(key);
        match self.arena.abandon(key) {
            Abandoned::Cancel(owner) => {
                if !self.defers_cancels.get() {
                    self.cancel(key);
                }
                drop(owner);
            }
            Abandoned::ReleaseOrphan => self.release_orphan(key),
        }
    }
}
