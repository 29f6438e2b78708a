//! The settings of a runtime.

use std::{io, rc::Rc, time::Duration};

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

    /// The threads for blocking work, instead of the pool that all runtimes share.
    pub fn pool(mut self, pool: ThreadPool) -> Self {
        self.driver = self.driver.pool(pool);
        self
    }

    /// The time limit of the runtime's drop for operations that are slow to cancel. Past it their
    /// memory is leaked, never freed. 5 seconds by default.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.driver = self.driver.shutdown_timeout(timeout);
        self
    }

    /// Makes the runtime, for this thread.
    ///
    /// # Errors
    ///
    /// As [`DriverBuilder::build`]: no usable kernel interface, or no descriptors or memory left.
    pub fn build(self) -> io::Result<Runtime> {
        Ok(Runtime {
            inner: StaysOnItsThread::new(Rc::new(Inner::new(self.driver.build()?))),
        })
    }
}
