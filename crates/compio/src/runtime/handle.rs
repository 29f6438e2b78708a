//! Handles of runtimes, for code that does not own the runtime.

use std::{
    fmt,
    rc::{Rc, Weak},
};

use compio_driver::{Backend, StaysOnItsThread};
use compio_executor::JoinHandle;

use super::{
    Inner, Runtime,
    current::{self, Entered},
};

impl Runtime {
    /// The runtime that runs, or has been [entered](Self::enter), on this thread. `None` if there is
    /// none: then [`task::spawn`](crate::task::spawn) and operations would panic.
    ///
    /// The thread's own runtime, which [`task::block_on`](crate::task::block_on) makes, counts while
    /// it runs.
    ///
    /// ```
    /// use compio::{runtime::Runtime, task};
    ///
    /// assert!(Runtime::try_current().is_none());
    /// task::block_on(async {
    ///     let runtime = Runtime::try_current().expect("it runs this block");
    ///     assert_eq!(runtime.spawn(async { 6 * 7 }).await.unwrap(), 42);
    /// });
    /// ```
    pub fn try_current() -> Option<Handle> {
        let inner = current::entered()?;
        Some(Handle::new(&inner))
    }

    /// A handle of this runtime, which does not keep it alive.
    pub fn handle(&self) -> Handle {
        Handle::new(&self.inner)
    }
}

/// A handle of a [`Runtime`], made by [`Runtime::try_current`] or [`Runtime::handle`]. It stays on the
/// thread of the runtime, and does not keep it alive.
#[derive(Clone)]
pub struct Handle {
    inner: StaysOnItsThread<Weak<Inner>>,
}

impl Handle {
    fn new(inner: &Rc<Inner>) -> Self {
        Self {
            inner: StaysOnItsThread::new(Rc::downgrade(inner)),
        }
    }

    #[track_caller]
    fn get(&self) -> Rc<Inner> {
        match self.inner.upgrade() {
            Some(inner) => inner,
            None => panic!("the runtime of this handle has been dropped"),
        }
    }

    /// Starts a task, as [`Runtime::spawn`].
    ///
    /// # Panics
    ///
    /// If the runtime has been dropped.
    #[track_caller]
    pub fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        self.get().spawn(future)
    }

    /// Calls `code` with the runtime as the thread's current one, as [`Runtime::enter`].
    ///
    /// # Panics
    ///
    /// If the runtime has been dropped.
    #[track_caller]
    pub fn enter<T>(&self, code: impl FnOnce() -> T) -> T {
        let inner = self.get();
        let _entered = Entered::new(&inner);
        code()
    }

    /// The backend that talks to the kernel, and the reason for its choice.
    ///
    /// # Panics
    ///
    /// If the runtime has been dropped.
    #[track_caller]
    pub fn backend(&self) -> Backend {
        self.get().driver.backend()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("is_dropped", &(self.inner.strong_count() == 0))
            .finish()
    }
}
