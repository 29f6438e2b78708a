//! The hosts of a run, and the schedule of its faults.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use crate::{Observer, rng::Rng};

/// A program that starts again after a fault.
pub struct Host {
    pub name: &'static str,
    pub start: Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()>>> + Send + Sync>,
}

/// A fault of hosts or links, by the numbers of the hosts.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// The end of a process: the page cache stays.
    Crash(usize),
    PowerLoss(usize),
    Restart(usize),
    Partition(usize, usize),
    Repair(usize, usize),
}

/// Chances of faults of the disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiskFaults {
    /// A sync fails. In simulators without it: a read or write fails.
    pub sync_error: f64,
    /// A read meets a flipped bit.
    pub bit_rot: f64,
}

/// One run: hosts, faults and an observer.
pub struct Scenario {
    pub seed: u64,
    pub hosts: Vec<Host>,
    /// In the order of their moments.
    pub faults: Vec<(Duration, Fault)>,
    pub disk: DiskFaults,
    /// The chance that a datagram arrives twice.
    pub duplicate: f64,
    /// The virtual time in which the run has to end.
    pub limit: Duration,
    pub observer: Observer,
    rng: Rng,
}

impl Scenario {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            hosts: Vec::new(),
            faults: Vec::new(),
            disk: DiskFaults::default(),
            duplicate: 0.0,
            limit: Duration::from_secs(10),
            observer: Observer::default(),
            rng: Rng::new(seed),
        }
    }

    /// Adds a host and returns its number.
    pub fn host<Fut>(
        &mut self,
        name: &'static str,
        program: impl Fn(Observer) -> Fut + Send + Sync + 'static,
    ) -> usize
    where
        Fut: Future<Output = io::Result<()>> + 'static,
    {
        let observer = self.observer.clone();
        self.hosts.push(Host {
            name,
            start: Arc::new(move || {
                let observer = observer.clone();
                let running = program(observer.clone());
                Box::pin(async move {
                    if let Err(error) = running.await {
                        observer.fail(&error);
                    }
                })
            }),
        });
        self.hosts.len() - 1
    }

    /// The address of a host.
    pub fn address(host: usize) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, host as u8 + 1).into()
    }

    /// A time below a limit, by the seed.
    pub fn millis_below(&mut self, limit: u64) -> Duration {
        Duration::from_millis(self.rng.below(limit))
    }

    /// The moment of a fault: all programs have begun to work, and none has ended.
    fn moment(&mut self) -> Duration {
        Duration::from_millis(500) + self.millis_below(1000)
    }

    /// Ends a host by a fault, and starts it again after a while.
    pub fn restart_after(&mut self, fault: Fault, host: usize, pause: Duration) {
        let at = self.moment();
        self.faults.push((at, fault));
        self.faults.push((at + pause, Fault::Restart(host)));
    }

    /// As [`restart_after`](Self::restart_after), by a loss of power.
    pub fn lose_power(&mut self, host: usize) {
        self.restart_after(Fault::PowerLoss(host), host, Duration::from_millis(100));
    }

    /// Separates two hosts for a time.
    pub fn partition(&mut self, one: usize, other: usize, time: Duration) {
        let at = self.moment();
        self.faults.push((at, Fault::Partition(one, other)));
        self.faults.push((at + time, Fault::Repair(one, other)));
    }
}
