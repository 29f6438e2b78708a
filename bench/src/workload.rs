//! The vocabulary of rows, contenders and the client: the amount of work, the types of a contender's
//! functions, and the results of those that measure more than a [`Cost`].

use std::{io, net::SocketAddr, path::Path, time::Duration};

use crate::cost::{Cost, Meter};

/// The time limit of a process, which only a hanging runtime exceeds.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The size of a request, and of its reply, in bytes.
pub const MESSAGE: usize = 128;

/// The amount of work of a run.
#[derive(Clone, Copy)]
pub struct Load {
    /// The number of connections, pairs, tasks or operations in flight at once.
    pub width: usize,
    /// The total number of operations. The widths divide it.
    pub count: usize,
}

impl Load {
    /// The number of operations of each of the `width` tasks.
    pub fn each(self) -> usize {
        self.count / self.width
    }

    /// Nanoseconds per operation.
    pub fn nanos(self, spent: Duration) -> f64 {
        spent.as_nanos() as f64 / self.count as f64
    }

    /// Microseconds per operation.
    pub fn micros(self, spent: Duration) -> f64 {
        self.nanos(spent) / 1e3
    }
}

/// Work without an external peer.
pub type Work = fn(Load) -> io::Result<Cost>;

/// A contender calls this once it listens, with its address.
pub type Listening<'a> = &'a mut dyn FnMut(SocketAddr) -> io::Result<()>;

/// A contender calls this once it listens at the given path.
pub type ListeningThere<'a> = &'a mut dyn FnMut() -> io::Result<()>;

/// A contender's server.
pub type Serve = fn(Load, Listening<'_>) -> io::Result<Cost>;

/// A contender's server of Unix sockets.
pub type ServeUnix = fn(Load, &Path, ListeningThere<'_>) -> io::Result<Cost>;

/// A contender's work on a file, or on a directory of files.
pub type OnDisk = fn(Load, &Path) -> io::Result<Cost>;

/// The results of the parked row.
pub struct Parked {
    /// Median, in microseconds.
    pub latency: f64,
    /// Median, in microseconds.
    pub call: f64,
    /// The cost of all wakes, the pauses included.
    pub cost: Cost,
}

/// The results of the running row.
pub struct Running {
    /// The time in the calls of the wakers.
    pub sending: Duration,
    /// The time until the tasks have run.
    pub seen: Duration,
    /// The number of wakes.
    pub wakes: usize,
}

/// The results of the row of tasks, in nanoseconds and bytes.
pub struct Tasks {
    pub life: f64,
    pub memory: f64,
}

/// The results of the row of timers, in nanoseconds.
pub struct Timers {
    pub set: f64,
    pub back: f64,
    pub expire: f64,
}

/// Starts `width` tasks with `start`, which gets the index of each, and awaits them; `joined`
/// checks the result of each.
pub async fn tasks<Handle: Future>(
    load: Load,
    start: impl Fn(usize) -> Handle,
    joined: impl Fn(Handle::Output),
) -> io::Result<Cost> {
    let meter = Meter::start()?;
    for handle in (0..load.width).map(start).collect::<Vec<_>>() {
        joined(handle.await);
    }
    meter.stop()
}

/// Small, fast pseudo-random numbers (xorshift64), the same sequence for every contender.
pub struct Numbers(u64);

impl Numbers {
    /// A sequence of its own for each `index`.
    pub fn new(index: usize) -> Self {
        Self(0x9E37_79B9_7F4A_7C15 ^ (index as u64 + 1).wrapping_mul(0xD1B5_4A32_D192_ED03))
    }

    /// A number below `end`. `end` is far smaller than 2^32, so the bias does not matter.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) * end) >> 32
    }
}
