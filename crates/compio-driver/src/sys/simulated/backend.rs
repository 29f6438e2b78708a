//! The backend of a simulated host.

use std::{
    io,
    os::fd::{AsRawFd, RawFd},
    rc::Rc,
    time::Duration,
};

use libc::{ECANCELED, EINVAL, EIO, ENOSYS};

use super::{
    drivers::{DriverId, Posted, Waiter},
    requests::Attempt,
    trace::Mark,
    world::{HostId, World},
};
use crate::{
    backend::BackendKind,
    key::Key,
    notify::Notifier,
    request::{RawResult, Request},
    sys::{Backend, Capabilities, OpState, Report, Submitted},
};

/// The kernel of one driver.
pub(crate) struct Simulated {
    world: Rc<World>,
    driver: DriverId,
}

impl Simulated {
    pub(super) fn new(world: Rc<World>, host: HostId) -> Self {
        let driver = world.state().drivers.add(host);
        Self { world, driver }
    }

    fn waiter(&self, key: Key) -> Waiter {
        Waiter {
            driver: self.driver,
            key,
        }
    }

    /// Runs all jobs, in the order of their submission. A job may use the simulated system.
    fn run_jobs(&self) {
        loop {
            let next = self.world.state().drivers.take_job(self.driver);
            let Some((key, call)) = next else { return };
            // SAFETY: the operation has not been reported as completed, by the contract of `submit`, and its code runs once.
            unsafe { (call.run)(call.data) };
            let mut state = self.world.state();
            state.note(Mark::Job, &[self.driver as u64, key.index.into()]);
            state.complete_job(self.waiter(key));
        }
    }
}

impl Backend for Simulated {
    fn kind(&self) -> BackendKind {
        BackendKind::Simulated
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            recv_pooled: true,
            ..Capabilities::default()
        }
    }

    fn enters(&self) -> u64 {
        0
    }

    unsafe fn submit(&mut self, key: Key, request: &Request, _: *mut OpState) -> Submitted {
        let waiter = self.waiter(key);
        let mut state = self.world.state();
        state.note_request(self.driver, request);
        let host = state.drivers.host(self.driver);
        let answer: RawResult = match *request {
            _ if state.hosts[host].has_crashed => Err(EIO),
            Request::Nop => Ok(0),
            Request::Invalid => Err(EINVAL),
            Request::Splice(_) | Request::Raw(_) => Err(ENOSYS),
            Request::Blocking(call) => {
                state.drivers.add_job(waiter, call);
                return Submitted::InFlight;
            }
            Request::Transfer(_)
            | Request::FileOp(_)
            | Request::Path(_)
            | Request::Net(_)
            | Request::Control(_)
            | Request::Poll(_) => {
                // SAFETY: passed on from this function.
                match unsafe { state.attempt_first(waiter, request) } {
                    Attempt::Done(answer) => answer,
                    Attempt::Waits => return Submitted::InFlight,
                }
            }
        };
        state.note_result(self.driver, answer);
        Submitted::Ready(answer)
    }

    unsafe fn cancel(&mut self, key: Key, _: *mut OpState) {
        let waiter = self.waiter(key);
        let mut state = self.world.state();
        state.note(Mark::Cancel, &[self.driver as u64, key.index.into()]);
        if state.drivers.remove_job(waiter) {
            state.drivers.post(waiter, Err(ECANCELED), None);
        } else {
            state.cancel(waiter);
        }
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        _: &Notifier,
        on_report: &mut dyn FnMut(Key, Report),
    ) -> io::Result<()> {
        self.run_jobs();
        let mut state = self.world.state();
        let mut posted = state.take_posted(self.driver);
        if posted.is_empty() && timeout != Some(Duration::ZERO) {
            state.drivers.complete_late(self.driver);
            posted = state.take_posted(self.driver);
        }
        if posted.is_empty() && timeout != Some(Duration::ZERO) {
            // Nothing moves the clock before the caller returns: see the head of `compio::sim`.
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "a simulated host cannot block its thread: await instead of a nested `block_on`",
            ));
        }
        for Posted { key, answer, .. } in posted.drain(..) {
            state.note_result(self.driver, answer);
            on_report(key, Report::Final(answer));
        }
        state.drivers.give_back(self.driver, posted);
        Ok(())
    }

    fn prepare_to_park(&mut self, notifier: &Notifier) -> bool {
        !self.world.state().drivers.has_work(self.driver) && notifier.park()
    }
}

impl AsRawFd for Simulated {
    /// # Panics
    ///
    /// Always: no outer loop can wait for a simulated driver.
    fn as_raw_fd(&self) -> RawFd {
        panic!(
            "the runtime of a simulated host has no descriptor: `compio::sim::Simulation` is its outer loop"
        )
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        if let Some(mut state) = self.world.try_state() {
            state.drivers.remove(self.driver);
        }
    }
}
