//! The simulated system: many hosts in one thread, in memory, with a virtual clock. Feature `sim`.
//!
//! | file | content |
//! |---|---|
//! | `world.rs` | the hosts, their clock, the order of all events |
//! | `clocks.rs` | the clocks of a host, which may differ from the clock of the world |
//! | `events.rs`, `ready.rs` | the queue of events; the hosts with work |
//! | `completions.rs` | the faults of completions |
//! | `drivers.rs`, `backend.rs`, `requests.rs` | requests in flight; the backend of a driver; the dispatch of requests |
//! | `calls.rs`, `socket_calls.rs` | the calls of the `Os` seam |
//! | `descriptors.rs`, `table.rs`, `memory.rs` | numbers of descriptors; objects by number; the memory of requests |
//! | `network/`, `local/`, `files/` | sockets of the network; Unix sockets and pipes; the file system of a host |
//! | `waiters.rs` | requests that wait for a socket |
//! | `families.rs`, `injector.rs` | the families of faults, with their counts; the faults that have occurred, and the only ones that may occur |
//! | `symbols.rs` | functions of the C library that a test binary defines |
//! | `rng.rs`, `trace.rs`, `narration.rs` | random streams; the hash over a run; its text |
//!
//! # Dispatch
//!
//! A thread has at most one current host ([`World::enter`]). While it has one, a new driver gets the backend
//! [`Simulated`], and each function of [`os_calls`](crate::os_calls) without a handle is a call of this host. A function
//! with a handle is a call of the simulation if the number of the handle is a [simulated one](descriptors::is_simulated);
//! a host that uses a real handle gets an error. Each function begins with `in_simulation!`. Without the feature the
//! macro is empty.
//!
//! # Determinism
//!
//! All state has an order: there are no hash maps. All chance comes from streams of the seed. No code of a user runs
//! while the state is borrowed.

mod backend;
pub(crate) mod calls;
mod clocks;
mod completions;
mod descriptors;
mod drivers;
mod events;
mod families;
mod files;
mod injector;
mod local;
mod memory;
mod narration;
mod network;
#[cfg(test)]
mod programs;
mod ready;
mod requests;
mod rng;
pub(crate) mod socket_calls;
pub mod symbols;
mod table;
mod trace;
mod waiters;
mod world;

use std::{cell::RefCell, fmt, io, rc::Rc};

use self::backend::Simulated;
pub use self::clocks::ClockFaults;
pub use self::completions::{CompletionCounts, CompletionFaults};
pub use self::families::Fault;
pub use self::files::{DiskCounts, DiskFaults, Unsynced};
pub use self::injector::FaultRecord;
pub use self::network::{LinkState, NetworkCounts, NetworkFaults};
#[cfg(test)]
pub(super) use self::programs::SimulatedHost;
pub use self::world::{AddHostError, Advanced, HostId, Settings, World};
use super::{Event, RealBackend, choose_real, either::Either};
use crate::{backend::BackendKind, spin::Spin};

/// The backend of a driver: simulated if it was made while a host is current.
pub(crate) type Backend = Either<Simulated, RealBackend>;

thread_local! {
    static CURRENT: RefCell<Option<(Rc<World>, HostId)>> = const { RefCell::new(None) };
}

/// As for the real system, for the current host if there is one.
pub(crate) fn choose(
    wanted: Option<BackendKind>,
    entries: u32,
    spin: Spin,
) -> io::Result<(Backend, Event, String)> {
    if let Some((world, host)) = current() {
        let why = format!("it belongs to the simulated host `{}`", world.name(host));
        let backend = Simulated::new(world, host);
        return Ok((Either::First(backend), Event::Simulated, why));
    }
    let (backend, event, why) = choose_real(wanted, entries, spin)?;
    Ok((Either::Second(backend), event, why))
}

/// The current host of this thread, and its world.
pub fn current() -> Option<(Rc<World>, HostId)> {
    CURRENT.try_with(|current| current.borrow().clone()).ok()?
}

/// Calls `code` with the current host, without a handle of the world.
fn with_current<T>(code: impl FnOnce(&World, HostId) -> T) -> Option<T> {
    let call = |current: &RefCell<Option<(Rc<World>, HostId)>>| {
        let current = current.try_borrow().ok()?;
        current.as_ref().map(|(world, host)| code(world, *host))
    };
    CURRENT.try_with(call).ok()?
}

impl World {
    /// Makes the host the current one of this thread, until the result is dropped.
    pub fn enter(self: &Rc<Self>, host: HostId) -> EnteredHost {
        let now = Some((Rc::clone(self), host));
        let before = CURRENT.replace(now);
        symbols::set_clocks(Some(self.readings(host)));
        EnteredHost { before }
    }
}

/// While it lives, a host is the current one.
pub struct EnteredHost {
    before: Option<(Rc<World>, HostId)>,
}

impl Drop for EnteredHost {
    fn drop(&mut self) {
        let before = self.before.as_ref();
        symbols::set_clocks(before.map(|(world, host)| world.readings(*host)));
        // Dropped with nothing borrowed.
        let _ours = CURRENT.replace(self.before.take());
    }
}

impl fmt::Debug for EnteredHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnteredHost").finish_non_exhaustive()
    }
}
