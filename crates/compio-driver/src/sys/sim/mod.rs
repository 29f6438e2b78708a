//! A simulated kernel for tests. It keeps the contract of a backend, and does everything that the
//! contract permits, at moments that a seed determines. So even rare sequences of events can be
//! repeated.
//!
//! It completes a request at once, later, or through the thread pool; in any order; in parts; and with
//! injected errors. A cancel succeeds, comes too late, or does not find its target and has to be
//! repeated. The completion queue is small. Waits end early or fail. The kernel uses the memory of a
//! request as late as possible, when it reports the completion, and at random moments before. So memory
//! that is freed too early is detected, most reliably by AddressSanitizer.
//!
//! `kernel.rs` is that kernel, `objects.rs` has the objects behind its descriptors, `memory.rs` the
//! access to the memory of requests. This file puts the kernel in the place of the real backend.
//!
//! Descriptors are ends of real pipes: the other end detects a descriptor that is closed too early, or
//! never.

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
    backend::BackendKind,
    driver::{Driver, DriverBuilder},
    key::Key,
    notify::Notifier,
    request::{Capabilities, Report, Request},
    spin::Spin,
    sys::BufferRing,
    thread_pool::Pool,
};

/// The backend of drivers in tests: a real backend, unless this thread has set a simulated one.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each driver, and the common one is the large one"
)]
pub(crate) enum Backend {
    System(linux::Backend),
    Sim(Sim),
}

/// A handle of the kernel. The driver has one; tests use others to control the kernel.
#[derive(Clone)]
pub(crate) struct Sim(Rc<RefCell<Kernel>>);

thread_local! {
    /// The simulated kernel for the next driver of this thread.
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

    /// Makes a driver on this kernel. Its thread pool has no threads: the kernel runs the queued jobs.
    pub(crate) fn driver(&self) -> Driver {
        let pool = Pool::by_hand();
        self.kernel().pool = Some(pool.clone());
        NEXT.set(Some(self.clone()));
        // Time is simulated, so the deadline must not depend on the load of the machine.
        let patient = DriverBuilder::new().shutdown_timeout(Duration::from_secs(600));
        let driver = patient.pool(pool).build();
        driver.expect("the driver needs only an eventfd of the system")
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
                // The job's code may use this kernel.
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
    /// The memory of the request stays valid until the completion of `key` has been reported.
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
    /// The scratch belongs to the operation with this key.
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
