//! The cost of some work for this process: wall time, and CPU time in user and kernel space.
//!
//! CPU time covers the whole process, with the runtime's threads and the kernel's io-wq workers. It
//! excludes child processes, such as the load client.

use std::{
    io,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        resource::{UsageWho, getrusage},
        time::TimeVal,
    },
    time::{ClockId, clock_gettime},
};

/// A running measurement.
pub struct Meter {
    wall: Instant,
    cpu: Cpu,
}

/// The cost between [`Meter::start`] and [`Meter::stop`].
pub struct Cost {
    /// Elapsed time.
    pub wall: Duration,
    /// CPU time in user space. The kernel estimates how CPU time splits into user and kernel; only
    /// the sum is exact.
    pub user: Duration,
    /// CPU time in user space and in the kernel.
    pub cpu: Duration,
}

impl Meter {
    /// Starts measuring.
    pub fn start() -> io::Result<Self> {
        Ok(Self {
            cpu: Cpu::now()?,
            wall: Instant::now(),
        })
    }

    /// Ends the measurement.
    pub fn stop(self) -> io::Result<Cost> {
        let wall = self.wall.elapsed();
        let cpu = Cpu::now()?;
        let user = cpu.user.saturating_sub(self.cpu.user);
        let system = cpu.system.saturating_sub(self.cpu.system);
        Ok(Cost {
            wall,
            user,
            cpu: user + system,
        })
    }
}

/// The CPU time of this thread so far, for work too short for a [`Meter`]. A call costs some
/// hundred nanoseconds.
pub fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    now.expect("every thread has this clock").into()
}

struct Cpu {
    user: Duration,
    system: Duration,
}

impl Cpu {
    fn now() -> io::Result<Self> {
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        Ok(Self {
            user: duration(usage.user_time()),
            system: duration(usage.system_time()),
        })
    }
}

fn duration(time: TimeVal) -> Duration {
    let seconds = u64::try_from(time.tv_sec()).expect("CPU time is never negative");
    let micros = u64::try_from(time.tv_usec()).expect("CPU time is never negative");
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}
