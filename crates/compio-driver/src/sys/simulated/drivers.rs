//! The drivers of all hosts: their requests in flight, reports that wait, and blocking work.

use std::{collections::VecDeque, sync::Arc};

use super::{ready::ReadyList, world::HostId};
use crate::{
    key::Key,
    request::{BlockingCall, RawResult, Request},
    sys::Report,
};

/// The index of a driver in its world.
pub(super) type DriverId = usize;

pub(super) struct Drivers {
    all: Vec<DriverState>,
    ready: Arc<ReadyList>,
}

struct DriverState {
    host: HostId,
    /// By the index of the key: operations in flight have different ones.
    in_flight: Vec<Option<(Key, Request)>>,
    posted: VecDeque<(Key, Report)>,
    jobs: VecDeque<(Key, BlockingCall)>,
}

/// A request that waits for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiter {
    pub(super) driver: DriverId,
    pub(super) key: Key,
}

impl Drivers {
    pub(super) fn new(ready: Arc<ReadyList>) -> Self {
        Self {
            all: Vec::new(),
            ready,
        }
    }

    pub(super) fn add(&mut self, host: HostId) -> DriverId {
        self.all.push(DriverState {
            host,
            in_flight: Vec::new(),
            posted: VecDeque::new(),
            jobs: VecDeque::new(),
        });
        self.all.len() - 1
    }

    /// Forgets the operations of a driver that has been dropped. It may have leaked some: their memory is not used any
    /// more.
    pub(super) fn remove(&mut self, driver: DriverId) {
        let driver = &mut self.all[driver];
        driver.in_flight = Vec::new();
        driver.posted = VecDeque::new();
        driver.jobs = VecDeque::new();
    }

    pub(super) fn host(&self, driver: DriverId) -> HostId {
        self.all[driver].host
    }

    /// Adds a request that has to wait.
    pub(super) fn wait(&mut self, waiter: Waiter, request: &Request) {
        let in_flight = &mut self.all[waiter.driver].in_flight;
        let place = waiter.key.index as usize;
        if in_flight.len() <= place {
            in_flight.resize(place + 1, None);
        }
        in_flight[place] = Some((waiter.key, *request));
    }

    /// The request, if it still waits.
    pub(super) fn request(&self, waiter: Waiter) -> Option<Request> {
        let place = self.all[waiter.driver]
            .in_flight
            .get(waiter.key.index as usize)?;
        place
            .filter(|(key, _)| *key == waiter.key)
            .map(|(_, request)| request)
    }

    /// Completes a request that waits, if it still does.
    pub(super) fn complete(&mut self, waiter: Waiter, answer: RawResult) {
        if self.request(waiter).is_none() {
            return;
        }
        let driver = &mut self.all[waiter.driver];
        driver.in_flight[waiter.key.index as usize] = None;
        driver.posted.push_back((waiter.key, Report::Final(answer)));
        self.ready.push(driver.host);
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
    pub(super) fn post(&mut self, waiter: Waiter, answer: RawResult) {
        let driver = &mut self.all[waiter.driver];
        driver.posted.push_back((waiter.key, Report::Final(answer)));
        self.ready.push(driver.host);
    }

    pub(super) fn take_posted(&mut self, driver: DriverId) -> VecDeque<(Key, Report)> {
        std::mem::take(&mut self.all[driver].posted)
    }

    pub(super) fn has_work(&self, driver: DriverId) -> bool {
        let driver = &self.all[driver];
        !driver.posted.is_empty() || !driver.jobs.is_empty()
    }
}
