//! The settings of a runtime.

use std::{fmt, io, rc::Rc, sync::Arc, time::Duration};

use compio_driver::{BackendKind, DriverBuilder, SpinPolicy, StaysOnItsThread, ThreadPool};

use super::{Inner, Runtime};

/// Builder of a [`Runtime`].
///
/// ```
/// use compio::{driver::SpinPolicy, runtime::RuntimeBuilder};
///
/// fn main() -> std::io::Result<()> {
///     let runtime = RuntimeBuilder::new().spin(SpinPolicy::Off).build()?;
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone, Default)]
pub struct RuntimeBuilder {
    driver: DriverBuilder,
    /// `None` without such code: then each wait makes one check.
    parking: Option<Box<Parking>>,
    is_unlisted: bool,
    #[cfg(feature = "test-util")]
    start_paused: bool,
}

/// Code around each wait of the event loop.
#[derive(Clone, Default)]
pub(super) struct Parking {
    before: Option<Arc<dyn Fn() + Send + Sync>>,
    after: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Parking {
    /// Waits with the code before and after.
    #[cold]
    pub(super) fn around(&self, wait: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if let Some(code) = &self.before {
            code();
        }
        let waited = wait();
        if let Some(code) = &self.after {
            code();
        }
        waited
    }
}

impl fmt::Debug for Parking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parking").finish_non_exhaustive()
    }
}

impl RuntimeBuilder {
    /// The defaults, which suit most programs: see [`DriverBuilder::new`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Forces a backend. Otherwise the environment variable `COMPIO_BACKEND` does (`io-uring`,
    /// `poll` or `iocp`). Without both, it is the best backend that the kernel allows. See
    /// [`Runtime::backend`].
    pub fn backend(mut self, kind: BackendKind) -> Self {
        self.driver = self.driver.backend(kind);
        self
    }

    /// The number of operations that can be submitted to the kernel at once: see
    /// [`DriverBuilder::entries`], also about the memory that this takes.
    pub fn entries(mut self, entries: u32) -> Self {
        self.driver = self.driver.entries(entries);
        self
    }

    /// Whether the thread spins for new events before it parks.
    pub fn spin(mut self, policy: SpinPolicy) -> Self {
        self.driver = self.driver.spin(policy);
        self
    }

    /// The threads for blocking work, instead of the pool that all runtimes share: see [`ThreadPool::global`].
    pub fn pool(mut self, pool: ThreadPool) -> Self {
        self.driver = self.driver.pool(pool);
        self
    }

    /// A pool of at most `count` threads of this runtime's own, as [`pool`](Self::pool) with a new
    /// [`ThreadPool`]. Tokio's builder has a setting of this name.
    ///
    /// # Panics
    ///
    /// If `count` is zero.
    #[track_caller]
    pub fn max_blocking_threads(self, count: usize) -> Self {
        self.pool(ThreadPool::new(count))
    }

    /// The time limit of the runtime's drop for operations that are slow to cancel. Past it their
    /// memory is leaked, never freed. 5 seconds by default.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.driver = self.driver.shutdown_timeout(timeout);
        self
    }

    /// Code that runs before the thread waits for events, as no task is ready. A panic there is a panic of
    /// [`block_on`](Runtime::block_on).
    ///
    /// The wait may be short: the thread may spin, or find an event at once. It must not use the runtime.
    pub fn on_park(mut self, code: impl Fn() + Send + Sync + 'static) -> Self {
        self.parking.get_or_insert_default().before = Some(Arc::new(code));
        self
    }

    /// Code that runs after each wait for events, as [`on_park`](Self::on_park).
    pub fn on_unpark(mut self, code: impl Fn() + Send + Sync + 'static) -> Self {
        self.parking.get_or_insert_default().after = Some(Arc::new(code));
        self
    }

    /// Keeps the runtime out of the list of all runtimes.
    #[cfg(feature = "console")]
    pub(crate) fn unlisted(mut self) -> Self {
        self.is_unlisted = true;
        self
    }

    /// Whether the time of the runtime is paused from its begin, as by [`time::pause`](crate::time::pause). `false` by
    /// default.
    ///
    /// Each runtime has a clock of its own: workers of a [`Dispatcher`](crate::cores::Dispatcher) do not share one.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use compio::{runtime::RuntimeBuilder, time};
    ///
    /// fn main() -> std::io::Result<()> {
    ///     let runtime = RuntimeBuilder::new().start_paused(true).build()?;
    ///     runtime.block_on(async {
    ///         let begin = time::now();
    ///         time::sleep(Duration::from_secs(3600)).await;
    ///         assert_eq!(time::now() - begin, Duration::from_secs(3600));
    ///     });
    ///     Ok(())
    /// }
    /// ```
    #[cfg(feature = "test-util")]
    pub fn start_paused(mut self, start_paused: bool) -> Self {
        self.start_paused = start_paused;
        self
    }

    /// Makes the runtime, for this thread.
    ///
    /// # Errors
    ///
    /// As [`DriverBuilder::build`]: no usable kernel interface, or no descriptors or memory left.
    pub fn build(self) -> io::Result<Runtime> {
        let inner = Inner::new(self.driver.build()?, self.parking, !self.is_unlisted);
        #[cfg(feature = "test-util")]
        if self.start_paused {
            inner.pause_clock();
        }
        Ok(Runtime {
            inner: StaysOnItsThread::new(Rc::new(inner)),
        })
    }
}
