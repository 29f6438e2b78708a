//! Functions for the programs of simulated hosts.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use compio_driver::os::simulated::{HostId, World, current};

use super::{Error, ErrorKind};

/// A change of a host, which a program has requested.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    Crash,
    PowerLoss,
    Restart,
}

/// The calling host, the host that changes, and the change.
type Orders = Vec<(HostId, HostId, Order)>;

thread_local! {
    /// The orders that the simulation of this thread has not executed, and its seed.
    pub(super) static ORDERS: RefCell<(u64, Orders)> = const { RefCell::new((0, Vec::new())) };
}

/// A run on this thread. A second one, in code that gets the lines of the course, would take its orders and assertions.
pub(super) struct Run(());

thread_local! {
    static RUNS: Cell<bool> = const { Cell::new(false) };
}

impl Run {
    /// `None` in a run.
    pub(super) fn begin() -> Option<Self> {
        (!RUNS.replace(true)).then(|| Self(()))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        RUNS.set(false);
    }
}

/// The random numbers of the current host. They depend on the seed of the simulation, the name of the host and the virtual time only:
/// other hosts, the network and faults have streams of their own.
///
/// ```
/// use compio::sim::{self, Simulation};
///
/// fn main() -> Result<(), sim::Error> {
///     let mut simulation = Simulation::builder().seed(7).build();
///     simulation.client("dice", async {
///         let number = sim::rng().below(6);
///         assert!(number < 6);
///     });
///     simulation.run()?;
///     Ok(())
/// }
/// ```
///
/// # Panics
///
/// Outside of a simulated host.
#[track_caller]
pub fn rng() -> Rng {
    let Some((world, host)) = current() else {
        panic!("{}", Error::outside());
    };
    Rng { world, host }
}

/// The random stream of a host, made by [`rng`]. Handles of one host share it.
#[derive(Debug)]
pub struct Rng {
    world: Rc<World>,
    host: HostId,
}

impl Rng {
    /// The next number.
    pub fn next_u64(&self) -> u64 {
        self.world.random(self.host)
    }

    /// A number from 0 to `limit`, exclusive.
    ///
    /// # Panics
    ///
    /// If the limit is 0.
    #[track_caller]
    pub fn below(&self, limit: u64) -> u64 {
        assert!(limit > 0, "no number is below 0");
        ((u128::from(self.next_u64()) * u128::from(limit)) >> 64) as u64
    }

    /// True with this probability: 0.0 is never, 1.0 is always.
    pub fn chance(&self, probability: f64) -> bool {
        // 53 bits, which a `f64` represents exactly.
        let number = (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        number < probability
    }

    /// Fills the bytes.
    pub fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let number = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
    }

    /// Puts the elements into a random order.
    pub fn shuffle<T>(&self, elements: &mut [T]) {
        for last in (1..elements.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            elements.swap(last, other);
        }
    }
}

/// The true virtual time since the begin of the simulation: no clock of a host changes it. `None` outside of a simulated host.
pub fn elapsed() -> Option<Duration> {
    current().map(|(world, _)| world.now())
}

/// The name of the current host. `None` outside of a simulated host.
pub fn host_name() -> Option<String> {
    current().map(|(world, host)| world.name(host))
}

/// Kills the program of a host, as the end of its process. Its connections are closed, as the kernel does: with a FIN, or with a reset
/// if there are unread data. Its files stay as they are. A client that was killed counts as ended.
///
/// It happens after the current poll of the calling task. In the [calm phase](super::Simulation::calm_after) it has no effect.
///
/// # Errors
///
/// [`UnknownHost`](ErrorKind::UnknownHost), and [`OutsideOfHost`](ErrorKind::OutsideOfHost) outside of a simulated host.
pub fn crash(host: &str) -> Result<(), Error> {
    order(host, Order::Crash)
}

/// Ends a host without a word to its peers. Content without a sync of the file, and names without a sync of their directory, are
/// lost, kept or torn: see [`disk`](super::disk()). Until a [`restart`] the host answers no packets.
///
/// It happens after the current poll of the calling task. In the [calm phase](super::Simulation::calm_after) it has no effect.
///
/// # Errors
///
/// As for [`crash`].
pub fn power_loss(host: &str) -> Result<(), Error> {
    order(host, Order::PowerLoss)
}

/// Starts the program of a host again, with its files. A running program is killed first, as by [`crash`]. Clients do not start
/// again: this has no effect on them.
///
/// It happens after the current poll of the calling task. In the [calm phase](super::Simulation::calm_after), it starts only a program
/// that has ended.
///
/// # Errors
///
/// As for [`crash`].
pub fn restart(host: &str) -> Result<(), Error> {
    order(host, Order::Restart)
}

fn order(name: &str, order: Order) -> Result<(), Error> {
    let (world, caller) = here()?;
    let host = find_in(&world, name)?;
    ORDERS.with_borrow_mut(|(_, orders)| orders.push((caller, host, order)));
    Ok(())
}

/// The world and the host of the calling program.
pub(super) fn here() -> Result<(Rc<World>, HostId), Error> {
    current().ok_or_else(Error::outside)
}

/// The host of this name, for a call in a program.
pub(super) fn find(name: &str) -> Result<(Rc<World>, HostId), Error> {
    let (world, _) = here()?;
    let host = find_in(&world, name)?;
    Ok((world, host))
}

/// The host of this name in the world of the calling program.
pub(super) fn find_in(world: &World, name: &str) -> Result<HostId, Error> {
    world.find(name).ok_or_else(|| {
        let seed = ORDERS.with_borrow(|(seed, _)| *seed);
        let name = Some(name.to_owned());
        Error::new(seed, name, world.now(), ErrorKind::UnknownHost)
    })
}
