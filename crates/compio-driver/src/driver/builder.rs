//! The settings of a new driver.

use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use super::{Driver, core::Core};
use crate::{
    arena::Arena,
    backend::BackendKind,
    buffers::BufferPools,
    notify::Notifier,
    os_calls,
    per_process::Process,
    spin::{Spin, SpinPolicy},
    sys,
    thread_bound::StaysOnItsThread,
    thread_pool::{RemoteCompletions, ThreadPool},
    trace::OpTraces,
};

/// The settings of a new [`Driver`].
#[derive(Debug, Clone)]
pub struct DriverBuilder {
    backend: Option<BackendKind>,
    entries: u32,
    spin: SpinPolicy,
    pool: Option<ThreadPool>,
    shutdown_timeout: Duration,
}

impl DriverBuilder {
    /// The defaults: 256 submission entries, adaptive spinning, the process's thread pool, and a
    /// shutdown timeout of 5 seconds.
    pub fn new() -> Self {
        Self {
            backend: None,
            entries: 256,
            spin: SpinPolicy::default(),
            pool: None,
            shutdown_timeout: Duration::from_secs(5),
        }
    }

    /// Forces a backend. The default is the environment variable `COMPIO_BACKEND` (`io-uring`, `iocp`
    /// or `poll`, see [`BackendKind`]). Without both, it is the best backend that the kernel allows.
    pub fn backend(mut self, kind: BackendKind) -> Self {
        self.backend = Some(kind);
        self
    }

    /// How many operations one system call can submit; more take several calls. The kernel rounds up
    /// to a power of two and clamps.
    ///
    /// # Platform differences
    ///
    /// Newer Linux kernels count the memory of a ring as locked (`ulimit -l`) unless the process may
    /// lock unlimited memory: some 60 kilobytes for 256 entries, for each driver of a user. The
    /// kernel frees the memory of a closed ring asynchronously. If the limit is exceeded,
    /// [`build`](Self::build) therefore retries for half a second at most.
    pub fn entries(mut self, entries: u32) -> Self {
        self.entries = entries.max(1);
        self
    }

    /// Whether the thread spins before it sleeps.
    pub fn spin(mut self, policy: SpinPolicy) -> Self {
        self.spin = policy;
        self
    }

    /// The thread pool for blocking work, instead of the pool that all drivers share.
    pub fn pool(mut self, pool: ThreadPool) -> Self {
        self.pool = Some(pool);
        self
    }

    /// How long the driver's drop waits for cancelled operations to complete. After that their memory
    /// is leaked, never freed.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Makes the driver, for this thread.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported) or [`PermissionDenied`](io::ErrorKind::PermissionDenied)
    /// if the kernel lacks or refuses a forced backend. [`InvalidInput`](io::ErrorKind::InvalidInput) if
    /// `COMPIO_BACKEND` names no backend. The OS error if descriptors or memory are exhausted: its
    /// message names the limit.
    pub fn build(self) -> io::Result<Driver> {
        let wanted = match self.backend {
            Some(kind) => Some(kind),
            None if os_calls::is_in_simulation() => None,
            None => BackendKind::from_env()?,
        };
        let (backend, event, why) = sys::choose(wanted, self.entries, Spin::new(self.spin))?;
        let notifier = Arc::new(Notifier::new(event));
        let inner = Core {
            arena: Arena::new(),
            backend: RefCell::new(backend),
            why,
            remote: Arc::new(RemoteCompletions::new(Arc::clone(&notifier))),
            notifier,
            pool: self.pool.unwrap_or_else(ThreadPool::global),
            buffer_pools: BufferPools::default(),
            entries: RefCell::default(),
            deferred: Cell::default(),
            completions: Cell::default(),
            orphans: RefCell::default(),
            closed: Cell::new(false),
            shut_down_at: Cell::new(None),
            is_unattended: Cell::new(false),
            is_announced: Cell::new(false),
            defers_cancels: Cell::new(false),
            scopes: RefCell::default(),
            is_fast_path: Cell::new(true),
            shutdown_timeout: self.shutdown_timeout,
            leaves_pool: Cell::new(false),
            process: Process::current(),
            traces: OpTraces::new(),
        };
        Ok(Driver {
            inner: StaysOnItsThread::new(Rc::new(inner)),
        })
    }
}

impl Default for DriverBuilder {
    fn default() -> Self {
        Self::new()
    }
}
