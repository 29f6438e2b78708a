//! Random programs for a driver: they begin, poll, cancel, drop and leak operations of all kinds at random
//! moments, while a [kernel in memory](TestKernel) behaves at random, too.
//!
//! There are two kernels. A [simulated host](crate::sys::simulated) is the public simulator. The
//! [other one](crate::sys::sim) makes each fault of a real kernel that the contract of a backend permits.
//!
//! The seed determines a program. See `seeds.rs` for how to repeat one.
//!
//! `harness.rs` polls the actors of a program and checks its outcome, `actors.rs` has their code,
//! `probes.rs` the buffers and wakers that detect errors, `memory.rs` the memory of requests in flight.

mod actors;
mod harness;
mod memory;
mod probes;
mod seeds;

use std::{
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{Mutex, PoisonError},
};

use self::harness::{DropPolicy, End, Harness};
pub(super) use self::{memory::Memory, seeds::seeds};
use super::{RawFd, rng::Rng};
use crate::{driver::Driver, fd::SharedFd};

/// A kernel in memory, with the objects behind the descriptors of a driver, and the peers of its sockets.
///
/// Objects have numbers, in the order of their creation. The byte at a position of a stream, or of a file,
/// is the lower part of the position.
pub(super) trait TestKernel {
    /// Makes a driver on this kernel.
    fn driver(&self) -> Driver;

    /// Lets time pass, and turns the driver if its loop would.
    fn turn(&self, driver: &Driver) -> io::Result<()>;

    /// Makes a connected stream.
    fn stream(&self) -> (usize, SharedFd);

    /// Makes a listener.
    fn listener(&self) -> (usize, SharedFd);

    /// Opens the file `/file`, which has [`FILE_LEN`] bytes.
    fn file(&self) -> (usize, SharedFd);

    /// The address of a peer that accepts connections.
    fn peer(&self) -> SocketAddr;

    /// Whether a stream takes messages with an address.
    fn ignores_addresses(&self) -> bool;

    /// The number of objects.
    fn count(&self) -> usize;

    /// The object of an open descriptor.
    fn which(&self, fd: RawFd) -> usize;

    fn is_closed(&self, object: usize) -> bool;

    /// The peer of a stream sends this number of bytes.
    fn send_from_peer(&self, stream: usize, len: usize);

    /// The peer of a stream sends no more bytes.
    fn finish_peer(&self, stream: usize);

    /// Peers connect to a listener.
    fn connect_peers(&self, listener: usize, count: usize);

    /// Completes all waits: connections come, the peers of streams read and finish.
    fn complete_waits(&self, listeners: &[usize]);

    /// Ends the arrival of connections at a listener.
    fn end_connections(&self, listener: usize);

    /// The number of connections that accepts have taken from a listener, and of connections that they can take.
    fn accepted(&self, listener: usize) -> usize;

    /// Allows the loss of bytes of a stream.
    fn permit_loss(&self, stream: usize);

    /// Claims bytes of a stream that an actor has received, at this position if it is known.
    fn claim(&self, stream: usize, position: Option<usize>, bytes: &[u8]);

    /// Checks that a stream ends at this position.
    fn check_eof(&self, stream: usize, position: usize);

    /// Checks the number of bytes that the peer of a stream has received.
    fn check_sent(&self, stream: usize, len: usize);

    /// Whether an operation without a cause of its own may fail with this error.
    fn may_fail_with(&self, code: i32) -> bool;

    /// Stops fault injection. Most requests complete soon, but still not at once.
    fn calm_down(&self);

    /// A value that changes with each request. It is equal in two runs of a program.
    fn progress(&self) -> u64;

    /// Checks the end of a program: no byte is missing, and every descriptor is closed.
    fn check_end(&self);
}

/// The length of the file, whose bytes never change.
pub(super) const FILE_LEN: usize = 500;

/// The number of programs of each kind, unless the environment sets another.
const PROGRAMS: u64 = 300;

/// Serializes the programs, each of which may have a few hundred descriptors.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

type MakeKernel = fn(Rng) -> Rc<dyn TestKernel>;

fn run_programs(make: MakeKernel, manners: DropPolicy, end: End) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for seed in seeds(PROGRAMS) {
        run_program(make, seed, manners, end);
    }
}

/// Runs one program, and returns its trace.
fn run_program(make: MakeKernel, seed: u64, manners: DropPolicy, end: End) -> Vec<String> {
    let mut rng = Rng::new(seed);
    let steps = rng.pick(&[20, 100, 300]);
    let kernel = make(rng.fork());
    let harness = Harness::new(rng, Rc::clone(&kernel), manners);
    for _ in 0..steps {
        harness.step();
    }
    let trace = harness.end(end);
    assert_eq!(Rc::strong_count(&harness), 1, "an actor is left");
    drop(harness);
    kernel.check_end();
    trace
}

/// Whether bytes that a peer has received consist of buffers, whose bytes begin at any position.
pub(super) fn is_made_of_buffers(bytes: &[u8]) -> bool {
    let mut steps = bytes.windows(2);
    steps.all(|pair| pair[0].wrapping_add(1) == pair[1] || pair[1] == 0)
}

/// The programs on one kernel.
macro_rules! programs {
    ($kernel:ident, $make:expr) => {
        mod $kernel {
            use super::{DropPolicy, End, run_program, run_programs};

            #[test]
            fn waiting_actors_lose_no_data() {
                run_programs($make, DropPolicy::Patient, End::Await);
            }

            #[test]
            fn waiting_actors_lose_no_data_at_shutdown() {
                run_programs($make, DropPolicy::Patient, End::ShutDown);
            }

            #[test]
            fn operations_of_dropped_actors_end() {
                run_programs($make, DropPolicy::Careless, End::Drop);
            }

            #[test]
            fn remaining_actors_finish_after_random_drops() {
                run_programs($make, DropPolicy::Careless, End::Await);
            }

            #[test]
            fn shutdown_ends_operations_of_dropped_actors() {
                run_programs($make, DropPolicy::Careless, End::ShutDown);
            }

            #[test]
            fn a_seed_determines_the_trace() {
                for seed in 0..20 {
                    let run = || run_program($make, seed, DropPolicy::Careless, End::Await);
                    assert_eq!(run(), run());
                }
            }
        }
    };
}

programs!(simulated_kernel, crate::sys::sim::Sim::for_programs);
#[cfg(all(feature = "sim", not(compio_portable)))]
programs!(
    simulated_host,
    crate::sys::simulated::SimulatedHost::for_programs
);
