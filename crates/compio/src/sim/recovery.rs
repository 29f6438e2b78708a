//! Restarts by a service manager, and the calm phase at the end of a run.

use std::{collections::BTreeSet, ops::RangeInclusive, time::Duration};

use compio_driver::os::simulated::{HostId, current};

use super::{
    Error, Hosts, Simulation,
    program::{End, Program},
};

/// The restart of a program after its end, as by a service manager: the settings `Restart=` and `RestartSec=` of systemd.
///
/// The time between the end and the start is uniform in the range, by the seed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Restart {
    /// After an error or a panic: `on-failure`.
    OnFailure {
        /// The time to the start.
        after: RangeInclusive<Duration>,
    },
    /// After each end of the program: `always`.
    Always {
        /// The time to the start.
        after: RangeInclusive<Duration>,
    },
}

/// The settings of the calm phase.
#[derive(Debug)]
pub(super) struct Calm {
    begin: Duration,
    limit: Duration,
    /// All hosts, if `None`.
    core: Option<BTreeSet<HostId>>,
}

/// An event of the simulation itself. Events of one moment happen in this order, after those of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    Calm,
    Restart(HostId),
}

impl Restart {
    /// The time to the start after an end, if there is one.
    fn after(&self, end: &End) -> Option<&RangeInclusive<Duration>> {
        match self {
            Self::OnFailure { .. } if matches!(end, End::Finished) => None,
            Self::OnFailure { after } | Self::Always { after } => Some(after),
        }
    }
}

impl Simulation {
    /// Restarts the program of a host after its end. Without this call, an error or a panic of a program is the error of the run, and
    /// a program that has returned has ended.
    ///
    /// It belongs to a program that ends after an error of its disk. A false [`assert_always`](super::assert_always) is still the error
    /// of the run. A program that was [crashed](super::crash) or has lost its power starts again by
    /// [`restart`](super::restart) only. Clients do not start again: this has no effect on them. The name of no host that was added
    /// before is an error of [`run`](Self::run).
    ///
    /// ```
    /// use std::{io, time::Duration};
    ///
    /// use compio::{
    ///     fs,
    ///     sim::{self, DiskFaults, Restart, Simulation},
    ///     time::sleep,
    /// };
    ///
    /// async fn database() -> io::Result<()> {
    ///     loop {
    ///         fs::write("/log", "record").await.0?;
    ///         sleep(Duration::from_millis(10)).await;
    ///     }
    /// }
    ///
    /// fn main() -> Result<(), sim::Error> {
    ///     let mut simulation = Simulation::builder().seed(7).build();
    ///     simulation.host("db-1", database);
    ///     let after = Duration::from_millis(100)..=Duration::from_secs(1);
    ///     simulation.restart_policy("db-1", Restart::OnFailure { after });
    ///     simulation.disk(
    ///         "db-1",
    ///         DiskFaults {
    ///             write_error: 0.1,
    ///             ..DiskFaults::default()
    ///         },
    ///     );
    ///     simulation.client("client", async { sleep(Duration::from_secs(60)).await });
    ///     assert!(simulation.run()?.restarts() > 10);
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Panics
    ///
    /// If the range is empty, or has no time above zero: the clock would stand still.
    #[track_caller]
    pub fn restart_policy(&mut self, host: &str, policy: Restart) -> &mut Self {
        let (Restart::OnFailure { after } | Restart::Always { after }) = &policy;
        let moves_clock = !after.is_empty() && !after.end().is_zero();
        assert!(moves_clock, "the range of a restart has no time above zero");
        if let Some(host) = self.find(host)
            && !self.programs[host].is_client()
        {
            self.programs[host].restart = Some(policy);
        }
        self
    }

    /// Ends the run with a calm phase, in which the programs have to recover by themselves. It begins at this virtual time. All clients
    /// must end within `limit` after it, or the run fails with [`NoRecovery`](super::ErrorKind::NoRecovery). Programs find out by
    /// [`is_calm`].
    ///
    /// At its begin, all faults of disks, networks and completions end, all links are open, and hosts that were crashed or have lost
    /// their power start. Clocks keep their skew and their drift. From then on, calls that crash a host, cut a link, move a clock or set
    /// faults have no effect. So a program may inject faults without end.
    ///
    /// Some effects of earlier faults stay: bad sectors and flipped bits, packets that a clog has delayed, and the wait for the
    /// next retransmission of TCP, which is as long as the partition was, up to 120 seconds. The `limit` has to allow for them.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use compio::{
    ///     net::{TcpListener, TcpStream},
    ///     sim::{self, Simulation},
    ///     time::sleep,
    /// };
    ///
    /// async fn server() -> std::io::Result<()> {
    ///     let listener = TcpListener::bind("0.0.0.0:80").await?;
    ///     loop {
    ///         listener.accept().await?;
    ///     }
    /// }
    ///
    /// async fn inject_faults() -> Result<(), sim::Error> {
    ///     loop {
    ///         sim::crash("server")?;
    ///         sleep(Duration::from_millis(sim::rng().below(2000))).await;
    ///         sim::restart("server")?;
    ///         sleep(Duration::from_millis(sim::rng().below(2000))).await;
    ///     }
    /// }
    ///
    /// async fn client() {
    ///     while !sim::is_calm() || TcpStream::connect("server:80").await.is_err() {
    ///         sleep(Duration::from_millis(100)).await;
    ///     }
    /// }
    ///
    /// fn main() -> Result<(), sim::Error> {
    ///     let mut simulation = Simulation::builder().seed(7).build();
    ///     simulation.calm_after(Duration::from_secs(60), Duration::from_secs(10));
    ///     simulation.host("server", server);
    ///     simulation.host("operator", inject_faults);
    ///     simulation.client("client", client());
    ///     let report = simulation.run()?;
    ///     assert!(report.recovery() < Some(Duration::from_secs(1)));
    ///     Ok(())
    /// }
    /// ```
    pub fn calm_after(&mut self, begin: Duration, limit: Duration) -> &mut Self {
        let core = None;
        self.calm = Some(Calm { begin, limit, core });
        self
    }

    /// As [`calm_after`](Self::calm_after), with a core: these hosts and all clients. The other hosts stay as they are, down or with the
    /// faults of their disks, and are cut off from all hosts to the end. So the core cannot wait for any of them.
    ///
    /// The name of no host that was added before is an error of [`run`](Self::run).
    pub fn calm_core_after(
        &mut self,
        begin: Duration,
        limit: Duration,
        core: impl Hosts,
    ) -> &mut Self {
        let names = core.names().into_iter();
        let core = Some(names.filter_map(|name| self.find(name)).collect());
        self.calm = Some(Calm { begin, limit, core });
        self
    }

    /// The begin of the calm phase, and the end of the time for the recovery. `None` if there is no calm phase.
    pub(super) fn calm_times(&self) -> Option<(Duration, Duration)> {
        let calm = self.calm.as_ref()?;
        Some((calm.begin, calm.begin.saturating_add(calm.limit)))
    }

    /// The time since the begin of the calm phase.
    pub(super) fn recovery(&self) -> Option<Duration> {
        let (begin, _) = self.calm_times().filter(|_| self.world.is_calm())?;
        Some(self.world.now() - begin)
    }

    pub(super) fn is_in_core(&self, host: HostId) -> bool {
        let core = self.calm.as_ref().and_then(|calm| calm.core.as_ref());
        core.is_none_or(|core| core.contains(&host) || self.programs[host].is_client())
    }

    /// Plans the restart of a program after its end. Returns the end if there is none.
    pub(super) fn plan_restart(&mut self, host: HostId, end: End) -> Result<(), End> {
        let Program { restart, .. } = &self.programs[host];
        let Some(after) = restart.as_ref().and_then(|restart| restart.after(&end)) else {
            return Err(end);
        };
        let at = self.world.now() + self.world.draw_restart_delay(host, after);
        self.programs[host].restart_at = Some(at);
        self.alarms.insert((at, Alarm::Restart(host)));
        Ok(())
    }

    pub(super) fn execute_alarm(&mut self, alarm: Alarm) -> Result<(), Error> {
        match alarm {
            Alarm::Restart(host) => {
                // Another start or a crash may have come before.
                if self.programs[host].restart_at == Some(self.world.now()) {
                    self.restarts += 1;
                    self.bring_up(host)?;
                }
            }
            Alarm::Calm => {
                self.world.begin_calm(|host| self.is_in_core(host));
                for host in 0..self.programs.len() {
                    if self.programs[host].is_down && self.is_in_core(host) {
                        self.bring_up(host)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether the [calm phase](Simulation::calm_after) has begun. False outside of a simulated host.
pub fn is_calm() -> bool {
    current().is_some_and(|(world, _)| world.is_calm())
}
