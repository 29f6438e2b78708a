//! The failure of a simulation.

use std::{error, fmt, io, iter, time::Duration};

use super::{Fault, FaultRecord};

/// The failure of a simulation, with the seed, the host and the virtual time.
#[derive(Debug)]
pub struct Error {
    seed: Option<u64>,
    host: Option<String>,
    at: Duration,
    kind: ErrorKind,
    // In a box, because most results are no errors.
    faults: Box<Faults>,
}

#[derive(Debug, Default)]
struct Faults {
    records: Vec<FaultRecord>,
    reduction: Option<Reduction>,
}

/// The result of [`shrink`](super::shrink), beside the faults of the error.
#[derive(Debug)]
pub(super) struct Reduction {
    /// The number of faults before.
    pub(super) of: usize,
    /// The number of runs.
    pub(super) runs: usize,
    /// Whether there were no runs left.
    pub(super) is_cut: bool,
}

/// The reason of an [`Error`].
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// These clients were still running at the [time limit](super::Builder::time_limit).
    TimeLimit(Vec<String>),
    /// The run has taken more steps than the [limit](super::Builder::step_limit).
    StepLimit,
    /// The programs have not recovered: these clients were still running at the end of the
    /// [calm phase](super::Simulation::calm_after).
    NoRecovery(Vec<String>),
    /// No task is ready and no event is to come, but these clients wait.
    Deadlock(Vec<String>),
    /// The tasks of one host or of several are ready again and again, and the clock stands still: they do not wait, or they wait for
    /// events that take no time, such as packets with a latency of zero.
    Stalled,
    /// The program of the host has panicked, with this message.
    Panic(String),
    /// The program of the host has returned this error: an `io::Error`, or the text of another error and its sources.
    Failed(Box<dyn error::Error + Send + Sync>),
    /// An invariant does not hold: an [`assert_always`](super::assert_always) with the name, or an
    /// [`invariant`](super::Simulation::invariant), which has a reason. The host is the one that has run last.
    Violated {
        /// The name.
        name: String,
        /// The error or the message of the panic.
        reason: Option<Box<dyn error::Error + Send + Sync>>,
    },
    /// Two hosts have the same name. `localhost` is taken, too.
    DuplicateHost,
    /// Two hosts have the same address.
    DuplicateAddress,
    /// The address is unspecified, or a loopback or multicast address.
    InvalidAddress,
    /// There is no host of this name.
    UnknownHost,
    /// The simulation has no client, so a run would test nothing.
    NoClients,
    /// These assertions were not evaluated in the run: see [`must_reach`](super::Simulation::must_reach).
    NotReached(Vec<String>),
    /// The conditions of these `assert_sometimes` were true in no run: see [`run_seeds`](super::run_seeds).
    NeverHeld(Vec<String>),
    /// No seed has evaluated these assertions: see [`must_reach_sometimes`](super::Simulation::must_reach_sometimes).
    NeverReached(Vec<String>),
    /// No seed has met these faults: see [`must_occur_sometimes`](super::Simulation::must_occur_sometimes).
    NeverOccurred(Vec<Fault>),
    /// Two runs of the seed, by `COMPIO_SIM_TWICE=1`, took different courses: see [`run_seeds`](super::run_seeds). The first lines that
    /// differ, unless two more runs had the same ones. Equal lines mean that the content of a transfer differs, or a random number.
    NotDeterministic(Option<[String; 2]>),
    /// No seed was given, so a test would test nothing.
    NoSeeds,
    /// The call is only possible in a program of a simulated host.
    OutsideOfHost,
    /// The program of the host has tried to start a thread, whose course no seed determines. Only a binary with
    /// [`override_libc`](super::override_libc) reports it.
    Thread,
    /// A simulation cannot run in a program of a simulated host.
    Nested,
    /// The runtime of a host could not be made, or has failed.
    Runtime(io::Error),
}

impl ErrorKind {
    /// The error of a program, which may be bound to this thread.
    pub(super) fn failed(error: Box<dyn error::Error>) -> Self {
        Self::Failed(sendable(error))
    }
}

/// The error itself if it is an `io::Error`, and the texts of others with their sources: they may be bound to this thread.
pub(super) fn sendable(error: Box<dyn error::Error>) -> Box<dyn error::Error + Send + Sync> {
    match error.downcast::<io::Error>() {
        Ok(error) => error,
        Err(error) => {
            let chain = iter::successors(Some(&*error), |error| error.source());
            let texts: Vec<String> = chain.map(ToString::to_string).collect();
            texts.join(": ").into()
        }
    }
}

impl Error {
    pub(super) fn new(seed: u64, host: Option<String>, at: Duration, kind: ErrorKind) -> Self {
        Self {
            seed: Some(seed),
            host,
            at,
            kind,
            faults: Box::default(),
        }
    }

    /// An error that concerns no single run.
    pub(super) fn of_no_run(kind: ErrorKind) -> Self {
        Self {
            seed: None,
            host: None,
            at: Duration::ZERO,
            kind,
            faults: Box::default(),
        }
    }

    pub(super) fn with_faults(mut self, records: Vec<FaultRecord>) -> Self {
        self.faults.records = records;
        self
    }

    pub(super) fn with_reduction(mut self, reduction: Reduction) -> Self {
        self.faults.reduction = Some(reduction);
        self
    }

    pub(super) fn is_reduced(&self) -> bool {
        self.faults.reduction.is_some()
    }

    /// The error of a call outside of a host.
    pub(super) fn outside() -> Self {
        Self::of_no_run(ErrorKind::OutsideOfHost)
    }

    /// The seed of the run. `None` if the failure concerns no single run: a call outside of a host, or all seeds together.
    pub fn seed(&self) -> Option<u64> {
        self.seed
    }

    /// The name of the host, if the failure concerns one.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The virtual time since the begin.
    pub fn at(&self) -> Duration {
        self.at
    }

    /// The reason.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The faults of the run, in their order. Of more than 100,000, these are the last ones.
    pub fn faults(&self) -> &[FaultRecord] {
        &self.faults.records
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(seed) = self.seed {
            write!(f, "seed {seed}, virtual time {:?}", self.at)?;
            if let Some(host) = &self.host {
                write!(f, ", host `{host}`")?;
            }
            f.write_str(": ")?;
        }
        match &self.kind {
            ErrorKind::TimeLimit(clients) => write!(
                f,
                "the time limit is over, but these clients have not ended: {}",
                clients.join(", ")
            ),
            ErrorKind::StepLimit => {
                f.write_str("the limit of steps is reached before all clients have ended")
            }
            ErrorKind::NoRecovery(clients) => write!(
                f,
                "no recovery: all faults have ended, but these clients have not: {}",
                clients.join(", ")
            ),
            ErrorKind::Deadlock(clients) => write!(
                f,
                "a deadlock: no task is ready and no event is to come, but these clients wait: {}",
                clients.join(", ")
            ),
            ErrorKind::Stalled => {
                f.write_str("the clock stands still: tasks are ready again and again at one moment")
            }
            ErrorKind::Panic(message) => write!(f, "the program has panicked: {message}"),
            ErrorKind::Failed(error) => write!(f, "the program has failed: {error}"),
            ErrorKind::Violated { name, reason } => {
                write!(f, "`{name}` does not hold")?;
                reason.iter().try_for_each(|reason| write!(f, ": {reason}"))
            }
            ErrorKind::DuplicateHost => f.write_str("another host has this name"),
            ErrorKind::DuplicateAddress => f.write_str("another host has the address"),
            ErrorKind::InvalidAddress => f.write_str("a host cannot have this address"),
            ErrorKind::UnknownHost => f.write_str("there is no host of this name"),
            ErrorKind::NoClients => f.write_str("the simulation has no client"),
            ErrorKind::NotReached(names) => {
                write!(f, "assertions were not evaluated: {}", names.join(", "))
            }
            ErrorKind::NeverHeld(names) => {
                let names = names.join(", ");
                write!(f, "no seed has reached the states of assertions: {names}")
            }
            ErrorKind::NeverReached(names) => {
                write!(f, "no seed has evaluated assertions: {}", names.join(", "))
            }
            ErrorKind::NeverOccurred(faults) => {
                let names: Vec<_> = faults.iter().map(|fault| fault.name()).collect();
                write!(f, "no seed has met faults: {}", names.join(", "))
            }
            ErrorKind::NotDeterministic(None) => {
                f.write_str("two runs took different courses, and two more did not")
            }
            ErrorKind::NotDeterministic(Some([one, other])) if one == other => write!(
                f,
                "two runs took different courses, which differ in content at or before\n    {one}"
            ),
            ErrorKind::NotDeterministic(Some([one, other])) => {
                write!(
                    f,
                    "two runs took different courses:\n    {one}\n    {other}"
                )
            }
            ErrorKind::NoSeeds => f.write_str("there are no seeds"),
            ErrorKind::OutsideOfHost => {
                f.write_str("this call is only possible in a program of a simulated host")
            }
            ErrorKind::Thread => f.write_str("the program has tried to start a thread"),
            ErrorKind::Nested => f.write_str("a simulation cannot run inside of another one"),
            ErrorKind::Runtime(error) => write!(f, "the runtime of the host has failed: {error}"),
        }?;
        let Some(Reduction { of, runs, is_cut }) = self.faults.reduction else {
            return Ok(());
        };
        let faults = self.faults();
        let count = faults.len();
        write!(
            f,
            "\n\nafter {runs} runs, it fails with {count} of {of} faults"
        )?;
        if is_cut {
            f.write_str(", and may fail with less: there were no runs left")?;
        }
        for fault in faults {
            write!(f, "\n    {fault}")?;
        }
        Ok(())
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &self.kind {
            ErrorKind::Failed(error) => Some(&**error),
            ErrorKind::Runtime(error) => Some(error),
            ErrorKind::Violated { reason, .. } => {
                reason.as_deref().map(|reason| reason as &dyn error::Error)
            }
            ErrorKind::TimeLimit(_)
            | ErrorKind::StepLimit
            | ErrorKind::NoRecovery(_)
            | ErrorKind::Deadlock(_)
            | ErrorKind::Stalled
            | ErrorKind::Panic(_)
            | ErrorKind::DuplicateHost
            | ErrorKind::DuplicateAddress
            | ErrorKind::InvalidAddress
            | ErrorKind::UnknownHost
            | ErrorKind::NoClients
            | ErrorKind::NotDeterministic(_)
            | ErrorKind::NoSeeds
            | ErrorKind::NotReached(_)
            | ErrorKind::NeverHeld(_)
            | ErrorKind::NeverReached(_)
            | ErrorKind::NeverOccurred(_)
            | ErrorKind::OutsideOfHost
            | ErrorKind::Thread
            | ErrorKind::Nested => None,
        }
    }
}
