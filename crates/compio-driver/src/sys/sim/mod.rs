//! A kernel in memory, for tests: it keeps the contract of a backend, and does all that the contract
//! permits, at moments that a seed determines. So what no real kernel does twice can be repeated.
//!
//! It answers at once, later, or through the pool; in any order; in parts, and with errors that
//! nobody has asked for. A cancel is carried out, comes too late, or finds nothing and has to be
//! repeated. Its completion queue is small, its waits end early or fail. It uses the memory of a
//! request as late as it may: when it reports, and by the way, so that who frees something too early
//! is found out, most surely by AddressSanitizer.
//!
//! `kernel.rs` is that kernel, `objects.rs` what its descriptors stand for, `memory.rs` how it touches
//! the memory of requests. Here: how it is put in the place of the system's own.
//!
//! Descriptors are those of real pipes: who closes one too early, or never, is seen at the other end.

mod kernel;
mod memory;
mod objects;
mod programs;
mod rng;

use std::{
    cell::{RefCell, RefMut},
    io,
    os::fd::{AsRawFd, RawFd},
    rc::Rc,
    time::Duration,
};

pub(crate) use self::{
    kernel::Kernel,
    objects::Thing,
    rng::{Rng, seeds},
};
use super::{Event, OpState, Submitted, linux};
use crate::{
    arena::Key,
    buffers::BufferRing,
    driver::{BackendKind, Driver, DriverBuilder},
    notify::Notifier,
    request::{Capabilities, Report, Request},
    spin::Spin,
    thread_pool::Pool,
};

/// What drivers are made on while testing: the system's backend, unless this thread asks for
/// another.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each driver, and the common one is the large one"
)]
pub(crate) enum Backend {
    System(linux::Backend),
    Sim(Sim),
}

/// A handle of the kernel. The driver has one; others give the kernel something to do.
#[derive(Clone)]
pub(crate) struct Sim(Rc<RefCell<Kernel>>);

thread_local! {
    /// What the next driver of this thread is made on.
    static NEXT: RefCell<Option<Sim>> = const { RefCell::new(None) };
}

pub(crate) fn choose(
    wanted: Option<BackendKind>,
    entries: u32,
    spin: Spin,
) -> io::Result<(Backend, Event, String)> {
    if let Some(sim) = NEXT.take() {
        return Ok((Backend::Sim(sim), Event::of_nobody()?, "in memory".into()));
    }
    let (backend, event, why) = linux::choose(wanted, entries, spin)?;
    Ok((Backend::System(backend), event, why))
}

impl Sim {
    pub(crate) fn new(rng: Rng) -> Self {
        Self(Rc::new(RefCell::new(Kernel::new(rng))))
    }

    /// A driver on this kernel, with a pool that has no threads: the kernel runs what is queued
    /// there.
    pub(crate) fn driver(&self) -> Driver {
        let pool = Pool::by_hand();
        self.kernel().pool = Some(pool.clone());
        NEXT.set(Some(self.clone()));
        // Its time is the kernel's, and not that of a busy machine.
        let patient = DriverBuilder::new().shutdown_timeout(Duration::from_secs(600));
        let driver = patient.pool(pool).build();
        driver.expect("nothing is asked of the system but an eventfd")
    }

    pub(crate) fn kernel(&self) -> RefMut<'_, Kernel> {
        self.0.borrow_mut()
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        notifier: &Notifier,
        on_report: &mut dyn FnMut(Key, Report),
    ) -> io::Result<()> {
        let sleeps = timeout != Some(Duration::ZERO) && notifier.park();
        let done = self.kernel().advance();
        if let Some((job, answer)) = done {
            match answer {
                Some(answer) => job.end(answer),
                // Its code may have to do with this kernel.
                None => job.run(),
            }
        }
        if sleeps {
            notifier.unpark();
        }
        let (reports, ended) = self.kernel().reap();
        for (key, report) in reports {
            on_report(key, report);
        }
        ended
    }
}

impl Backend {
    pub(crate) fn kind(&self) -> BackendKind {
        match self {
            Self::System(system) => system.kind(),
            Self::Sim(_) => BackendKind::IoUring,
        }
    }

    pub(crate) fn extras(&self) -> Capabilities {
        match self {
            Self::System(system) => system.extras(),
            Self::Sim(sim) => sim.kernel().extras(),
        }
    }

    pub(crate) fn register_buffers(
        &mut self,
        count: u16,
    ) -> io::Result<Option<Box<dyn BufferRing>>> {
        match self {
            Self::System(system) => system.register_buffers(count),
            Self::Sim(sim) => Ok(sim.kernel().register_buffers()),
        }
    }

    pub(crate) fn unregister_buffers(&mut self, group: u16) {
        match self {
            Self::System(system) => system.unregister_buffers(group),
            Self::Sim(sim) => sim.kernel().unregister_buffers(group),
        }
    }

    pub(crate) fn enters(&self) -> u64 {
        match self {
            Self::System(system) => system.enters(),
            Self::Sim(_) => 0,
        }
    }

    pub(crate) fn attach(&mut self, fd: RawFd) -> io::Result<()> {
        match self {
            Self::System(system) => system.attach(fd),
            Self::Sim(_) => Ok(()),
        }
    }

    /// # Safety
    ///
    /// What the request points to stays valid until the answer to `key` has been reported.
    pub(crate) unsafe fn launch(
        &mut self,
        key: Key,
        request: &Request,
        scratch: *mut OpState,
    ) -> Submitted {
        // SAFETY: passed on from this function.
        unsafe {
            match self {
                Self::System(system) => system.launch(key, request, scratch),
                Self::Sim(sim) => sim.kernel().launch(key, request),
            }
        }
    }

    /// # Safety
    ///
    /// As for `launch`.
    pub(crate) unsafe fn launch_to_wait(&mut self, key: Key, request: &Request) -> Submitted {
        match self {
            // SAFETY: passed on from this function.
            Self::System(system) => unsafe { system.launch_to_wait(key, request) },
            // SAFETY: likewise.
            Self::Sim(sim) => unsafe { sim.kernel().launch(key, request) },
        }
    }

    /// # Safety
    ///
    /// The scratch is that of a flight.
    pub(crate) unsafe fn cancel(&mut self, key: Key, scratch: *mut OpState) {
        match self {
            // SAFETY: passed on from this function.
            Self::System(system) => unsafe { system.cancel(key, scratch) },
            Self::Sim(sim) => sim.kernel().cancel(key),
        }
    }

    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
        notifier: &Notifier,
        on_report: &mut dyn FnMut(Key, Report),
    ) -> io::Result<()> {
        match self {
            Self::System(system) => system.wait(timeout, notifier, on_report),
            Self::Sim(sim) => sim.wait(timeout, notifier, on_report),
        }
    }

    pub(crate) fn prepare_to_sleep(&mut self, notifier: &Notifier) -> bool {
        match self {
            Self::System(system) => system.prepare_to_sleep(notifier),
            Self::Sim(sim) => sim.kernel().may_sleep() && notifier.park(),
        }
    }
}

impl AsRawFd for Backend {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::System(system) => system.as_raw_fd(),
            Self::Sim(_) => -1,
        }
    }
}
