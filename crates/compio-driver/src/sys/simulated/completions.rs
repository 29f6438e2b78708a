//! The faults of completions, which the contract of a backend permits: late ones, short transfers, late cancels, and errors that
//! are over soon.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use libc::{ECANCELED, EMFILE, ENFILE, ENOBUFS, ENOMEM};

use super::{
    drivers::{Group, Waiter},
    events::Event,
    families::Fault,
    injector::{FaultStream, Site},
    trace::Mark,
    world::{HostId, State, World},
};
use crate::request::{RawResult, Request};

/// The settings of a host's completions. The default has no faults.
///
/// Each chance is a probability per operation: 0.0 is never, 1.0 is always.
#[derive(Debug, Clone, PartialEq)]
pub struct CompletionFaults {
    /// The chance that an operation takes effect, and completes after a time of the range `late_by` only. Later operations of other
    /// handles may complete before it.
    pub late: f64,
    /// The time of a late completion, and of a late cancel: uniform in this range, 0 to 1 millisecond by default.
    pub late_by: RangeInclusive<Duration>,
    /// The chance that a receive from a stream returns a part of the bytes that have arrived.
    pub short_read: f64,
    /// The chance that a send to a stream takes a part of the bytes for which there is room.
    pub short_write: f64,
    /// The chance that a cancel takes effect after a time of the range `late_by` only. An operation that completes in this time has its
    /// result, though it was cancelled.
    pub late_cancel: f64,
    /// The chance that an accept of TCP fails with ECONNABORTED (`ConnectionAborted`). The connection is reset.
    pub aborted_accept: f64,
    /// The chance that an accept, a new socket or pipe, or an open fails with EMFILE, ENFILE or ENOMEM, and the send of a datagram with
    /// ENOBUFS. It has no effect then.
    pub no_resources: f64,
    /// The chance that a rename, a removal, a new directory or a link fails with EINTR (`Interrupted`), as on FUSE. In half of the
    /// cases the change is made.
    pub interrupted: f64,
}

/// The faults of a host's completions since the begin: a test that met no faults has tested nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompletionCounts {
    /// Late completions. Completions that wait for an earlier one of their stream do not count.
    pub late: u64,
    /// Receives with fewer bytes than possible.
    pub short_reads: u64,
    /// Sends of fewer bytes than possible.
    pub short_writes: u64,
    /// Late cancels.
    pub late_cancels: u64,
    /// Operations that had a result of their own after a late cancel.
    pub uncancelled: u64,
    /// Accepts that failed with ECONNABORTED.
    pub aborted_accepts: u64,
    /// Operations that failed for lack of resources.
    pub no_resources: u64,
    /// Changes of names that failed with EINTR.
    pub interrupted: u64,
}

/// The completions of a host.
#[derive(Debug)]
pub(super) struct Completions {
    faults: CompletionFaults,
    counts: CompletionCounts,
    stream: FaultStream,
    site: Site,
    /// The time of the last late completion of each group. Others of the group do not overtake it.
    last_of_group: BTreeMap<u64, Duration>,
}

impl Default for CompletionFaults {
    fn default() -> Self {
        Self {
            late: 0.0,
            late_by: Duration::ZERO..=Duration::from_millis(1),
            short_read: 0.0,
            short_write: 0.0,
            late_cancel: 0.0,
            aborted_accept: 0.0,
            no_resources: 0.0,
            interrupted: 0.0,
        }
    }
}

impl CompletionFaults {
    /// # Panics
    ///
    /// If a chance is not in 0.0..=1.0, or if the range is empty.
    #[track_caller]
    fn check(&self) {
        let chances = [
            self.late,
            self.short_read,
            self.short_write,
            self.late_cancel,
            self.aborted_accept,
            self.no_resources,
            self.interrupted,
        ];
        for chance in chances {
            assert!(
                (0.0..=1.0).contains(&chance),
                "a chance of {chance} is not in 0.0..=1.0"
            );
        }
        assert!(
            !self.late_by.is_empty(),
            "the range of the times of completions is empty"
        );
    }
}

impl Completions {
    pub(super) fn new(stream: FaultStream, site: Site) -> Self {
        Self {
            faults: CompletionFaults::default(),
            counts: CompletionCounts::default(),
            stream,
            site,
            last_of_group: BTreeMap::new(),
        }
    }

    /// Removes all faults.
    pub(super) fn calm(&mut self) {
        self.faults = CompletionFaults::default();
    }

    /// The moment of the report of an operation that takes effect now. `None` is now.
    fn report_at(&mut self, now: Duration, group: Group) -> Option<Duration> {
        let by = self.delay(self.faults.late, Fault::LateCompletion, "late completion");
        if by.is_none() && self.last_of_group.is_empty() {
            return None;
        }
        self.counts.late += u64::from(by.is_some());
        let own = by.map(|by| now.saturating_add(by));
        self.last_of_group.retain(|_, at| *at >= now);
        let before = group.and_then(|group| self.last_of_group.get(&group).copied());
        let at = own.max(before)?;
        if let Some(group) = group {
            self.last_of_group.insert(group, at);
        }
        Some(at)
    }

    /// The length of a receive of at most `len` bytes.
    pub(super) fn receive(&mut self, len: usize) -> usize {
        let (chance, site) = (self.faults.short_read, self.site);
        let text = |part| format!("receive of {part} and not {len} bytes");
        let short = self
            .stream
            .part_of(len, chance, Fault::ShortReceive, site, text);
        if short < len {
            self.counts.short_reads += 1;
        }
        short
    }

    /// The length of a send of at most `len` bytes.
    pub(super) fn send(&mut self, len: usize) -> usize {
        let (chance, site) = (self.faults.short_write, self.site);
        let text = |part| format!("send of {part} and not {len} bytes");
        let short = self
            .stream
            .part_of(len, chance, Fault::ShortSend, site, text);
        if short < len {
            self.counts.short_writes += 1;
        }
        short
    }

    /// The time until a cancel takes effect, if it is late.
    fn cancel_delay(&mut self) -> Option<Duration> {
        let by = self.delay(self.faults.late_cancel, Fault::LateCancel, "late cancel");
        self.counts.late_cancels += u64::from(by.is_some());
        by
    }

    fn delay(&mut self, chance: f64, fault: Fault, text: &str) -> Option<Duration> {
        let draw = self.stream.draw(chance, fault, self.site)?;
        let by = self.stream.rng.time_in(&self.faults.late_by);
        let occurs = self.stream.occurs(&draw, || format!("{text}, by {by:?}"));
        occurs.then_some(by)
    }

    /// Draws whether a connection is reset before its accept.
    pub(super) fn aborts_accept(&mut self) -> bool {
        let (chance, site) = (self.faults.aborted_accept, self.site);
        let text = || "aborted accept";
        let aborts = self.stream.chance(chance, Fault::AbortedAccept, site, text);
        self.counts.aborted_accepts += u64::from(aborts);
        aborts
    }

    fn lacks_resources(&mut self) -> bool {
        let (chance, site) = (self.faults.no_resources, self.site);
        let text = || "lack of descriptors or memory";
        let lacks = self.stream.chance(chance, Fault::NoResources, site, text);
        self.counts.no_resources += u64::from(lacks);
        lacks
    }

    /// Fails if there are no resources for a new descriptor.
    pub(super) fn check_descriptor(&mut self) -> Result<(), i32> {
        if !self.lacks_resources() {
            return Ok(());
        }
        Err([EMFILE, ENFILE, ENOMEM][self.stream.rng.below(3) as usize])
    }

    /// Fails if there are no resources for a datagram.
    pub(super) fn check_datagram(&mut self) -> Result<(), i32> {
        if self.lacks_resources() {
            Err(ENOBUFS)
        } else {
            Ok(())
        }
    }

    /// Draws whether a change of names is interrupted, and whether it is made nevertheless.
    pub(super) fn interrupt(&mut self) -> Option<bool> {
        let (chance, site) = (self.faults.interrupted, self.site);
        let text = || "interrupted change of a name";
        let interrupts = self.stream.chance(chance, Fault::Interrupted, site, text);
        self.counts.interrupted += u64::from(interrupts);
        interrupts.then(|| self.stream.rng.coin())
    }

    /// Settings by the seed. Each family of faults is off with a probability of one half.
    fn draw(&mut self) -> CompletionFaults {
        let rng = &mut self.stream.rng;
        let mut rate = |max: f64| {
            let fraction = rng.fraction();
            if rng.coin() { fraction * max } else { 0.0 }
        };
        let mut faults = CompletionFaults {
            late: rate(0.5),
            short_read: rate(0.5),
            short_write: rate(0.5),
            late_cancel: rate(0.5),
            aborted_accept: rate(0.1),
            no_resources: rate(0.05),
            interrupted: rate(0.05),
            ..CompletionFaults::default()
        };
        faults.late_by = Duration::ZERO..=Duration::from_millis(1 + rng.below(20));
        faults
    }
}

impl State {
    /// Defers the completion of an operation that has taken effect, if it is to be late.
    pub(super) fn defers(
        &mut self,
        waiter: Waiter,
        request: &Request,
        group: Group,
        answer: RawResult,
    ) -> bool {
        let host = self.drivers.host(waiter.driver);
        let Some(at) = self.hosts[host].completions.report_at(self.now, group) else {
            return false;
        };
        self.drivers.wait(waiter, request, group);
        self.drivers.finish(waiter, answer);
        self.events.add(at, Event::Report(waiter, group));
        true
    }

    /// Completes a request that waits, if it still does.
    pub(super) fn complete(&mut self, waiter: Waiter, answer: RawResult) {
        let Some(in_flight) = self.drivers.find_waiting(waiter) else {
            return;
        };
        let (request, group) = (in_flight.request, in_flight.group);
        if in_flight.is_cancelled() && answer != Err(ECANCELED) {
            let host = self.drivers.host(waiter.driver);
            self.hosts[host].completions.counts.uncancelled += 1;
        }
        if !self.defers(waiter, &request, group, answer) {
            self.drivers.complete(waiter, answer);
        }
    }

    /// Completes blocking work that has run.
    pub(super) fn complete_job(&mut self, waiter: Waiter) {
        if !self.defers(waiter, &Request::Nop, None, Ok(0)) {
            self.drivers.post(waiter, Ok(0), None);
        }
    }

    /// The end of a late completion.
    pub(super) fn report(&mut self, waiter: Waiter) {
        if let Some(answer) = self.drivers.late_result(waiter) {
            self.note(Mark::Event, &[waiter.driver as u64, 101]);
            self.drivers.complete(waiter, answer);
        }
    }

    /// Cancels a request that waits, now or late.
    pub(super) fn cancel(&mut self, waiter: Waiter) {
        let host = self.drivers.host(waiter.driver);
        let Some(in_flight) = self.drivers.find_waiting(waiter) else {
            return;
        };
        match self.hosts[host].completions.cancel_delay() {
            Some(delay) => {
                in_flight.mark_cancelled();
                let at = self.now.saturating_add(delay);
                self.events.add(at, Event::Cancel(waiter));
            }
            None => self.complete_cancelled(waiter),
        }
    }

    /// Completes a request by its cancel. Those that have waited behind it are attempted.
    fn complete_cancelled(&mut self, waiter: Waiter) {
        let host = self.drivers.host(waiter.driver);
        let request = self.drivers.request(waiter);
        let socket = request.and_then(|request| self.socket_of_request(host, request));
        self.complete(waiter, Err(ECANCELED));
        if let Some(socket) = socket {
            self.retry(socket);
        }
    }

    /// The end of a late cancel.
    pub(super) fn end_cancel(&mut self, waiter: Waiter) {
        if self.drivers.find_waiting(waiter).is_some() {
            self.note(Mark::Event, &[waiter.driver as u64, 102]);
            self.complete_cancelled(waiter);
        }
    }
}

impl World {
    /// Replaces the settings of a host's completions.
    ///
    /// # Panics
    ///
    /// If a chance is not in 0.0..=1.0, or if the range is empty.
    #[track_caller]
    pub fn set_completion_faults(&self, host: HostId, faults: CompletionFaults) {
        faults.check();
        let mut state = self.state();
        if !state.is_calm {
            state.faults_set.extend(faults.families());
            state.hosts[host].completions.faults = faults;
        }
    }

    /// The settings of a host's completions.
    pub fn completion_faults(&self, host: HostId) -> CompletionFaults {
        self.state().hosts[host].completions.faults.clone()
    }

    /// Settings by the seed. Each family of faults is off with a probability of one half.
    pub fn draw_completion_faults(&self, host: HostId) -> CompletionFaults {
        self.state().hosts[host].completions.draw()
    }

    /// The faults of a host's completions.
    pub fn completion_counts(&self, host: HostId) -> CompletionCounts {
        self.state().hosts[host].completions.counts
    }
}
