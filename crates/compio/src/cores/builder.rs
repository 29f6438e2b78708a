//! The settings of a dispatcher, and its start.

use std::{
    fmt, io,
    num::NonZeroUsize,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use compio_driver::os_calls::{cpu, outside_of_simulation};

use super::{
    Dispatcher,
    shared::{Phase, Shared},
    worker::{Start, Worker},
    workers::Workers,
};
use crate::runtime::RuntimeBuilder;

/// The time limit for the tasks of the other workers after the end of `main`.
const MAIN_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) type Hook = Arc<dyn Fn(usize) + Send + Sync>;

/// Calls at the start and the end of each worker, with its index.
#[derive(Clone, Default)]
pub(super) struct Hooks {
    pub(super) on_start: Option<Hook>,
    pub(super) on_stop: Option<Hook>,
}

/// Builder of a [`Dispatcher`].
///
/// ```
/// use compio::{
///     cores::DispatcherBuilder,
///     driver::SpinPolicy,
///     runtime::RuntimeBuilder,
/// };
///
/// #[compio::main]
/// async fn main() -> std::io::Result<()> {
///     let dispatcher = DispatcherBuilder::new()
///         .workers(2)
///         .runtime(RuntimeBuilder::new().spin(SpinPolicy::Off))
///         .thread_name(|worker| format!("shard-{worker}"))
///         .on_start(|worker| println!("worker {worker} starts"))
///         .build()?;
///     dispatcher.shutdown().await
/// }
/// ```
#[derive(Clone)]
pub struct DispatcherBuilder {
    workers: Option<usize>,
    pins: Pins,
    runtime: RuntimeBuilder,
    thread_name: Arc<dyn Fn(usize) -> String + Send + Sync>,
    stack_size: Option<usize>,
    hooks: Hooks,
}

/// The CPUs of the workers.
#[derive(Debug, Clone)]
enum Pins {
    None,
    /// Of those that this process may use.
    Allowed,
    Explicit(Vec<usize>),
}

impl Default for DispatcherBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl DispatcherBuilder {
    /// The defaults: one worker for each CPU that the process may use, without pinning.
    pub fn new() -> Self {
        Self {
            workers: None,
            pins: Pins::None,
            runtime: RuntimeBuilder::new(),
            thread_name: Arc::new(|worker| format!("compio-core-{worker}")),
            stack_size: None,
            hooks: Hooks::default(),
        }
    }

    /// The number of workers. By default it is [`std::thread::available_parallelism`], which respects the
    /// affinity mask and, on Linux, the CPU quota of the cgroup, rounded down.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Whether each worker is pinned to a CPU of its own. They are taken in ascending order from the
    /// affinity mask of the thread that calls [`build`](Self::build). Off by default: the system's scheduler
    /// moves threads away from busy CPUs.
    pub fn pin(mut self, pinned: bool) -> Self {
        self.pins = if pinned { Pins::Allowed } else { Pins::None };
        self
    }

    /// Pins each worker to the CPU at its place in the list, by the system's numbers.
    pub fn pin_to(mut self, cpus: impl IntoIterator<Item = usize>) -> Self {
        self.pins = Pins::Explicit(cpus.into_iter().collect());
        self
    }

    /// The settings of each worker's runtime.
    pub fn runtime(mut self, runtime: RuntimeBuilder) -> Self {
        self.runtime = runtime;
        self
    }

    /// The names of the threads, by the index of the worker. `compio-core-0` and so on by default.
    pub fn thread_name(mut self, name: impl Fn(usize) -> String + Send + Sync + 'static) -> Self {
        self.thread_name = Arc::new(name);
        self
    }

    /// The size of the threads' stacks in bytes. By default as for [`std::thread::Builder`].
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Code that each worker runs when it starts, before its first task. A panic there is an error of
    /// [`build`](Self::build).
    pub fn on_start(mut self, code: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.hooks.on_start = Some(Arc::new(code));
        self
    }

    /// Code that each worker runs after its last task. A panic there is an error of
    /// [`shutdown`](Dispatcher::shutdown).
    pub fn on_stop(mut self, code: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.hooks.on_stop = Some(Arc::new(code));
        self
    }

    /// Starts the workers. Blocks until all of them run, or one has failed.
    ///
    /// # Errors
    ///
    /// If one worker fails to start, the others are stopped, and no thread is left. `InvalidInput` for zero
    /// workers, for more pinned workers than CPUs, and for a list of CPUs of another length than the number
    /// of workers. `Unsupported` for pinning on macOS and the BSDs. As [`RuntimeBuilder::build`]; the OS
    /// error if a thread cannot be started or pinned; `Other` if the code of
    /// [`on_start`](Self::on_start) panics.
    pub fn build(self) -> io::Result<Dispatcher> {
        let workers = self.worker_count()?;
        let cpus = self.cpus(workers)?;
        self.start_threads(workers, 0, &cpus, Arc::new(Shared::new(workers)))
    }

    /// Runs a future on worker 0, which is this thread, beside the other workers. At the end of the future
    /// the workers drain, for at most 30 seconds; then the remaining tasks are cancelled.
    ///
    /// `#[compio::main(workers = 4)]` calls it.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    ///
    /// # Panics
    ///
    /// If the future panics, or the calling thread runs a runtime already.
    pub fn block_on<F: Future>(self, future: F) -> io::Result<F::Output> {
        Ok(self.start_main()?.block_on(future))
    }

    /// Starts the workers, with worker 0 on this thread.
    pub(crate) fn start_main(self) -> io::Result<MainWorker> {
        let workers = self.worker_count()?;
        let cpus = self.cpus(workers)?;
        let shared = Arc::new(Shared::new(workers));
        let here = self.start(&shared, 0, &cpus).start()?;
        let others = self.start_threads(workers, 1, &cpus, shared)?;
        Ok(MainWorker { here, others })
    }

    fn worker_count(&self) -> io::Result<usize> {
        outside_of_simulation("threads of workers")?;
        match self.workers.unwrap_or_else(available_parallelism) {
            0 => Err(invalid("a dispatcher needs at least one worker".into())),
            workers => Ok(workers),
        }
    }

    /// The CPU of each worker.
    fn cpus(&self, workers: usize) -> io::Result<Vec<Option<usize>>> {
        let cpus = match &self.pins {
            Pins::None => return Ok(vec![None; workers]),
            Pins::Allowed => allowed_cpus(),
            Pins::Explicit(cpus) if cpus.len() != workers => {
                return Err(invalid(format!(
                    "{} CPUs to pin to, but {workers} workers",
                    cpus.len()
                )));
            }
            Pins::Explicit(cpus) => cpus.clone(),
        };
        if cpus.len() < workers {
            return Err(invalid(format!(
                "{workers} pinned workers need as many CPUs, and there are {}",
                cpus.len()
            )));
        }
        Ok(cpus.into_iter().map(Some).take(workers).collect())
    }

    fn start(&self, shared: &Arc<Shared>, index: usize, cpus: &[Option<usize>]) -> Start {
        Start {
            shared: Arc::clone(shared),
            index,
            runtime: self.runtime.clone(),
            cpu: cpus[index],
            hooks: self.hooks.clone(),
        }
    }

    /// Starts the workers from `first` on.
    fn start_threads(
        &self,
        workers: usize,
        first: usize,
        cpus: &[Option<usize>],
        shared: Arc<Shared>,
    ) -> io::Result<Dispatcher> {
        // Dropped on an error: it ends and joins the threads that have started.
        let mut dispatcher = Dispatcher {
            workers: Workers { shared },
            threads: Vec::new().into(),
            thread_count: 0,
        };
        let (started, starts) = mpsc::channel();
        let mut result = Ok(());
        for index in first..workers {
            let start = self.start(&dispatcher.workers.shared, index, cpus);
            let mut thread = thread::Builder::new().name((self.thread_name)(index));
            if let Some(bytes) = self.stack_size {
                thread = thread.stack_size(bytes);
            }
            let started = started.clone();
            match thread.spawn(move || start.run(started)) {
                Ok(thread) => dispatcher.add(thread),
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        drop(started);
        // All threads have reported when the channel closes. Only then can a drop of the dispatcher wake
        // all of them.
        for start in starts {
            result = result.and(start);
        }
        result.map(|()| dispatcher)
    }
}

/// Worker 0 of a dispatcher, on the thread that has made it.
pub struct MainWorker {
    here: Worker,
    others: Dispatcher,
}

impl MainWorker {
    /// As [`DispatcherBuilder::block_on`].
    pub fn block_on<F: Future>(self, future: F) -> F::Output {
        let output = self.here.runtime().block_on(future);
        let shared = &self.others.workers.shared;
        shared.advance(Phase::Draining, Some(super::deadline(MAIN_TIMEOUT)));
        self.here.run();
        // The others have ended, too, or the time is up.
        drop(self.others);
        output
    }
}

impl fmt::Debug for MainWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MainWorker").finish_non_exhaustive()
    }
}

fn allowed_cpus() -> Vec<usize> {
    cpu::allowed().unwrap_or_else(|| (0..available_parallelism()).collect())
}

fn available_parallelism() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

impl fmt::Debug for DispatcherBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DispatcherBuilder")
            .field("workers", &self.workers)
            .field("pins", &self.pins)
            .field("runtime", &self.runtime)
            .field("stack_size", &self.stack_size)
            .finish_non_exhaustive()
    }
}
