//! The drivers of all hosts: their requests in flight, reports that wait, and blocking work.

use std::{collections::VecDeque, mem};

use libc::ECANCELED;

use super::{ready::ReadyHosts, world::HostId};
use crate::{
    key::Key,
    request::{BlockingCall, RawResult, Request},
};

/// The index of a driver in its world.
pub(super) type DriverId = usize;

#[derive(Default)]
pub(super) struct Drivers {
    all: Vec<DriverState>,
    /// The number of late results.
    late: u64,
    pub(super) ready: ReadyHosts,
}

struct DriverState {
    host: HostId,
    /// By the index of the key: operations in flight have different ones.
    in_flight: Vec<Option<InFlight>>,
    posted: Vec<Posted>,
    jobs: VecDeque<(Key, BlockingCall)>,
}

#[derive(Clone, Copy)]
pub(super) struct InFlight {
    key: Key,
    pub(super) request: Request,
    pub(super) group: Group,
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    Waiting,
    /// As `Waiting`, and a cancel is on its way.
    Cancelled,
    /// It has its result, and is reported later. The number is larger than those of earlier results.
    Done(RawResult, u64),
}

/// A completion to be reported.
pub(super) struct Posted {
    pub(super) key: Key,
    pub(super) answer: RawResult,
    pub(super) group: Group,
}

/// Completions of one group keep their order. Each direction of a socket is a group.
pub(super) type Group = Option<u64>;

/// A request that waits for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiter {
    pub(super) driver: DriverId,
    pub(super) key: Key,
}

impl InFlight {
    /// Whether it has no result.
    fn waits(&self) -> bool {
        !matches!(self.stage, Stage::Done(..))
    }

    pub(super) fn is_cancelled(&self) -> bool {
        matches!(self.stage, Stage::Cancelled)
    }

    pub(super) fn mark_cancelled(&mut self) {
        self.stage = Stage::Cancelled;
    }
}

impl Drivers {
    pub(super) fn add(&mut self, host: HostId) -> DriverId {
        self.all.push(DriverState {
            host,
            in_flight: Vec::new(),
            posted: Vec::new(),
            jobs: VecDeque::new(),
        });
        self.all.len() - 1
    }

    /// Forgets the operations of a driver that has been dropped. It may have leaked some: their memory is not used any
    /// more.
    pub(super) fn remove(&mut self, driver: DriverId) {
        let driver = &mut self.all[driver];
        driver.in_flight = Vec::new();
        driver.posted = Vec::new();
        driver.jobs = VecDeque::new();
    }

    pub(super) fn host(&self, driver: DriverId) -> HostId {
        self.all[driver].host
    }

    /// Adds a request that has to wait.
    pub(super) fn wait(&mut self, waiter: Waiter, request: &Request, group: Group) {
        let in_flight = &mut self.all[waiter.driver].in_flight;
        let place = waiter.key.index as usize;
        if in_flight.len() <= place {
            in_flight.resize(place + 1, None);
        }
        in_flight[place] = Some(InFlight {
            key: waiter.key,
            request: *request,
            group,
            stage: Stage::Waiting,
        });
    }

    fn find(&self, waiter: Waiter) -> Option<&InFlight> {
        let in_flight = &self.all[waiter.driver].in_flight;
        let found = in_flight.get(waiter.key.index as usize)?.as_ref();
        found.filter(|found| found.key == waiter.key)
    }

    fn find_mut(&mut self, waiter: Waiter) -> Option<&mut InFlight> {
        let in_flight = &mut self.all[waiter.driver].in_flight;
        let found = in_flight.get_mut(waiter.key.index as usize)?.as_mut();
        found.filter(|found| found.key == waiter.key)
    }

    /// The request, if it has no result.
    pub(super) fn request(&self, waiter: Waiter) -> Option<&Request> {
        let waiting = self.find(waiter).filter(|found| found.waits());
        waiting.map(|found| &found.request)
    }

    /// Whether the request has no result.
    pub(super) fn waits(&self, waiter: Waiter) -> bool {
        self.request(waiter).is_some()
    }

    /// The request, if it has no result.
    pub(super) fn find_waiting(&mut self, waiter: Waiter) -> Option<&mut InFlight> {
        self.find_mut(waiter).filter(|found| found.waits())
    }

    /// All requests that wait.
    #[cfg(test)]
    pub(super) fn requests(&self) -> impl Iterator<Item = Request> {
        let in_flight = self.all.iter().flat_map(|driver| &driver.in_flight);
        let waiting = in_flight.flatten().filter(|found| found.waits());
        waiting.map(|found| found.request)
    }

    /// The result of a request that is reported later.
    pub(super) fn late_result(&self, waiter: Waiter) -> Option<RawResult> {
        match self.find(waiter)?.stage {
            Stage::Done(answer, _) => Some(answer),
            Stage::Waiting | Stage::Cancelled => None,
        }
    }

    /// Sets the result of a request that is reported later.
    pub(super) fn finish(&mut self, waiter: Waiter, answer: RawResult) {
        self.late += 1;
        let stage = Stage::Done(answer, self.late);
        if let Some(found) = self.find_mut(waiter) {
            found.stage = stage;
        }
    }

    /// Completes a request in flight.
    pub(super) fn complete(&mut self, waiter: Waiter, answer: RawResult) {
        let Some(group) = self.find(waiter).map(|found| found.group) else {
            return;
        };
        self.all[waiter.driver].in_flight[waiter.key.index as usize] = None;
        self.post(waiter, answer, group);
    }

    /// Completes all requests that wait for the clock only, if the clock does not move before the driver goes on.
    pub(super) fn complete_late(&mut self, driver: DriverId) {
        let due = |in_flight: &InFlight| match in_flight.stage {
            Stage::Waiting => None,
            Stage::Cancelled => Some((u64::MAX, in_flight.key, Err(ECANCELED))),
            Stage::Done(answer, number) => Some((number, in_flight.key, answer)),
        };
        let in_flight = self.all[driver].in_flight.iter().flatten();
        let mut due: Vec<_> = in_flight.filter_map(due).collect();
        due.sort_by_key(|(number, ..)| *number);
        for (_, key, answer) in due {
            self.complete(Waiter { driver, key }, answer);
        }
    }

    /// Queues blocking work.
    pub(super) fn add_job(&mut self, waiter: Waiter, call: BlockingCall) {
        let driver = &mut self.all[waiter.driver];
        driver.jobs.push_back((waiter.key, call));
        self.ready.push(driver.host);
    }

    /// Removes a job that has not run. Returns whether there is one.
    pub(super) fn remove_job(&mut self, waiter: Waiter) -> bool {
        let jobs = &mut self.all[waiter.driver].jobs;
        let place = jobs.iter().position(|(key, _)| *key == waiter.key);
        place.is_some_and(|place| jobs.remove(place).is_some())
    }

    pub(super) fn take_job(&mut self, driver: DriverId) -> Option<(Key, BlockingCall)> {
        self.all[driver].jobs.pop_front()
    }

    /// Posts a completion of a request that is in no table.
    pub(super) fn post(&mut self, waiter: Waiter, answer: RawResult, group: Group) {
        let driver = &mut self.all[waiter.driver];
        driver.posted.push(Posted {
            key: waiter.key,
            answer,
            group,
        });
        self.ready.push(driver.host);
    }

    /// The completions in the order in which they were posted.
    pub(super) fn take_posted(&mut self, driver: DriverId) -> Vec<Posted> {
        mem::take(&mut self.all[driver].posted)
    }

    /// Returns the emptied list of [`take_posted`](Self::take_posted), for its memory. Nothing has been posted since.
    pub(super) fn give_back(&mut self, driver: DriverId, list: Vec<Posted>) {
        self.all[driver].posted = list;
    }

    pub(super) fn has_work(&self, driver: DriverId) -> bool {
        let driver = &self.all[driver];
        !driver.posted.is_empty() || !driver.jobs.is_empty()
    }
}
