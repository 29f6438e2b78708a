//! Deterministic simulation: a program with many hosts, unchanged, on a system in memory with virtual time.
//!
//! A [`Simulation`] runs hosts in one thread. Each has a runtime, an address, a name, a network and a file system of its
//! own. The program uses the usual types: [`net`](crate::net), [`fs`](crate::fs), [`time`](crate::time),
//! [`task`](crate::task). All chance comes from a seed, so a run with the same seed takes the same course.
//!
//! ```
//! use std::{io, time::Duration};
//!
//! use compio::{
//!     io::{AsyncReadExt, AsyncWriteExt},
//!     net::{TcpListener, TcpStream},
//!     sim::Simulation,
//!     time::sleep,
//! };
//!
//! async fn server() -> io::Result<()> {
//!     let listener = TcpListener::bind("0.0.0.0:80").await?;
//!     loop {
//!         let (mut stream, _) = listener.accept().await?;
//!         sleep(Duration::from_secs(3600)).await;
//!         stream.write_all("hello").await.0?;
//!     }
//! }
//!
//! async fn client() -> io::Result<()> {
//!     let mut stream = TcpStream::connect("web-1:80").await?;
//!     let (read, greeting) = stream.read_to_end(Vec::new()).await;
//!     read?;
//!     assert_eq!(greeting, b"hello");
//!     Ok(())
//! }
//!
//! fn main() -> Result<(), compio::sim::Error> {
//!     let mut simulation = Simulation::builder().seed(7).build();
//!     simulation.host("web-1", server);
//!     simulation.client("browser", client());
//!     // Takes no hour.
//!     let report = simulation.run()?;
//!     assert!(report.elapsed() > Duration::from_secs(3600));
//!     Ok(())
//! }
//! ```
//!
//! # Time
//!
//! The clock stands still while a task of any host is ready. Otherwise it moves to the next event: a timer, or the
//! arrival of a packet. [`time::now`](crate::time::now) and [`system_time`] read it. `Instant::now` and `SystemTime::now` of std
//! read the real clock, unless the binary has [`override_libc`]. The clocks of a host may be off: see [`clock`](clock()).
//!
//! # Blocking work
//!
//! Blocking work runs on the thread of the simulation, one job after the other, in the order of submission. It takes no
//! virtual time. A job that waits for another task never ends.
//!
//! # Many seeds
//!
//! `#[compio::test(sim, seeds = 200)]` runs a test with each of many seeds, and so does [`run_seeds`]. The message of a seed that
//! fails has the command that repeats it. With `COMPIO_SIM_TWICE=1` each seed runs twice, and a difference fails the test.
//!
//! [`assert_always`] and [`assert_sometimes`] count their evaluations, so that a test can
//! require that it has reached the states which it is about. [`Report`] and [`Summary`] have them, with operations and faults.
//! [`Simulation::invariant`] checks the state of all hosts after each step. [`shrink`] reduces a failure to the faults that matter.
//!
//! ```
//! use compio::{
//!     sim::Simulation,
//!     time::{Duration, sleep},
//! };
//!
//! #[compio::test(sim, seeds = 200)]
//! fn client_ends_after_its_sleep(simulation: &mut Simulation) {
//!     simulation.client("sleeper", async {
//!         sleep(Duration::from_secs(3600)).await;
//!     });
//! }
//! ```
//!
//! # Recovery
//!
//! [`Simulation::restart_policy`] restarts a program after a failure. [`Simulation::calm_after`] ends all faults at a virtual time: the
//! programs have to recover by themselves from then on.
//!
//! # Limits
//!
//! A simulated host has no child processes, signals and threads: they fail with
//! [`Unsupported`](std::io::ErrorKind::Unsupported), and nothing reaches the real system. Handles cannot leave compio: `as_fd`
//! and `into_std` panic. The page `docs/simulation.md` lists each function, and the sources of chance that no seed
//! determines.
//!
//! # Platform differences
//!
//! Only on Linux.

mod assertions;
mod builder;
mod clock;
mod completions;
mod disk;
mod error;
mod goals;
mod here;
mod invariant;
mod network;
mod outcome;
mod program;
mod recovery;
mod report;
mod seeds;
mod shrinking;
mod simulation;
mod summary;

pub use self::{
    assertions::{AssertionCounts, assert_always, assert_sometimes},
    builder::Builder,
    clock::{Clock, clock, system_time},
    completions::{Completions, completions},
    disk::{Disk, disk},
    error::{Error, ErrorKind},
    here::{Rng, crash, elapsed, host_name, power_loss, restart, rng},
    network::{
        Hosts, Link, Network, hold, link, network, partition, partition_oneway, release, repair,
        repair_oneway,
    },
    outcome::Outcome,
    recovery::{Restart, is_calm},
    report::Report,
    seeds::{run_seeds, run_test},
    shrinking::shrink,
    simulation::Simulation,
    summary::{AssertionSummary, FaultSummary, Summary},
};
#[doc(inline)]
pub use compio_driver::os::simulated::{
    ClockFaults, CompletionCounts, CompletionFaults, DiskCounts, DiskFaults, Fault, FaultRecord,
    NetworkCounts, NetworkFaults, Unsynced,
};
/// Defines `clock_gettime`, `gettimeofday`, `time`, `getrandom` and `pthread_create` of the C library for a test binary, so that std
/// and other crates have the time and the random numbers of the simulation. A binary calls it once, at its root.
///
/// In a program of a simulated host, `Instant::now` agrees with [`time::now`](crate::time::now), and the clock of `SystemTime::now`
/// starts at the begin of the year 2000. The random numbers of `getrandom`, `rand` and `uuid`, and the order of a `HashMap`, depend on the
/// seed. The start of a thread fails, and the run fails with [`ErrorKind::Thread`]. All other code of the process has the functions of
/// the C library: an `Instant` from outside of a host is no time of the simulation.
///
/// ```standalone_crate
/// use std::{
///     collections::HashSet,
///     time::{Duration, Instant},
/// };
///
/// use compio::{sim, time::sleep};
///
/// sim::override_libc!();
///
/// fn main() -> Result<(), sim::Error> {
///     sim::run_seeds(0..20, |simulation| {
///         simulation.client("client", async {
///             let start = Instant::now();
///             // In the same order in each run of the seed.
///             for seconds in HashSet::from([1, 2, 3]) {
///                 sleep(Duration::from_secs(seconds)).await;
///             }
///             assert_eq!(start.elapsed(), Duration::from_secs(6));
///         });
///     })?;
///     Ok(())
/// }
/// ```
///
/// Code that makes system calls itself has the real time and real random numbers. The page `docs/simulation.md` lists such code.
///
/// # Threads
///
/// std draws the keys of its hash maps once for a thread, and some crates keep random generators or dates for a thread. So
/// [`run_seeds`] and `#[compio::test(sim)]` run each simulation in a new thread. Make other simulations in a new thread each, too.
///
/// # Platform differences
///
/// `pthread_create` is defined for glibc only. glibc must be linked dynamically. The definition hides threads from sanitizers, which
/// fail.
#[doc(inline)]
pub use compio_driver::override_libc;
