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
//! `kernel/` is that kernel, `objects.rs` has the objects behind its descriptors, `programs.rs` its connection
//! to the [random programs](super::programs). This file puts the kernel in the place of the real backend.
//!
//! Descriptors are ends of real pipes: the other end detects a descriptor that is closed too early, or
//! never.

mod kernel;
mod objects;
mod programs;

use std::{
    cell::{RefCell, RefMut},
    io,
    os::fd::{AsRawFd, RawFd},
    rc::Rc,
    time::Duration,
};

use self::{kernel::Kernel, objects::Thing};
use super::{
    Backend, BelowTests, BufferRing, Capabilities, Event, OpState, Report, Resubmit, Submitted,
    choose_below_tests, either::Either, resubmit, rng::Rng,
};
use crate::{backend::BackendKind, key::Key, notify::Notifier, request::Request, spin::Spin};

/// The backend of drivers in tests: a real backend, unless this thread has set a simulated one.
pub(crate) type TestBackend = Either<BelowTests, Sim>;

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
) -> io::Result<(TestBackend, Event, String)> {
    if let Some(sim) = NEXT.take() {
        return Ok((Either::Second(sim), Event::of_nobody()?, "in memory".into()));
    }
    let (backend, event, why) = choose_below_tests(wanted, entries, spin)?;
    Ok((Either::First(backend), event, why))
}

impl Sim {
    fn new(rng: Rng) -> Self {
        Self(Rc::new(RefCell::new(Kernel::new(rng))))
    }

    fn kernel(&self) -> RefMut<'_, Kernel> {
        self.0.borrow_mut()
    }
}

impl Backend for Sim {
    fn kind(&self) -> BackendKind {
        BackendKind::IoUring
    }

    fn capabilities(&self) -> Capabilities {
        self.kernel().capabilities()
    }

    fn register_buffers(&mut self, _count: u16) -> io::Result<Option<Box<dyn BufferRing>>> {
        Ok(self.kernel().register_buffers())
    }

    fn unregister_buffers(&mut self, group: u16) {
        self.kernel().unregister_buffers(group);
    }

    fn enters(&self) -> u64 {
        0
    }

    unsafe fn submit(&mut self, key: Key, request: &Request, _: *mut OpState) -> Submitted {
        // SAFETY: passed on from this function.
        unsafe { self.kernel().submit(key, request) }
    }

    unsafe fn submit_after_would_block(&mut self, key: Key, request: &Request) -> Submitted {
        // SAFETY: passed on from this function.
        unsafe { self.kernel().submit(key, request) }
    }

    fn resubmit(&self, request: &Request) -> Resubmit {
        resubmit(request)
    }

    unsafe fn cancel(&mut self, key: Key, _: *mut OpState) {
        self.kernel().cancel(key);
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

    fn prepare_to_park(&mut self, notifier: &Notifier) -> bool {
        self.kernel().may_sleep() && notifier.park()
    }
}

impl AsRawFd for Sim {
    fn as_raw_fd(&self) -> RawFd {
        -1
    }
}
